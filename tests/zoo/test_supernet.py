"""The supernets that ship: small, whole, of known origin, and as good as they say."""

import pathlib

import numpy as np
import pytest

from ofa_tf import data, spaces, zoo
from ofa_tf.common import InputError
from ofa_tf.data.names import imagenet_names
from tests.reference import ROOT

NAME = "ofa_imagenette_mbv3"
# Made of EfficientNet-Lite0, which has ImageNet's classes.
LITE = "ofa_efficientnet_lite"


def test_it_is_small_and_says_where_it_comes_from():
    """Supernet and predictor take at most 8 MB; recipe, commit, data and accuracies stand in the file."""
    folder = pathlib.Path(zoo.__file__).parent
    files = [folder / part / f"{NAME}.npz" for part in ("supernets", "accuracy_predictors")]
    assert sum(file.stat().st_size for file in files) <= 8e6
    packed = zoo.packed_supernet(NAME)
    assert packed.net.space.resolutions == (96, 112, 128, 144, 160)
    assert packed.net.space.num_classes == len(packed.class_names) == 10
    assert packed.dataset["validation"] == 1000
    assert packed.provenance["recipe"]["schedule"] == "progressive"
    assert packed.provenance["commit"]
    assert packed.provenance["metrics"][0]["top1"] >= 0.85
    assert zoo.supernet(NAME).space == packed.net.space


def test_its_predictor():
    """It is of this space, knows all its resolutions, and says how good it is on pairs that it was not fitted to."""
    predictor, packed = zoo.accuracy_predictor(NAME), zoo.packed_supernet(NAME)
    space = packed.net.space
    assert predictor.space.same_weights(space)
    assert predictor.resolutions == space.resolutions
    assert predictor.metrics["kendall_tau"] > 0.5
    smallest, largest = predictor.predict(space, [space.smallest(), space.largest()])
    assert 0.7 < smallest < largest < 0.95


def test_its_photos():
    """The classes are the supernet's, in its order, each with a name; no photo is in both splits."""
    packed = zoo.packed_supernet(NAME)
    dataset = data.load("folder", zoo.photos(NAME))
    assert dataset.class_names == packed.class_names
    splits = {name: dataset.split(name) for name in ("train", "validation")}
    assert {name: len(split) for name, split in splits.items()} == {"train": 200, "validation": 100}
    for split in splits.values():
        assert len(set(np.bincount(split.labels))) == 1
    files = [pathlib.Path(split.describe(int(i))).name for split in splits.values() for i in split.indices]
    assert len(set(files)) == 300


def test_the_one_that_knows_imagenet():
    """At most 10 MB; classes by their ids, which have names; all image sides; says what it was begun with."""
    folder = pathlib.Path(zoo.__file__).parent
    assert (folder / "supernets" / f"{LITE}.npz").stat().st_size <= 10e6
    packed = zoo.packed_supernet(LITE)
    space = packed.net.space
    assert space.same_weights(spaces.get(LITE))
    assert space.resolutions == (96, 128, 160, 192, 224)
    assert packed.class_names == tuple(sorted(imagenet_names()))
    assert imagenet_names()[packed.class_names[0]] == "tench"
    assert packed.provenance["recipe"]["labels"] == "teacher"
    assert packed.provenance["begun_with"]["space"] == LITE
    assert packed.provenance["commit"]
    predictor = zoo.accuracy_predictor(LITE)
    assert predictor.space.same_weights(space)
    assert predictor.resolutions == space.resolutions
    # A fifth of the pairs tells how good it is.
    assert predictor.metrics["count"] >= 60
    assert predictor.metrics["kendall_tau"] > 0.8


def test_the_licence_of_what_others_made_is_told():
    """NOTICE names each file that was made of others' weights, and its licence."""
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for path in ("supernets/ofa_efficientnet_lite.npz", "photos/"):
        assert f"ofa_tf/zoo/{path}" in notice
        assert (ROOT / "ofa_tf/zoo" / path).exists()
    assert "EfficientNet-Lite0" in notice
    assert "Apache License" in notice


def test_photos_of_some_of_its_classes():
    """Of 1,000 classes, 200 to calibrate with and 200 others to check with."""
    packed = zoo.packed_supernet(LITE)
    dataset = data.load("folder", zoo.photos(LITE), classes=packed.class_names)
    assert dataset.class_names == packed.class_names
    train, validation = (set(dataset.split(name).labels.tolist()) for name in ("train", "validation"))
    assert (len(train), len(validation), train & validation) == (200, 200, set())


def test_unknown_names():
    """What does not ship is answered with what does."""
    with pytest.raises(InputError, match=f"'mine' does not ship, there are: {LITE}, {NAME}"):
        zoo.supernet("mine")
    with pytest.raises(InputError, match="without photos; give --data_dir"):
        zoo.photos("mine")
