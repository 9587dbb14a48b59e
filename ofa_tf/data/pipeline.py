"""Batches for training, evaluation and batch-norm calibration, addressed by step.

Nothing is advanced and nothing need be saved: the image at a position of the run follows from the position and the
seed: epoch = step // steps per epoch, then a shuffled index of the epoch; the resolution and all that augmentation
draws are keyed on (seed, step) and drawn for the whole batch at once. So a run that is resumed at step k sees the
batches that it would have seen, and each of several workers its rows of the batch that one alone would have (images are
mixed within each share).

Source: docs/design_notes.md, "A pipeline that resumes exactly".
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from ofa_tf.common import InputError
from ofa_tf.common.config import check_one_of, check_whole
from ofa_tf.common.resizing import CROP, RESIZES
from ofa_tf.data.augmentation import Augmentation, Draws, Mixing, draw, finished, fitted, square
from ofa_tf.data.batches import Batches
from ofa_tf.data.dataset import PIXELS, ImageDataset, Split
from ofa_tf.data.preprocessing import as_pixels, evaluation_image

SHUFFLE, AUGMENT, RESOLUTION, CALIBRATION = range(1, 5)

MAX_SEED = 2**32 - 1


def check_seed(seed: int) -> None:
    """Raises `InputError` unless the seed is a whole number that fits into 32 bits."""
    check_whole("seed", seed, 0, MAX_SEED)


def stream(seed: int, purpose: int, epoch: int | tf.Tensor, index: int | tf.Tensor) -> tf.Tensor:
    """An int64 (2,) seed that no other (seed, purpose, epoch < 2^24, index) has."""
    first = tf.cast(epoch, tf.int64) * 2**32 + (purpose * 2**56 + seed)
    return tf.stack([first, tf.cast(index, tf.int64)])


def shuffled(positions: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Where a permutation of `count` items, decided by the int64 (2,) seed, has put the given int64 positions."""
    # The shuffling operation drops all but the lower 32 bits of each half of its seed.
    words = tf.random.stateless_uniform([2], seed, None, None, tf.int32, alg="philox")
    return tf.random.experimental.index_shuffle(positions, words, tf.constant(count - 1, tf.int64))


def drawn_resolution(resolutions: tuple[int, ...], seed: int, step: int | tf.Tensor) -> int | tf.Tensor:
    """The resolution of a step's batch, uniformly one of `resolutions`, as an int32 scalar (an int if there is one)."""
    if len(resolutions) == 1:
        return resolutions[0]
    seeds = stream(seed, RESOLUTION, 0, step)
    index = tf.random.stateless_uniform([], seeds, 0, len(resolutions), tf.int32, alg="philox")
    return tf.gather(tf.constant(resolutions, tf.int32), index)


def resolution_of_step(resolutions: tuple[int, ...], seed: int, step: int) -> int:
    """The image side, in pixels, that `training_batches` uses at a step.

    Args:
        resolutions: image sides to draw from.
        seed: as given to `training_batches`.
        step: the batch's number, counted from the start of the stage.
    """
    with tf.init_scope(), tf.device("CPU:0"):
        return int(drawn_resolution(tuple(resolutions), seed, step))


def steps_per_epoch(dataset: ImageDataset, batch_size: int) -> int:
    """Full batches in the training split; the images left over are dropped, others in each epoch.

    Raises:
        InputError: there is not even one.
    """
    images = len(dataset.split("train"))
    _check_batch_size(batch_size)
    if batch_size > images:
        raise InputError(
            f"batch_size={batch_size}: dataset {dataset.name} has only {images} training images; give at most that"
        )
    return images // batch_size


def training_batches(
    dataset: ImageDataset,
    *,
    batch_size: int,
    resolutions: Sequence[int],
    augmentation: Augmentation,
    seed: int,
    first_step: int = 0,
    steps: int | None = None,
    worker: int = 0,
    workers: int = 1,
    resize: str = CROP,
) -> Batches:
    """Augmented batches of the training split, shuffled anew in each epoch.

    Args:
        dataset: the data set.
        batch_size: images per batch, of all workers together.
        resolutions: image sides in pixels, of which each batch has one (`resolution_of_step`).
        augmentation: what is drawn for each image.
        seed: decides the order, the resolutions and the augmentation.
        first_step: the step of the first batch; the batches are those of the uninterrupted run from there on.
        steps: how many batches, None for no end.
        worker: gets its rows of each batch, an equal share.
        workers: how many there are.
        resize: as in `Preprocessing`.

    Returns:
        `Batches` of uint8 images (batch_size / workers, r, r, 3) and int32 labels (batch_size / workers,), or where
        images are blended float32 (batch_size / workers, classes), soft targets.

    Raises:
        InputError: a batch would be larger than the training split, a resolution is not a positive whole number, or
            `resize` is unknown.
    """
    resolutions = _checked_resolutions(resolutions)
    check_seed(seed)
    split = _training_split(dataset, augmentation)
    epoch_steps = steps_per_epoch(dataset, batch_size)
    if batch_size % workers:
        raise InputError(f"batch_size={batch_size}: {workers} workers cannot share it equally; give a multiple")
    share = batch_size // workers
    own = slice(worker * share, (worker + 1) * share)

    def plan(step: tf.Tensor) -> tuple[tf.Tensor, tuple]:
        epoch = step // epoch_steps
        first = (step - epoch * epoch_steps) * batch_size
        positions = first + tf.range(batch_size, dtype=tf.int64)
        chosen = shuffled(positions, len(split), stream(seed, SHUFFLE, epoch, 0))
        resolution = tf.fill([share], drawn_resolution(resolutions, seed, step))
        draws = draw(augmentation, stream(seed, AUGMENT, 0, step), batch_size)
        return chosen[own], (resolution, tf.nest.map_structure(lambda values: values[own], draws))

    mix = Mixing(augmentation, dataset.num_classes, seed * workers + worker) if Mixing.wanted(augmentation) else None
    augmenting = _augmenting(split, augmentation, resolutions, resize)
    return Batches(split, first_step, steps, share, plan, mix=mix, **augmenting)


