"""TensorFlow Datasets: really prepared, really read, in both file formats."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from ofa_tf import data
from ofa_tf.common import InputError
from tests.data.image_files import encoded, exif, gradient, write_folder

IMAGES = {"train": 20, "validation": 5, "test": 4}


class TinyPhotos(tfds.core.GeneratorBasedBuilder):
    """Image i of a split is filled with the value 10 i; PNG files of different sizes."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["ant", "bee"]),
            "id": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(count) for split, count in IMAGES.items()}

    def _generate_examples(self, count):
        for number in range(count):
            image = np.full((12 + number, 16, 3), 10 * number, np.uint8)
            yield number, {"image": image, "label": number % 2, "id": str(number)}


class TinyNumbers(tfds.core.GeneratorBasedBuilder):
    """No image in it."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"value": tfds.features.Scalar(tf.int64), "label": tfds.features.ClassLabel(num_classes=2)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"value": 1, "label": 0}


class TinyUnreachable(TinyPhotos):
    """Its download fails."""

    def _split_generators(self, dl_manager):
        raise ConnectionError("no route to some.host.example")


@pytest.fixture(scope="module", params=["array_record", "tfrecord"])
def prepared(request, tmp_path_factory):
    """A data folder with `tiny_photos` prepared in one of the two formats."""
    folder = tmp_path_factory.mktemp(request.param)
    TinyPhotos(data_dir=folder, file_format=request.param).download_and_prepare()
    return request.param, folder


def test_images_and_labels(prepared):
    """All images arrive with their labels, in both formats; their own validation split is preferred as test."""
    file_format, folder = prepared
    dataset = data.load("tiny_photos", folder, validation=4)
    assert dataset.class_names == ("ant", "bee")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 16, "validation": 4, "test": 5}
    assert dataset.split("train").kind == {"array_record": "random_access", "tfrecord": "encoded"}[file_format]
    seen = set()
    for split in dataset.splits:
        for images, labels in data.evaluation_batches(dataset, split, resolution=8, batch_size=4, crop_fraction=1.0):
            values = images.numpy()[:, 0, 0, 0]
            np.testing.assert_array_equal(values // 10 % 2, labels)
            seen |= set(values.tolist()) if split != "test" else set()
    assert seen == set(range(0, 200, 10))


def test_training_resumes(prepared):
    """Random access, and so the step-addressed pipeline, works on both."""
    dataset = data.load("tiny_photos", prepared[1], validation=4)
    arguments = {"batch_size": 4, "resolutions": (8, 12), "augmentation": data.Augmentation(), "seed": 0}
    whole = list(data.training_batches(dataset, steps=6, **arguments))
    for (images, _), (again, _) in zip(
        whole[3:], data.training_batches(dataset, first_step=3, steps=3, **arguments), strict=True
    ):
        np.testing.assert_array_equal(images, again)


def test_an_unprepared_set_is_prepared(tmp_path):
    """A set that is not there yet is prepared for random access."""
    dataset = data.load("tiny_photos", tmp_path, validation=4)
    assert dataset.split("train").kind == "random_access"


@pytest.mark.parametrize("below", ["", "tiny_photos", "tiny_photos/1.0.0"])
def test_a_prepared_folder_goes_by_its_path(prepared, below):
    """As --data_dir of a folder or as --dataset, with its version or without."""
    path = prepared[1] / below
    for dataset in (data.load("folder", path, validation=4), data.load(str(path), validation=4)):
        assert dataset.class_names == ("ant", "bee")
        assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 16, "validation": 4, "test": 5}


def test_a_folder_of_images_goes_by_its_path(tmp_path):
    """What TFDS's `ImageFolder` reads is read from here, too."""
    write_folder(tmp_path / "train", {"ant": 5, "bee": 5})
    write_folder(tmp_path / "test", {"ant": 2})
    for dataset in (data.load(str(tmp_path)), data.load("image_folder", tmp_path), data.load("ImageFolder", tmp_path)):
        assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 9, "validation": 1, "test": 2}


def test_images_of_a_set_are_turned_upright(tmp_path):
    """What a camera wrote into the files of a prepared set counts."""
    split = data.Split.make("one", "encoded", [encoded(gradient(20, 30), "JPEG", exif=exif(6))] * 2, [0, 1])
    assert data.decode_image(split.read(tf.constant(0, tf.int64))).shape == (30, 20, 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_photos", "neither folder nor digits nor a name"),
        ("folders/../x", "neither folder nor digits nor a name"),
        ("tiny_numbers", r"features are value \(Scalar\), label \(ClassLabel\)"),
        ("tiny_unreachable", "preparing it failed.*tfds build tiny_unreachable"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, name, words):
    """An unknown name, a set without images, and a failed download say what to do, and name no host."""
    with pytest.raises(InputError, match=words) as caught:
        data.load(name, tmp_path)
    assert "\n" not in str(caught.value)
    assert ".example" not in str(caught.value)
