"""A supernet and images: whose split counts, and what becomes of other classes."""

import dataclasses
import json
import shutil
import warnings

import numpy as np
import pytest

from ofa_tf import zoo
from ofa_tf.common import InputError
from ofa_tf.data import SYMMETRIC, Augmentation, load
from ofa_tf.networks import PackedSupernet
from ofa_tf.specialize import open_source
from ofa_tf.specialize.opened import of_packed
from ofa_tf.training import RunDirectory, open_experiment
from tests.data.image_files import write_folder
from tests.micro import nano_net
from tests.specialize.small import open_small
from tests.tools.test_binaries import run

STAGES = ("full", "kernel", "depth1", "depth2", "expand1", "expand2")
SUPERNET = "ofa_imagenette_mbv3"


@pytest.fixture(name="packed")
def _packed(tmp_path):
    """A supernet in a file, trained on other classes and with 1,000 images held out."""
    known = {"validation": 1000, "seed": 0, "digest": "0" * 16}
    path = tmp_path / "supernet.npz"
    PackedSupernet(nano_net(1), SYMMETRIC.to_config(), class_names=tuple("abcdefghij"), dataset=known).save(path)
    return str(path)


def test_somebodys_photos_of_the_shipped_classes(tmp_path):
    """The supernet that ships held 1,000 of its images out; of somebody's 300, a tenth is, or as many as are asked."""
    photos = zoo.photos(SUPERNET)
    shutil.copytree(photos / "train", tmp_path / "train")
    with pytest.warns(UserWarning, match="not the images that the supernet was trained on"):
        opened = open_source(supernet=SUPERNET, data_dir=str(tmp_path))
    assert {name: len(split) for name, split in opened.dataset.splits.items()} == {"train": 180, "validation": 20}
    with pytest.warns(UserWarning, match="not the images"):
        opened = open_source(supernet=SUPERNET, data_dir=str(tmp_path), validation=0.5)
    assert len(opened.dataset.split("validation")) == 100
    shutil.copytree(photos / "validation", tmp_path / "holdout")
    with pytest.warns(UserWarning, match="not the images"):
        opened = open_source(supernet=SUPERNET, data_dir=str(tmp_path))
    assert {name: len(split) for name, split in opened.dataset.splits.items()} == {"train": 200, "validation": 100}


