"""Batches: addressed by step, resumable, one resolution each, complete, and clear about unreadable images."""

import dataclasses
import itertools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from ofa_tf import data
from ofa_tf.common import InputError
from ofa_tf.data import dataset as dataset_module
from tests.data.image_files import encoded, gradient, write_folder

AUGMENTATION = data.Augmentation()
RESOLUTIONS = (16, 20, 24, 28)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    write_folder(root / "train", {"ant": 9, "bee": 14})
    write_folder(root / "test", {"ant": 3, "bee": 4})
    return data.load("folder", root, validation=3)


def numbered(count: int, side: int = 8) -> data.ImageDataset:
    """A data set whose image i is filled with the value i."""
    pixels = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, side, side, 3))
    split = data.Split.make("numbered", "pixels", pixels, np.arange(count) % 7)
    return data.ImageDataset("numbered", tuple("abcdefg"), {"train": split, "test": split})


def values(batches) -> list[np.ndarray]:
    """The image numbers of a `numbered` data set, batch by batch."""
    return [images.numpy()[:, 0, 0, 0] for images, _ in batches]


def training(dataset, batch_size=5, **arguments):
    arguments = {"resolutions": RESOLUTIONS, "augmentation": AUGMENTATION, "seed": 1, **arguments}
    return data.training_batches(dataset, batch_size=batch_size, **arguments)


def plain(dataset, batch_size, **arguments):
    """Training batches whose pixels are those of the images."""
    augmentation = data.Augmentation((1.0, 1.0), (1.0, 1.0), True, 0.0, 0.0)
    return training(dataset, batch_size, augmentation=augmentation, **arguments)


