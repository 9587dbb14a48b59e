"""The supernet that ships: small, whole, of known origin, and as good as it says."""

import pathlib

import numpy as np
import pytest

from ofa_tf import data, zoo
from ofa_tf.common import InputError

NAME = "ofa_imagenette_mbv3"


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


def test_unknown_names():
    """What does not ship is answered with what does."""
    with pytest.raises(InputError, match=f"'mine' does not ship, there are: {NAME}"):
        zoo.supernet("mine")
    with pytest.raises(InputError, match="without photos; give --data_dir"):
        zoo.photos("mine")
