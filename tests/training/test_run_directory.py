"""A run's folder: its images may lie elsewhere later, and are the same ones or are refused."""

import pytest

from ofa_tf.common import InputError
from ofa_tf.training import Recipe, RunDirectory, StageRecipe, Trainer, open_experiment
from tests.data.image_files import write_folder
from tests.micro import nano_space


def test_images_that_moved_are_the_same(tmp_path):
    """A folder under another name goes on, and the run knows the new one; other images are refused as ever."""
    path, dataset = (
        tmp_path / "run",
        {"dataset": "folder", "class_names": ["a", "b"], "digest": "1", "data_dir": "/old"},
    )
    recipe = Recipe(stages={"full": StageRecipe(2, 0, 0.05)})
    known = {**dataset, "file_lengths": "2"}
    RunDirectory.create(path, nano_space(), known, recipe)
    for place in (
        {"data_dir": "/new"},
        {"data_dir": "/new", "file_lengths": ""},
        {"dataset": "/new", "data_dir": None},
    ):
        with pytest.warns(UserWarning, match="its images lay in /old, and are now in /new"):
            run = RunDirectory.create(path, nano_space(), {**known, **place}, recipe)
        assert run.dataset == {**known, **place, "file_lengths": "2"}
        assert RunDirectory.open(path).dataset == known, "it is written by who trains, and not before"
    # Another way of saying the same.
    assert (
        RunDirectory.create(path, nano_space(), {**known, "dataset": "/old", "data_dir": None}, recipe).dataset == known
    )
    # Labels alone do not tell a set of TensorFlow Datasets from another one.
    named = {**known, "dataset": "imagenette/160px"}
    RunDirectory.create(tmp_path / "named", nano_space(), named, recipe)
    with pytest.raises(InputError, match="dataset: imagenette/160px there, imagenette/320px here"):
        RunDirectory.create(tmp_path / "named", nano_space(), {**named, "dataset": "imagenette/320px"}, recipe)
    for other in ({**known, "file_lengths": "3"}, {**known, "data_dir": "/new", "digest": "3"}):
        with pytest.raises(InputError, match="holds a run with another dataset"):
            RunDirectory.create(path, nano_space(), other, recipe)


def test_a_moved_folder_of_photos(tmp_path):
    """What a user does: train, rename the folder, resume. The run then knows where its photos are."""
    write_folder(tmp_path / "old" / "train", {"ant": 12, "bee": 12})
    config = {
        "space": "ofa_tiny", "dataset": "folder", "validation": 2, "data_seed": 0, "batch_size": 4,
        "resolutions": (16,), "stages": {"full": {"epochs": 1}, "kernel": {"epochs": 1}},
    }  # fmt: skip
    run, dataset = open_experiment(tmp_path / "run", {**config, "data_dir": str(tmp_path / "old")})
    Trainer(run, dataset, event_files=False).train(["full"])
    (tmp_path / "old").rename(tmp_path / "new")
    with pytest.warns(UserWarning, match="are now in"):
        run, dataset = open_experiment(tmp_path / "run", {**config, "data_dir": str(tmp_path / "new")})
    Trainer(run, dataset, event_files=False).train()
    again = RunDirectory.open(tmp_path / "run")
    assert again.load_dataset().digest == dataset.digest
    assert again.finished_stages() == ["full", "kernel"]
    # Nothing is left to be trained, and the place is written down all the same.
    (tmp_path / "new").rename(tmp_path / "newest")
    with pytest.warns(UserWarning, match="are now in"):
        run, dataset = open_experiment(tmp_path / "run", {**config, "data_dir": str(tmp_path / "newest")})
    Trainer(run, dataset, event_files=False).train()
    assert RunDirectory.open(tmp_path / "run").load_dataset().digest == dataset.digest