def equal(first, second):
    for (images, labels), (other_images, other_labels) in zip(first, second, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def test_resuming_at_any_step_gives_the_same_batches(photos):
    """The batches from step k on are those of the uninterrupted run, over the end of an epoch too."""
    whole = list(training(photos, steps=10))
    assert data.steps_per_epoch(photos, 5) == 4
    for step in (1, 3, 4, 9):
        equal(whole[step:], training(photos, first_step=step, steps=10 - step))
    equal(whole, training(photos, steps=10))


def test_another_seed_gives_other_batches(photos):
    """The seed decides the order and what is drawn."""
    resolutions = (16,)
    (first, labels), (second, _) = (
        next(iter(training(photos, resolutions=resolutions, seed=seed, steps=1))) for seed in (1, 2)
    )
    assert (first.numpy() != second.numpy()).any()
    assert first.dtype == tf.uint8
    assert labels.dtype == tf.int32
    assert first.shape == (5, 16, 16, 3)


def test_resolution_of_step_agrees_with_the_pipeline(photos):
    """The plain function tells the resolution of every batch, and all resolutions occur about equally often."""
    told = [data.resolution_of_step(RESOLUTIONS, 1, step) for step in range(12)]
    assert [images.shape[1] for images, _ in training(photos, steps=12)] == told
    counts = np.bincount([data.resolution_of_step(RESOLUTIONS, 5, step) for step in range(400)])
    assert set(np.flatnonzero(counts)) == set(RESOLUTIONS)
    assert counts[counts > 0].min() > 60


def test_resolution_of_step_inside_a_traced_function():
    """It is a plain integer even while a training step is traced."""
    told = []
    tf.function(lambda: told.append(data.resolution_of_step(RESOLUTIONS, 1, 3)))()
    assert told == [data.resolution_of_step(RESOLUTIONS, 1, 3)]


def test_an_epoch_has_each_image_once_and_its_own_order():
    """No image is repeated in an epoch; the remainder is dropped; each epoch is shuffled anew."""
    dataset = numbered(23)
    epochs = np.concatenate(values(plain(dataset, 5, steps=12, resolutions=(8,)))).reshape(3, 20)
    assert all(len(set(epoch.tolist())) == 20 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3
    assert set(epochs.ravel().tolist()) == set(range(23))


def test_labels_stay_with_their_images():
    """Shuffling and batching never part an image from its label."""
    for images, labels in plain(numbered(23), 5, steps=5):
        np.testing.assert_array_equal(images.numpy()[:, 0, 0, 0] % 7, labels)


def test_augmentation_differs_between_epochs():
    """An image is not augmented alike in every epoch."""
    dataset = numbered(1, side=1)
    dataset.splits["train"] = data.Split.make("one", "pixels", gradient(20, 20)[None], [0])
    batches = [images.numpy() for images, _ in training(dataset, 1, resolutions=(16,), steps=6)]
    assert len({batch.tobytes() for batch in batches}) == 6


def test_without_steps_it_does_not_end():
    """steps=None goes on after the epoch; its length cannot be asked for."""
    batches = plain(numbered(6), 3, resolutions=(8,))
    assert len(list(itertools.islice(batches, 9))) == 9
    with pytest.raises(TypeError, match="steps"):
        len(batches)
    assert len(plain(numbered(6), 3, steps=4)) == 4


def test_batch_larger_than_the_training_set(photos):
    """It is refused with the number of images there are."""
    with pytest.raises(InputError, match=r"batch_size=21.*20 training images"):
        training(photos, batch_size=21)


@pytest.mark.parametrize("resolutions", [(), (0, 16)])
def test_bad_resolutions(photos, resolutions):
    """No resolution, or one of no pixels, is refused before anything is read."""
    with pytest.raises(InputError, match="resolutions"):
        training(photos, resolutions=resolutions)


def test_evaluation_reads_every_image_once_in_order(photos):
    """File order, nothing left out, the last batch short, the same every time."""
    batches = data.evaluation_batches(photos, "test", resolution=16, batch_size=3, crop_fraction=0.875)
    assert [len(labels) for _, labels in batches] == [3, 3, 1]
    assert len(batches) == 3
    assert np.concatenate([labels for _, labels in batches]).tolist() == [0] * 3 + [1] * 4
    first = next(iter(batches))[0][0]
    split = photos.split("test")
    image = data.decode_image(split.read(tf.constant(split.indices[0])))
    np.testing.assert_array_equal(first, data.evaluation_image(image, 16, 0.875))
    equal(batches, batches)


def test_stretched_batches_are_of_whole_images(tmp_path):
    """In training, calibration and evaluation: both ends of a photo are there, of which a crop lacks one."""
    image = np.zeros((16, 64, 3), np.uint8)
    image[:, :16], image[:, -16:] = (200, 0, 0), (0, 0, 200)
    for split in ("train", "test"):
        for name in "ab":
            path = tmp_path / split / name / "photo.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(encoded(image, "PNG"))
    photos = data.load("folder", tmp_path, validation=1)
    drawn = {"augmentation": data.Augmentation((1.0, 1.0), (1.0, 1.0), False, 0.0, 0.0)}
    for resize, expected in (("stretch", {(200, 0), (0, 200)}), ("crop", {(0, 0)})):
        made = (
            data.training_batches(photos, batch_size=1, resolutions=(16,), seed=0, steps=1, resize=resize, **drawn),
            data.calibration_batches(photos, resolution=16, resize=resize, **drawn),
            data.evaluation_batches(photos, "test", resolution=16, batch_size=2, crop_fraction=1.0, resize=resize),
        )
        for number, batches in enumerate(made):
            [(images, _)] = batches
            ends = {(int(red), int(blue)) for red, _, blue in images.numpy()[0, 8, [1, -2]]}
            # A square crop is anywhere when it is drawn, and in the middle in evaluation.
            assert ends == expected if resize == "stretch" or number == 2 else ends != {(200, 0), (0, 200)}


def test_a_way_of_resizing_that_there_is_not(photos):
    """Refused before anything is read."""
    calls = (
        lambda: training(photos, resize="squeeze"),
        lambda: data.calibration_batches(photos, resolution=16, augmentation=AUGMENTATION, resize="squeeze"),
        lambda: data.evaluation_batches(
            photos, "test", resolution=16, batch_size=2, crop_fraction=1.0, resize="squeeze"
        ),
    )
    for call in calls:
        with pytest.raises(InputError, match="resize is 'squeeze', expected one of crop, stretch"):
            call()


@pytest.mark.parametrize(("limit", "expected"), [(4, [0, 5, 10, 15]), (20, range(20)), (99, range(20))])
def test_evaluation_limit_is_spread_over_the_split(limit, expected):
    """A part of a split sorted by class still has all classes."""
    batches = data.evaluation_batches(numbered(20), "test", resolution=8, batch_size=20, crop_fraction=1.0, limit=limit)
    assert np.concatenate(values(batches)).tolist() == list(expected)


def test_calibration_is_fixed_by_its_seed():
    """The same seed gives the same full batches of distinct training images; another seed others."""
    dataset = numbered(50)
    arguments = {"resolution": 8, "augmentation": data.Augmentation(brightness=0.0, saturation=0.0), "batch_size": 8}
    first, again, other = (
        np.concatenate(values(data.calibration_batches(dataset, images=30, seed=seed, **arguments)))
        for seed in (0, 0, 1)
    )
    assert len(set(first.tolist())) == 24
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(("images", "batch_size", "sizes"), [(2000, 8, [8, 8]), (2000, 200, [20]), (6, 8, [6])])
def test_calibration_takes_what_there_is(images, batch_size, sizes):
    """Fewer images than asked for: full batches only, unless there would be none."""
    batches = data.calibration_batches(
        numbered(20), resolution=8, augmentation=AUGMENTATION, images=images, batch_size=batch_size
    )
    assert [len(labels) for _, labels in batches] == sizes


def test_calibration_uses_the_training_augmentation(photos):
    """Two batches over the same data with different augmentations differ."""
    whole = data.Augmentation((1.0, 1.0), (1.0, 1.0), False, 0.0, 0.0)
    (first, labels), (second, same_labels) = (
        next(iter(data.calibration_batches(photos, resolution=16, augmentation=augmentation, images=8)))
        for augmentation in (AUGMENTATION, whole)
    )
    np.testing.assert_array_equal(labels, same_labels)
    assert (first.numpy() != second.numpy()).any()


def all_kinds(dataset):
    yield training(dataset, 4, steps=5)
    yield data.evaluation_batches(dataset, "train", resolution=16, batch_size=4, crop_fraction=1.0)
    yield data.calibration_batches(dataset, resolution=16, augmentation=AUGMENTATION, images=20, batch_size=4)


def broken_files():
    whole = encoded(gradient(40, 40), "JPEG")
    return {
        "text": b"this is no image",
        "empty": b"",
        "header": whole[:100],
        "png": encoded(gradient(40, 40), "PNG")[:60],
        "missing": None,
    }


@pytest.mark.parametrize("kind", broken_files())
def test_an_unreadable_image_is_named_and_passed_over(tmp_path, kind):
    """Every pipeline goes on without it, with one line that names the file; training keeps its batches full."""
    write_folder(tmp_path / "train", {"ant": 10, "bee": 11})
    content = broken_files()[kind]
    for index in range(3):
        dataset = data.load("folder", tmp_path, validation=1)  # that knows of nothing
        split = dataset.split("train")
        victim = split.describe(int(split.indices[13]))
        whole = pathlib.Path(victim).read_bytes()
        tf.io.gfile.remove(victim) if content is None else tf.io.write_file(victim, content)
        batches = list(all_kinds(dataset))[index]
        with pytest.warns(UserWarning, match="not a readable image") as caught:
            labels = [len(labels) for _, labels in batches]
        (message,) = {str(warning.message) for warning in caught}
        assert message.startswith(victim)
        assert message.endswith("passed over (1 of 20 so far)")
        assert "\n" not in message
        assert "{{" not in message
        assert sum(labels) == (19 if batches.drop else batches.batch_size * len(batches))
        assert all(len(images) == len(labels) for images, labels in batches)
        pathlib.Path(victim).write_bytes(whole)


def test_a_resumed_run_passes_over_the_same_images(tmp_path):
    """The image in the place of a damaged one follows from the split alone: a resumed run sees the same batches."""
    write_folder(tmp_path / "train", {"ant": 20, "bee": 21})
    dataset = data.load("folder", tmp_path, validation=1)
    split = dataset.split("train")
    tf.io.write_file(split.describe(int(split.indices[7])), b"broken")
    arguments = {"batch_size": 8, "resolutions": (16,), "augmentation": AUGMENTATION, "seed": 3}
    with pytest.warns(UserWarning, match="passed over"):
        whole = list(data.training_batches(dataset, steps=8, **arguments))
    again = dataclasses.replace(dataset, splits={"train": dataclasses.replace(split, damaged={})})
    with pytest.warns(UserWarning, match="passed over"):
        rest = list(data.training_batches(again, first_step=3, steps=5, **arguments))
    for (images, labels), (same_images, same_labels) in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)


def test_too_many_unreadable_images_end_the_run(tmp_path):
    """One of twenty is passed over; the second one ends it, with the count and the limit."""
    write_folder(tmp_path / "train", {"ant": 10, "bee": 11})
    dataset = data.load("folder", tmp_path, validation=1)
    split = dataset.split("train")
    for place in (3, 9):
        tf.io.write_file(split.describe(int(split.indices[place])), b"broken")
    batches = data.evaluation_batches(dataset, "train", resolution=16, batch_size=4, crop_fraction=1.0)
    seen = []
    with (
        pytest.warns(UserWarning, match="1 of 20 so far"),
        pytest.raises(InputError, match="2nd of 20 images that cannot be read, and more than 1%") as caught,
    ):
        seen.extend(len(labels) for _, labels in batches)
    assert len(seen) <= 2  # not those of the third batch, which has the second one
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_share_a_batch(photos, workers):
    """The rows of all workers, one after the other, are the batch that one worker alone would have."""
    arguments = {"resolutions": (16, 24), "augmentation": AUGMENTATION, "seed": 5, "steps": 3, "batch_size": 12}
    whole = list(data.training_batches(photos, **arguments))
    parts = [list(data.training_batches(photos, worker=w, workers=workers, **arguments)) for w in range(workers)]
    for step, (images, labels) in enumerate(whole):
        np.testing.assert_array_equal(images, np.concatenate([part[step][0] for part in parts]))
        np.testing.assert_array_equal(labels, np.concatenate([part[step][1] for part in parts]))
    with pytest.raises(InputError, match="5 workers cannot share it equally"):
        data.training_batches(photos, worker=0, workers=5, **arguments)


PADDED = data.Augmentation(pad=4, brightness=0.0, saturation=0.0)


@pytest.mark.parametrize("resolutions", [(24,), (16, 20)])
def test_small_images_are_decoded_once_and_give_the_same_batches(tmp_path, monkeypatch, resolutions):
    """In memory or read for every batch, the images are equal; a later epoch reads no file."""
    write_folder(tmp_path / "train", {"ant": 9, "bee": 14}, size=(24, 24))
    options = {"augmentation": PADDED, "resolutions": resolutions, "steps": 9}
    monkeypatch.setattr(dataset_module, "MEMORY_BYTES", 20 * 24 * 24 * 3 - 1)
    read = list(training(data.load("folder", tmp_path, validation=3), **options))
    monkeypatch.setattr(dataset_module, "MEMORY_BYTES", 20 * 24 * 24 * 3)
    photos = data.load("folder", tmp_path, validation=3)
    assert photos.split("train").in_memory.kind == "pixels"
    for path in sorted((tmp_path / "train").rglob("*.jpg")):
        path.unlink()
    kept = list(training(photos, **options))
    equal(read, kept)
    equal(kept[4:], training(photos, **{**options, "first_step": 4, "steps": 5}))
    workers = [list(training(photos, batch_size=4, worker=w, workers=2, **options)) for w in (0, 1)]
    alone = list(training(photos, batch_size=4, **options))
    for (images, labels), *shares in zip(alone, *workers, strict=True):
        np.testing.assert_array_equal(images, np.concatenate([share for share, _ in shares]))
        np.testing.assert_array_equal(labels, np.concatenate([share for _, share in shares]))
    calibrating = list(data.calibration_batches(photos, resolution=24, augmentation=PADDED, images=20, batch_size=10))
    assert [images.shape for images, _ in calibrating] == [(10, 24, 24, 3)] * 2


def test_images_of_different_sizes_are_read_for_every_batch(tmp_path):
    """Pad and crop does not need them in memory."""
    write_folder(tmp_path / "train", {"ant": 9, "bee": 14}, size=(24, 24))
    (tmp_path / "train" / "ant" / "wide.png").write_bytes(encoded(gradient(24, 40), "PNG"))
    photos = data.load("folder", tmp_path, validation=1)
    assert photos.split("train").in_memory.kind == "files"
    (images, _), *_ = training(photos, augmentation=PADDED, resolutions=(16,), steps=4)
    assert images.shape == (5, 16, 16, 3)


def test_a_damaged_image_is_passed_over_in_memory_too(tmp_path):
    """It is named in a warning while the images are decoded, and another stands in its place."""
    write_folder(tmp_path / "train", {"ant": 120, "bee": 90}, size=(8, 8))
    photos = data.load("folder", tmp_path, validation=0.01)
    (tmp_path / "train" / "ant" / "007.jpg").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"007\.jpg: not a readable image"):
        batches = list(training(photos, batch_size=50, augmentation=PADDED, resolutions=(8,), steps=8))
    assert photos.split("train").in_memory.kind == "pixels"
    assert all((images.numpy().max((1, 2, 3)) > 0).all() for images, _ in batches)