def test_a_run_splits_its_own_images_as_before_and_others_as_theirs(tmp_path):
    """Moved images are the run's; others have their own folder, or a tenth."""
    first, others = (write_folder(tmp_path / name / "train", {"ant": 20, "bee": 20}).parent for name in ("a", "b"))
    config = {
        "space": "ofa_tiny", "dataset": "folder", "data_dir": str(first), "validation": 15, "data_seed": 2,
        "batch_size": 8, "stages": {name: {"epochs": 1} for name in STAGES},
    }  # fmt: skip
    run_directory, dataset = open_experiment(tmp_path / "run", config)
    assert len(dataset.split("validation")) == 15
    moved = tmp_path / "moved"
    shutil.copytree(first, moved)
    again = RunDirectory.open(tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert again.load_dataset(data_dir=str(moved)).digest == dataset.digest
    write_folder(others / "train", {"ant": 30})
    write_folder(others / "validation", {"bee": 3})
    with pytest.warns(UserWarning, match="not those of the run"):
        assert len(again.load_dataset(data_dir=str(others)).split("validation")) == 3
    with pytest.warns(UserWarning, match="not those of the run"):
        assert len(again.load_dataset(data_dir=str(others), validation=7).split("validation")) == 7
    # A folder that has its own beats a configuration's default, and is what the run records.
    assert open_experiment(tmp_path / "other", {**config, "data_dir": str(others)})[0].dataset["validation"] is None
    # The same command resumes, but not with other images under the same names.
    assert open_experiment(tmp_path / "run", config)[0].path == run_directory.path
    replaced = next((first / "train" / "ant").iterdir())
    replaced.write_bytes(replaced.read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"holds a run with another dataset \(file_lengths: "):
        open_experiment(tmp_path / "run", config)
    # Of a run of before, nobody knows how long its files were.
    description = json.loads((tmp_path / "run" / "run.json").read_text())
    del description["dataset"]["file_lengths"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(description))
    assert open_experiment(tmp_path / "run", config)[0].path == run_directory.path


def test_other_classes_get_a_classifier_of_their_own(tmp_path, packed):
    """Where that is asked for; all else is the supernet's."""
    photos = write_folder(tmp_path / "photos" / "train", {"ant": 12, "bee": 12, "cat": 12}).parent
    with pytest.raises(InputError, match=r"has 3 classes .*the supernet was trained on 10"):
        open_source(supernet=packed, data_dir=str(photos))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = open_source(supernet=packed, data_dir=str(photos), other_classes=True)
    assert opened.net.space.num_classes == opened.dataset.num_classes == 3
    theirs = PackedSupernet.load(packed).net.state()
    for name, value in opened.net.state().items():
        if not name.startswith("head/classifier/"):
            np.testing.assert_array_equal(value, theirs[name])


@pytest.mark.parametrize("labels", ["data", "teacher"])
def test_images_that_were_mixed_for_a_teacher_are_not_mixed_for_labels(packed, labels):
    """All else of the augmentation is the supernet's, and so is this where it learned labels itself."""
    trained = dataclasses.replace(
        PackedSupernet.load(packed), provenance={"recipe": {"labels": labels}},
        augmentation=Augmentation(pad=2, cutmix=1.0, mixup=0.2).to_config(),
    )  # fmt: skip
    found = of_packed(trained, load("digits"), "trained").evaluator.augmentation
    assert found == Augmentation(pad=2, **({"cutmix": 1.0, "mixup": 0.2} if labels == "data" else {}))


def test_a_network_is_judged_by_the_statistics_that_its_file_has():
    """Of a published network as it was, its own; of all others, calibrated ones."""
    opened = open_small()
    arch = opened.net.space.largest()
    assert opened.evaluate(arch, split="validation").calibrated
    published = dataclasses.replace(opened, provenance={"network": "EfficientNetLite0"})
    own = opened.evaluator.evaluate(
        arch, split="validation", statistics=opened.evaluator.moving_statistics(), calibrate=False
    )
    assert published.evaluate(arch, split="validation") == own
    assert not own.calibrated


def test_one_network_is_finetuned_for_other_classes(tmp_path, packed):
    """From a supernet, with the number of images said first."""
    photos = write_folder(tmp_path / "photos" / "train", {"ant": 12, "bee": 12, "cat": 12}).parent
    output = tmp_path / "net.keras"
    printed = run(
        "tools.finetune", f"--supernet={packed}", "--arch=smallest", f"--data_dir={photos}", "--epochs=1",
        "--batch_size=8", "--validation=6", f"--output={output}",
    )  # fmt: skip
    found = json.loads(printed.splitlines()[-1])
    assert (found["images"], found["split"]) == (6, "validation")
    import keras

    assert keras.models.load_model(output).output_shape == (None, 3)


def test_every_command_says_what_it_found(tmp_path, packed):
    """How many images of how many classes, and how they are split."""
    from tests.binaries import run_binary

    photos = write_folder(tmp_path / "photos" / "train", {name: 3 for name in "abcdefghij"}).parent
    (photos / "train" / "a" / "empty.jpg").write_bytes(b"")
    done = run_binary("tools.evaluate", f"--supernet={packed}", "--arch=smallest", f"--data_dir={photos}")
    assert done.returncode == 0, done.stderr
    assert f"{photos}: 30 images of 10 classes: 27 to train on, 3 for validation" in done.stderr
    assert "1 of 31 images cannot be read, 30 are left: train/a/empty.jpg (empty)" in done.stderr
    assert load("folder", photos).digest
