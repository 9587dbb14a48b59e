"""Images that turn out to be damaged during a run: noted, removed or left, the run goes on with the same batches."""

import pathlib
import shutil

import numpy as np
import pytest

from ofa_tf import data
from ofa_tf.common import InputError
from ofa_tf.training import open_experiment
from tests.data.image_files import write_folder

STAGES = ("full", "kernel", "depth1", "depth2", "expand1", "expand2")
BATCHES = {"batch_size": 4, "resolutions": (16,), "augmentation": data.Augmentation(), "seed": 3}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two classes of ten; lists go to a cache of the test's own."""
    monkeypatch.setenv("OFA_TF_CACHE", str(tmp_path / "cache"))
    return write_folder(tmp_path / "photos" / "train", {"ant": 10, "bee": 10}).parent


def experiment_of(photos) -> dict:
    """A small run on a folder of photos."""
    return {
        "space": "ofa_tiny", "dataset": "folder", "data_dir": str(photos), "validation": 2, "data_seed": 0,
        "batch_size": 4, "stages": {name: {"epochs": 1} for name in STAGES},
    }  # fmt: skip


@pytest.mark.parametrize("then", ["removed", "left"])
def test_what_a_run_finds_later_keeps_its_place(photos, tmp_path, then):
    """An image that is damaged during a run is noted there; removed or not, the run goes on with the same batches."""
    config = experiment_of(photos)
    _, dataset = open_experiment(tmp_path / "run", config)
    split = dataset.split("train")
    victim = pathlib.Path(split.describe(int(split.indices[7])))
    victim.write_bytes(b"broken")
    with pytest.warns(UserWarning, match="passed over"):
        whole = list(data.training_batches(dataset, steps=8, **BATCHES))
    if then == "removed":
        victim.unlink()
    with pytest.warns(UserWarning, match="1 file left out: 1 found unreadable by this run before"):
        run, again = open_experiment(tmp_path / "run", config)
    assert again.digest == dataset.digest
    rest = list(data.training_batches(again, first_step=3, steps=5, **BATCHES))
    for (images, labels), (same_images, same_labels) in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)
    with pytest.warns(UserWarning, match="found unreadable"):
        assert run.load_dataset().digest == dataset.digest


def test_an_outage_is_not_noted_for_every_image(photos, tmp_path):
    """A drive that goes away ends the run; when it is back, only what was passed over before that stays out."""
    config = experiment_of(photos)
    _, dataset = open_experiment(tmp_path / "run", config)
    shutil.move(photos / "train", photos / "away")
    with pytest.warns(UserWarning, match="passed over"), pytest.raises(InputError, match="is no accident"):
        list(data.training_batches(dataset, steps=8, **BATCHES))
    shutil.move(photos / "away", photos / "train")
    assert len((tmp_path / "run" / "unreadable.jsonl").read_text().splitlines()) == 1
    with pytest.warns(UserWarning, match="1 file left out"):
        _, again = open_experiment(tmp_path / "run", config)
    assert len(list(data.training_batches(again, steps=3, **BATCHES))) == 3


@pytest.mark.parametrize("then", ["removed", "left", "replaced"])
def test_a_run_that_ended_by_damaged_images_goes_on(photos, tmp_path, then):
    """Those that it met are replaced, as the message asks, removed or left: the run knows them in any case."""
    config = experiment_of(photos)
    _, dataset = open_experiment(tmp_path / "run", config)
    split = dataset.split("train")
    # Two are met, which is one too many; the run does not get to the third, which only a whole image can replace.
    victims = [pathlib.Path(split.describe(int(split.indices[place]))) for place in (2, 7, 11)]
    for victim in victims:
        victim.write_bytes(b"broken")
    with (
        pytest.warns(UserWarning, match="passed over"),
        pytest.raises(InputError, match="replace them, or begin a run without"),
    ):
        list(data.training_batches(dataset, steps=8, **BATCHES))
    for victim in victims[: 0 if then == "left" else 2]:
        victim.unlink()
    whole = next(path for path in (photos / "train").glob("*/*.*") if path not in victims)
    for victim in victims[0 if then == "replaced" else 2 :]:
        shutil.copy(whole, victim)
    with pytest.warns(UserWarning, match="2 files left out: 2 found unreadable by this run before"):
        _, again = open_experiment(tmp_path / "run", config)
    assert again.digest == dataset.digest
    assert len(list(data.training_batches(again, steps=3, **BATCHES))) == 3
