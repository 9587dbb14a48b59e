"""Accuracy of sub-networks (`Evaluator`, traced once for all of a supernet) and of plain Keras models."""

import dataclasses
import warnings
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofa_tf.common import InputError
from ofa_tf.common.splits import split_name
from ofa_tf.data import Augmentation, ImageDataset, Preprocessing, calibration_batches, evaluation_batches
from ofa_tf.networks import Supernet
from ofa_tf.spaces import TENSOR_COLUMNS, Arch


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of evaluating one sub-network.

    Args:
        arch: what was evaluated, its resolution included.
        top1: share of images whose most likely class is right, 0..1.
        top5: share of images whose class is among the five most likely, 0..1.
        images: how many there were.
        split: which ones: "validation" (for decisions), "test" (for final reports only) or "train".
        calibrated: whether batch-norm statistics were recomputed for it.
    """

    arch: Arch
    top1: float
    top5: float
    images: int
    split: str
    calibrated: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON-ready data."""
        return {**dataclasses.asdict(self), "arch": self.arch.to_dict()}


# Decoded images of a split at one resolution are kept if they fit; larger ones are decoded for every evaluation.
_CACHE_BYTES = 1 << 30


class Evaluator:
    """Accuracy of sub-networks on a named split, after batch-norm calibration.

    The supernet's moving statistics belong to no sub-network: without calibration the accuracy collapses.

    Args:
        net: the supernet; it is not changed.
        dataset: the images.
        preprocessing: normalizes images, and says how they are cropped or stretched.
        augmentation: of the training images that calibrate.
        calibration_images: how many of them.
        batch_size: images per batch, in calibration and in evaluation.
        seed: of the choice of calibration images.

    Raises:
        InputError: the network has other classes than the images.

    Source: Cai et al., section 3.3; docs/method.md, "Calibration".

    Example:
        evaluator = Evaluator(net, dataset, preprocessing=recipe.preprocessing, augmentation=recipe.augmentation)
        evaluator.evaluate(net.space.smallest(), split="validation").top1
    """

    def __init__(
        self,
        net: Supernet,
        dataset: ImageDataset,
        *,
        preprocessing: Preprocessing,
        augmentation: Augmentation,
        calibration_images: int = 2000,
        batch_size: int = 200,
        seed: int = 0,
    ):
        if net.space.num_classes != dataset.num_classes:
            raise InputError(_other_classes(net.space.num_classes, dataset))
        self.net = net
        self.dataset = dataset
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.calibration_images = calibration_images
        self.batch_size = batch_size
        self.seed = seed
        self._cache: dict[tuple, list] = {}
        images = tf.TensorSpec((None, None, None, 3), tf.uint8)
        arch = tf.TensorSpec((len(net.space.positions), TENSOR_COLUMNS), tf.int32)
        statistics = tf.TensorSpec((2, net.statistics_channels), tf.float32)
        # The signatures make a second trace impossible: what does not fit them is an error.
        self.logits = tf.function(self._logits, autograph=False, input_signature=[images, arch, statistics])
        self.batch_statistics = tf.function(self._batch_statistics, autograph=False, input_signature=[images, arch])

    def _logits(self, images, arch, statistics):
        return self.net(self.preprocessing.normalize(images), arch=arch, statistics=statistics)

    def _batch_statistics(self, images, arch):
        return self.net.batch_statistics(self.preprocessing.normalize(images), arch)[1]

    def calibrate(self, arch: Arch) -> np.ndarray:
        """Recomputes the batch-norm statistics of a sub-network from augmented training images.

        Returns:
            float32 (2, statistics_channels), the average over batches of means and of biased variances: for
            `Supernet.call` and `Supernet.extract`.
        """
        sizes = self.net.space.to_array(arch)
        batches = self._batches(("calibration", arch.r), lambda: self._calibration(arch.r))
        return np.mean([self.batch_statistics(images, sizes).numpy() for images, _ in batches], axis=0)

    def evaluate(
        self,
        arch: Arch,
        *,
        split: str,
        statistics: np.ndarray | None = None,
        calibrate: bool = True,
        limit: int | None = None,
    ) -> Evaluation:
        """Evaluates a sub-network at its own resolution.

        Args:
            arch: the sub-network.
            split: "validation" for every decision; "test" only for the final report.
            statistics: from `calibrate`, which is called unless they are given.
            calibrate: False uses the supernet's moving statistics, which warns.
            limit: at most so many images, evenly spaced over the split.
        """
        split = split_name(split)
        self._tell_untrained(arch.r)
        if statistics is None and calibrate:
            statistics = self.calibrate(arch)
        if statistics is None:
            warnings.warn(
                "evaluating a sub-network without batch-norm calibration: its accuracy says little", stacklevel=2
            )
            statistics = self.moving_statistics()
        sizes = self.net.space.to_array(arch)
        batches = self._batches((split, arch.r, limit), lambda: self._evaluation(split, arch.r, limit))
        top1 = top5 = count = 0
        for images, labels in batches:
            logits = self.logits(images, sizes, statistics).numpy()
            top1 += hits(logits, labels, 1)
            top5 += hits(logits, labels, 5)
            count += len(labels)
        return Evaluation(self.net.space.canonical(arch), top1 / count, top5 / count, count, split, bool(calibrate))

    def images(self, split: str, resolution: int, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """A split's images as they are evaluated, uint8 (images, r, r, 3), and their labels, int32 (images,)."""
        self._tell_untrained(resolution)
        return self._joined((split, resolution, limit), lambda: self._evaluation(split, resolution, limit))

    def _tell_untrained(self, resolution: int) -> None:
        trained = self.net.space.resolutions
        if not trained[0] <= resolution <= trained[-1]:
            warnings.warn(
                f"evaluating at {resolution} pixels, but the supernet was trained on {trained[0]} to {trained[-1]}",
                stacklevel=3,
            )

    def calibration_set(self, resolution: int) -> tuple[np.ndarray, np.ndarray]:
        """The training images that calibrate, uint8 (images, r, r, 3), and their labels, int32 (images,)."""
        return self._joined(("calibration", resolution), lambda: self._calibration(resolution))

    def _joined(self, key, make):
        batches = list(self._batches(key, make))
        return np.concatenate([images for images, _ in batches]), np.concatenate([labels for _, labels in batches])

    def _calibration(self, resolution):
        return calibration_batches(
            self.dataset,
            resolution=resolution,
            augmentation=self.augmentation,
            images=self.calibration_images,
            batch_size=self.batch_size,
            seed=self.seed,
            resize=self.preprocessing.resize,
        )

    def _evaluation(self, split, resolution, limit):
        return evaluation_batches(
            self.dataset,
            split,
            resolution=resolution,
            batch_size=self.batch_size,
            crop_fraction=self.preprocessing.crop_fraction,
            limit=limit,
            resize=self.preprocessing.resize,
        )

    def _batches(self, key: tuple, make) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """Batches from the cache; where they fit, they are put there on the way."""
        if key in self._cache:
            yield from self._cache[key]
            return
        kept, size = [], sum(images.nbytes for batches in self._cache.values() for images, _ in batches)
        for images, labels in make():
            batch = np.asarray(images), np.asarray(labels)
            size += batch[0].nbytes
            if size <= _CACHE_BYTES:
                kept.append(batch)
            yield batch
        if size <= _CACHE_BYTES:
            self._cache[key] = kept

    def moving_statistics(self) -> np.ndarray:
        """The batch-norm statistics that the supernet has itself, of its training or of the file it was read from.

        Returns:
            float32 (2, statistics_channels), means and biased variances, as of `calibrate`.
        """
        norms = [norm for block in self.net.blocks for norm in block.norms]
        means = np.concatenate([norm.moving_mean.numpy() for norm in norms])
        return np.stack([means, np.concatenate([norm.moving_variance.numpy() for norm in norms])])


def hits(logits: np.ndarray, labels: np.ndarray, k: int) -> int:
    """How many labels are among the k largest logits of their row.

    A tie counts against the label, so that a constant or NaN output scores nothing.
    """
    own = np.take_along_axis(logits, np.asarray(labels)[:, np.newaxis], axis=1)
    not_below = np.sum(~(logits < own), axis=1)  # the label's own logit included
    return int(np.sum(not_below <= k))


def _other_classes(outputs: int, dataset: ImageDataset) -> str:
    return (
        f"evaluation: the network has {outputs} outputs, dataset {dataset.name} has {dataset.num_classes} classes; "
        f"give images of its classes"
    )


_BATCH = 100


def evaluate_model(
    model: keras.Model, dataset: ImageDataset, *, split: str, preprocessing: Preprocessing
) -> dict[str, float]:
    """Top-1 and top-5 of a plain model, whose batch norms carry their own statistics.

    Args:
        model: normalized images (batch, r, r, 3) to logits.
        dataset: the images.
        split: "validation" for every decision; "test" only for the final report.
        preprocessing: normalizes and crops (or stretches) the images.

    Returns:
        "top1" and "top5" (0..1), and "images", how many.

    Raises:
        InputError: the model is no classifier of images of one size, or one of other classes.

    Example:
        evaluate_model(net.extract(arch, statistics), dataset, split="validation", preprocessing=PUBLISHED)["top1"]
    """
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    are_shapes = [isinstance(shape, tuple) and len(shape) for shape in shapes] == [4, 2]
    if not are_shapes or shapes[0][1] is None or shapes[0][1:] != (shapes[0][1], shapes[0][1], 3):
        raise InputError(
            f"evaluate_model: the model maps {shapes[0]} to {shapes[1]}, expected images to logits; build "
            f"it for images of one size, (batch, r, r, 3), and logits (batch, classes)"
        )
    if shapes[1][1] != dataset.num_classes:
        raise InputError(_other_classes(shapes[1][1], dataset))
    resolution = shapes[0][1]
    batches = evaluation_batches(
        dataset,
        split,
        resolution=resolution,
        batch_size=_BATCH,
        crop_fraction=preprocessing.crop_fraction,
        resize=preprocessing.resize,
    )
    top1 = top5 = count = 0
    for images, labels in batches:
        logits = np.asarray(model(preprocessing.normalize(images), training=False))
        top1, top5 = top1 + hits(logits, labels, 1), top5 + hits(logits, labels, 5)
        count += len(labels)
    return {"top1": top1 / count, "top5": top5 / count, "images": count}
