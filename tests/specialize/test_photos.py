"""From photos to a supernet: what is chosen for how many, whose images decide, and that no step is done twice."""

import json
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import ofa_tf
from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.data import load
from ofa_tf.networks import PackedSupernet
from ofa_tf.predictors import AccuracyPredictor
from ofa_tf.specialize import photos, trained
from ofa_tf.specialize.learning import PREDICTOR_FILE
from ofa_tf.specialize.photos import experiment, pair_count, supernet_of_photos, validation_images
from ofa_tf.specialize.trained import Clock, train_supernet
from ofa_tf.training import Recipe, open_experiment, weights_digest
from ofa_tf.training.schedule import curves
from ofa_tf.training.stage import stages_of
from tests.micro import micro_space, nano_net
from tests.reference import ROOT
from tests.specialize.small import small_target

SPACES = ("ofa_tiny", "ofa_resnet50", "ofa_mbv3_d234_e346_k357_w0.5")
SOURCE = ("dataset", "validation", "data_seed")


def learned_images(config: dict, count: int) -> int:
    return count - (config["validation"] or 0)


def passes(config: dict) -> list[float]:
    return [stage["epochs"] + stage.get("warmup_epochs", 0) for stage in config["stages"].values()]


@given(st.integers(30, 200_000), st.booleans(), st.sampled_from(SPACES))
def test_every_number_of_photos_can_be_trained(count, own_validation, name):
    """A batch is there, the largest network comes first, and then all sub-networks, whose channels stay in place."""
    space = spaces.get(name)
    config = experiment(space, count, own_validation=own_validation)
    learned = learned_images(config, count)
    recipe = Recipe.from_config({key: value for key, value in config.items() if key not in SOURCE})
    full, rest = stages_of(space, recipe, trained=True)
    assert (full.choices["e"], rest.choices["e"]) == (space.choices("e")[-1:], space.choices("e"))
    assert {(stage.sorted_within, stage.subnets_per_step) for stage in (full, rest)} == {((), 1)}
    assert rest.distill
    assert recipe.teacher_weight(given=False) == 1
    assert curves(recipe, (full, rest), learned // recipe.batch_size, recipe.batch_size)[0].rate(0) > 0
    assert (config["validation"] is None) == own_validation
    assert own_validation or 6 <= config["validation"] <= min(count / 5 + 1, 2000)


@given(st.integers(30, 50_000))
def test_more_photos_are_passed_over_less_often(count):
    """But more images are learned from in all, and more of them decide."""
    few, many = (experiment(spaces.get("ofa_tiny"), number) for number in (count, 2 * count))
    passed = [sum(passes(config)) * learned_images(config, n) for config, n in ((few, count), (many, 2 * count))]
    assert sum(passes(many)) <= sum(passes(few))
    assert passed[0] < passed[1]
    assert validation_images(count) <= validation_images(2 * count)
    assert pair_count(count) <= pair_count(2 * count)


def test_the_page_tells_what_is_chosen():
    """The table of docs/training.md, "Photos in one command", row by row."""
    rows = re.findall(r"^\| ([\d,]+) \|(.*)\|$", (ROOT / "docs/training.md").read_text(encoding="utf-8"), re.M)
    assert len(rows) >= 5
    for photo_count, told in rows:
        count = int(photo_count.replace(",", ""))
        config = experiment(spaces.get("ofa_tiny"), count)
        largest, rest = passes(config)
        chosen = (
            f" {config['validation']:,} | {largest:.0f}, {rest:.0f} | {config['batch_size']} | {pair_count(count)} "
        )
        assert told == chosen


def test_the_time_left_is_guessed_and_then_measured(monkeypatch, capsys):
    """A machine of half the speed doubles what is left to train; what lies between steps is no part of their pace."""
    now = [0.0]
    monkeypatch.setattr(trained.time, "monotonic", lambda: now[0])
    clock = Clock({"train": 3000.0, "measure": 600.0}, {"export": 120.0})
    for at, step, share, left_min in [
        (0, "train", 0.0, 62),
        (10, "train", 0.001, None),
        (3000, "train", 0.5, 2 * 35 + 2),
        (90_000, "measure", 0.5, 2 * 5 + 2),
        (90_300, "measure", 0.75, 2 * 2.5 + 2),
        (95_000, "export", 0.0, 2),
    ]:
        now[0] = at
        clock.at(step, share)
        if left_min is not None:
            assert clock.left_s == pytest.approx(60 * left_min, rel=0.03)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "[1/3] train: 0%; about 62 min left for the whole"
    assert [line.partition(";")[0] for line in said[1:]] == [
        "[1/3] train: 50%", "[2/3] measure: 50%", "[2/3] measure: 75%", "[3/3] export: 0%"
    ]  # fmt: skip


def write_photos(folder: pathlib.Path, **counts: int) -> None:
    """A small grey image of noise for each."""
    folder.mkdir(parents=True)
    for name, count in counts.items():
        (folder / name).mkdir()
        for index in range(count):
            pixels = np.random.default_rng([len(name), index]).integers(0, 255, (24, 24, 3), np.uint8)
            (folder / name / f"{index}.png").write_bytes(tf.io.encode_png(pixels).numpy())


@pytest.fixture(name="initial", scope="module")
def _initial(tmp_path_factory) -> pathlib.Path:
    """A supernet of ten other classes in a file."""
    path = tmp_path_factory.mktemp("supernets") / "nano.npz"
    PackedSupernet(nano_net(1), class_names=tuple("abcdefghij")).save(path)
    return path


@pytest.mark.parametrize("folders", [(), ("validation", "test"), ("holdout", "val")])
def test_a_folders_own_splits_are_kept_to(tmp_path, initial, monkeypatch, capsys, folders):
    """Its own validation photos decide, and all others are learned from; its test photos are only reported.

    How they become squares is what was asked for, else as the supernet's did.
    """
    # Where others decide, one photo of a class is enough.
    write_photos(tmp_path / "train", **({"ant": 29, "bee": 1} if folders else {"ant": 16, "bee": 14}))
    for folder in folders:
        write_photos(tmp_path / folder, ant=4, bee=5)
    opened = []

    def train(run_dir, config, *, initial, dataset, **options):
        run, dataset = open_experiment(run_dir, config, initial=initial, dataset=dataset)
        assert run.load_dataset().digest == open_experiment(run_dir, config, initial=initial)[1].digest
        opened.extend((run, dataset))
        return None, None

    monkeypatch.setattr(photos, "train_supernet", train)
    resize = "stretch" if folders else None
    supernet_of_photos(tmp_path, tmp_path / "run", supernet=initial, targets=[small_target()], resize=resize)()
    run, dataset = opened
    assert run.recipe.preprocessing.resize == ("stretch" if folders else "crop")
    sizes = {name: len(split) for name, split in dataset.splits.items()}
    said = capsys.readouterr().err
    assert f"{tmp_path}: 30 photos of 2 classes in train: " in said
    if folders:
        assert sizes == {"train": 30, "validation": 9, "test": 9}
        assert "all to learn from; the 9 of its validation folder decide; 9 others are for the report alone" in said
    else:
        assert sizes == {"train": 24, "validation": 6}
        assert "24 to learn from, 6 held out, which decide; none is for the report alone" in said
    assert f"begins with {initial}: " in said


def test_what_is_left_out_is_told_once(tmp_path, initial, monkeypatch):
    """The photos that were looked at are those that are trained on: the folder is not read, and told of, again."""
    write_photos(tmp_path / "train", ant=16, bee=16)
    (tmp_path / "train/ant/0.png").write_bytes(b"")

    class Begun(Exception):
        """Training would begin."""

    def trainer(run, dataset, *_):
        assert len(dataset.split("train")) + len(dataset.split("validation")) == 31
        raise Begun

    monkeypatch.setattr(trained, "Trainer", trainer)
    with pytest.warns(UserWarning, match="not everything in it is used") as said, pytest.raises(Begun):
        supernet_of_photos(tmp_path, tmp_path / "run", supernet=initial, targets=[small_target()])()
    assert [str(warning.message).count("train/ant/0.png (empty)") for warning in said] == [1]


def test_an_image_side_that_is_none_is_told_before_the_training(tmp_path, initial):
    """With the target's name, and the sides that there are."""
    write_photos(tmp_path / "train", ant=16, bee=14)
    target = small_target(resolutions=(64,))
    with pytest.raises(InputError, match=r"target small: resolutions: space .* has .*; 64 is not one of them"):
        supernet_of_photos(tmp_path, tmp_path / "run", supernet=initial, targets=[target])


def test_what_cannot_be_is_told_before_the_training(tmp_path, initial):
    """Limits below everything, files that are missing, names that are none, results among the photos."""
    folder = tmp_path / "photos"
    write_photos(folder / "train", ant=16, bee=14)

    def told(target=None, output=tmp_path / "out") -> str:
        with pytest.raises(InputError) as error:
            supernet_of_photos(folder, output / "run", supernet=initial, targets=[target or small_target()])
        return str(error.value)

    assert "target small: constraint: macs of at most 1 cannot be kept" in told(small_target(limits={"macs": 1}))
    missing = str(tmp_path / "missing.json")
    timed = small_target(limits={"latency_ms": 1.0}, latency_table=missing)
    assert told(timed).startswith(f"target small: {missing}: no such file")
    assert "target small: " in told(small_target(predictor=str(tmp_path / "missing.npz")))
    assert "lies in the photos of" in told(output=folder / "train" / "out")
    assert "lies in the photos of" in told(output=folder / "train")
    (folder / "names.json").write_text("[]")
    assert "names.json: expected an object" in told()
    assert not (tmp_path / "out").exists()


def test_classes_that_decide_nothing_are_told(tmp_path, initial, capsys):
    """Each class of two has one that is learned from and one that decides, as long as enough are held out."""
    write_photos(tmp_path / "few" / "train", ant=28, bee=2)
    supernet_of_photos(tmp_path / "few", tmp_path / "run", supernet=initial, targets=[])
    assert "which decide; none is" in capsys.readouterr().err
    write_photos(tmp_path / "many" / "train", **{f"class{it}": 2 for it in range(20)})
    supernet_of_photos(tmp_path / "many", tmp_path / "run", supernet=initial, targets=[])
    assert "8 held out, which decide (of 12 classes none)" in capsys.readouterr().err


def test_what_photos_exclude(tmp_path, initial, opened):
    """Other images, another predictor, and a supernet that has its images already; nothing is left behind."""
    options = {"photos": tmp_path, "limits": {"macs": 1e5}, "output": tmp_path / "out"}
    for name in ("images", "dataset", "predictor"):
        with pytest.raises(InputError, match=f"photos and {name} are given; .* leave {name} out"):
            ofa_tf.specialize(**options, **{name: "x"})
    with pytest.raises(InputError, match="photos and an opened supernet are given"):
        ofa_tf.specialize(opened, **options)
    assert not (tmp_path / "out").exists()


PACE = {"epochs": 1, "learning_rate": 0.05, "subnets_per_step": 1}
DIGITS = {
    "dataset": "digits", "data_dir": "", "validation": 100, "data_seed": 0,
    "batch_size": 256, "calibration_images": 64, "stages": {"full": PACE, "expand2": PACE},
}  # fmt: skip


def test_no_step_is_done_twice(tmp_path):
    """Each is known by its file: the run, its pairs, its predictor; more pairs make another predictor."""
    initial = PackedSupernet(nano_net(1), class_names=tuple("abcdefghij"))

    def files(**options) -> dict[str, int]:
        train_supernet(tmp_path, DIGITS, initial=initial, **{"pairs": 12, "limit": 40, **options})
        return {
            str(path.relative_to(tmp_path)): path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()
        }

    first = files()
    stages = {"stages/full.npz", "stages/expand2.npz"}
    assert first.keys() >= stages | {"run.json", "metrics.jsonl", "accuracy.jsonl", PREDICTOR_FILE}
    lines = [json.loads(line) for line in (tmp_path / "accuracy.jsonl").read_text().splitlines()[1:]]
    assert {(line["split"], line["images"]) for line in lines} == {("validation", 40)}
    assert files() == first
    (tmp_path / PREDICTOR_FILE).unlink()
    again = files()
    assert {name for name in first if first[name] != again[name]} == {PREDICTOR_FILE}
    more = files(pairs=14)
    assert {name for name in first if again[name] != more[name]} == {"accuracy.jsonl", PREDICTOR_FILE}
    # One that the user has fitted, from more than was asked for or from other pairs, is the user's.
    path = tmp_path / PREDICTOR_FILE
    fitted = AccuracyPredictor.load(path)
    AccuracyPredictor(fitted.space, fitted.layers, provenance={"pairs": "mine.jsonl"}, costs=fitted.costs).save(path)
    mine = path.stat().st_mtime_ns
    assert files(pairs=14)[PREDICTOR_FILE] == mine


def test_what_a_run_began_with_is_kept(tmp_path, monkeypatch):
    """The classifier is fitted once, so that a killed run goes on; other photos or squares are another beginning."""
    fitted = []
    monkeypatch.setattr(photos, "with_fitted_classifier", lambda packed, _, resize: fitted.append(resize) or packed)
    write_photos(tmp_path / "train", ant=16, bee=14)
    dataset = load("folder", tmp_path)
    packed, run_dir = PackedSupernet(nano_net(1), class_names=tuple("abcdefghij")), tmp_path / "run"

    def begun_with(packed=packed, dataset=dataset, resize=None) -> PackedSupernet:
        return photos._begun_with("net", run_dir, packed, dataset, resize)

    first, again = begun_with(), begun_with()
    assert fitted == [None]
    assert weights_digest(first.net) == weights_digest(again.net)
    begun_with(resize="stretch")
    begun_with(dataset=load("folder", tmp_path, 9), resize="stretch")
    assert fitted == [None, "stretch", "stretch"]
    same = PackedSupernet(nano_net(1, num_classes=2), class_names=dataset.class_names)
    assert begun_with(same) is same
    # Once a run is there, nothing takes its beginning from it: the command that it was begun with still resumes it.
    run_dir.mkdir()
    (run_dir / "run.json").touch()
    kept = (tmp_path / "begun_with.npz").read_bytes()
    begun_with(dataset=load("folder", tmp_path, 9), resize="stretch")
    with pytest.raises(InputError, match=r"--supernet=net: .*run began with another one; give another --output"):
        begun_with(PackedSupernet(nano_net(2), class_names=packed.class_names))
    with pytest.raises(InputError, match=r"--resize: .*run began with stretch, here it is the supernet's own way"):
        begun_with(dataset=load("folder", tmp_path, 9))
    write_photos(tmp_path / "more" / "train", ant=16, bee=15)
    with pytest.raises(InputError, match=r"--photos: .*run began with 30 to learn from and to decide, here are 31"):
        begun_with(dataset=load("folder", tmp_path / "more", 9), resize="stretch")
    (tmp_path / "train/ant/3.png").rename(tmp_path / "train/ant/33.png")
    with pytest.raises(InputError, match="began with photos of other names or classes"):
        begun_with(dataset=load("folder", tmp_path, 9), resize="stretch")
    # Another photo took the name of the one that was learned from.
    (tmp_path / "train/ant/3.png").write_bytes(tf.io.encode_png(np.zeros((24, 24, 3), np.uint8)).numpy())
    (tmp_path / "train/ant/33.png").unlink()
    with pytest.raises(InputError, match="photos of these names, but files of other lengths"):
        begun_with(dataset=load("folder", tmp_path, 9), resize="stretch")
    assert fitted == [None, "stretch", "stretch"]
    assert (tmp_path / "begun_with.npz").read_bytes() == kept


def test_mirror_images_are_left_out_where_asked():
    """Letters, digits, left and right."""
    space = micro_space()
    assert "flip" not in experiment(space, 100)["augmentation"]
    assert experiment(space, 100, flip=False)["augmentation"]["flip"] is False