def _training_split(dataset: ImageDataset, augmentation: Augmentation) -> Split:
    """The training images, in memory where that is what makes the augmentation fast."""
    split = dataset.split("train")
    return split.in_memory if augmentation.pad else split


def _augmenting(
    split: Split, augmentation: Augmentation, resolutions: tuple[int, ...], resize: str
) -> dict[str, Callable | None]:
    """How `Batches` turns records into images, where a plan draws a resolution and `Draws` for each."""
    check_one_of("resize", resize, RESIZES)

    def image_of(image: tf.Tensor, drawn: tuple[tf.Tensor, Draws]) -> tuple:
        resolution, draws = drawn
        resolution = resolutions[0] if len(resolutions) == 1 else resolution
        return fitted(image, resolution, draws, augmentation, resize), draws

    def at_once(images: tf.Tensor, drawn: tuple[tf.Tensor, Draws]) -> tf.Tensor:
        of_images, draws = drawn
        resolution = resolutions[0] if len(resolutions) == 1 else of_images[0]
        return finished(square(images, resolution, resize), draws, augmentation)

    return {
        "image_of": image_of,
        "images_of": lambda tensors: finished(*tensors, augmentation),
        "at_once": at_once if augmentation.pad and split.kind == PIXELS else None,
    }


def evaluation_batches(
    dataset: ImageDataset,
    split: str,
    *,
    resolution: int,
    batch_size: int,
    crop_fraction: float,
    limit: int | None = None,
    resize: str = CROP,
) -> Batches:
    """Every image of a split once, in its own order, without randomness; the last batch may be short.

    Args:
        dataset: the data set.
        split: "validation" or "test" ("train" too).
        resolution: image side, in pixels.
        batch_size: images per batch.
        crop_fraction: see `Preprocessing`.
        limit: takes at most so many images, evenly spaced over the split (whose order is often by class).
        resize: see `Preprocessing`.

    Returns:
        `Batches` of uint8 images (batch, resolution, resolution, 3) and int32 labels (batch,).

    Raises:
        InputError: there is no such split, a number is not positive, or `resize` is unknown.
    """
    (resolution,) = _checked_resolutions([resolution])
    _check_batch_size(batch_size)
    check_one_of("resize", resize, RESIZES)
    source = dataset.split(split)
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit}: expected at least 1 image")
    images = len(source) if limit is None else min(limit, len(source))

    def plan(number: tf.Tensor) -> tuple[tf.Tensor, tuple]:
        first = number * batch_size
        positions = tf.range(first, tf.minimum(first + batch_size, images))
        return positions * len(source) // images, ()

    def image_of(image: tf.Tensor, _: tuple) -> tf.Tensor:
        return evaluation_image(as_pixels(image), resolution, crop_fraction, resize)

    count = -(-images // batch_size)
    static = images % batch_size == 0
    return Batches(source, 0, count, batch_size, plan, image_of, static_batch=static, drop=True)


def calibration_batches(
    dataset: ImageDataset,
    *,
    resolution: int,
    augmentation: Augmentation,
    images: int = 2000,
    batch_size: int = 200,
    seed: int = 0,
    resize: str = CROP,
) -> Batches:
    """Training images with the training augmentation, from which batch-norm statistics are recomputed.

    Args:
        dataset: the data set.
        resolution: image side, in pixels.
        augmentation: as in training.
        images: how many, all of them where the training split has fewer.
        batch_size: images per batch. A last batch that is not full is left out, unless it is the only one.
        seed: decides which images and how they are augmented.
        resize: as in `Preprocessing`.

    Returns:
        `Batches` of uint8 images (batch_size, resolution, resolution, 3) and int32 labels (batch_size,).

    Source: docs/method.md, "Calibration" (2,000 images in batches of 200).
    """
    (resolution,) = _checked_resolutions([resolution])
    check_seed(seed)
    _check_batch_size(batch_size)
    split = _training_split(dataset, augmentation)
    images = min(images, len(split))
    if images < 1:
        raise InputError(f"calibration images: {images}, expected at least 1")
    batch_size = min(batch_size, images)

    def plan(number: tf.Tensor) -> tuple[tf.Tensor, tuple]:
        positions = number * batch_size + tf.range(batch_size, dtype=tf.int64)
        chosen = shuffled(positions, len(split), stream(seed, CALIBRATION, 0, 0))
        draws = draw(augmentation, stream(seed, CALIBRATION, 1, number), batch_size)
        return chosen, (tf.fill([batch_size], resolution), draws)

    augmenting = _augmenting(split, augmentation, (resolution,), resize)
    return Batches(split, 0, images // batch_size, batch_size, plan, **augmenting)


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size}: expected at least 1 image")


def _checked_resolutions(resolutions: Sequence[int]) -> tuple[int, ...]:
    resolutions = tuple(int(resolution) for resolution in resolutions)
    if not resolutions or min(resolutions) < 1:
        raise InputError(f"resolutions: {list(resolutions)}, expected image sides of at least 1 pixel")
    return resolutions
