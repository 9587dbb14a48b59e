"""The binaries on a folder of images: the whole way, and one line for each user's mistake."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from tests.binaries import run_binary
from tests.micro import nano_space


def run(*arguments, code=0, anew=False):
    """Runs a binary; returns its stdout, or with another code its one line on stderr."""
    done = run_binary(*arguments, anew=anew)
    assert done.returncode == code, done.stderr[-2000:]
    if code == 0:
        return done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr.strip().split("\n")[-1]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> pathlib.Path:
    """A folder of class folders with 240 small PNG files of three digits."""
    folder = tmp_path_factory.mktemp("photos")
    digits = load_digits()
    for split, first, last in (("train", 0, 70), ("val", 70, 80)):
        for label, name in enumerate(("nought", "one", "two")):
            (folder / split / name).mkdir(parents=True)
            for index, image in enumerate(digits.images[digits.target == label][first:last]):
                pixels = np.repeat(np.uint8(image * 15)[..., None], 3, -1).repeat(4, 0).repeat(4, 1)
                data = tf.io.encode_png(pixels).numpy()
                (folder / split / name / f"{index}.png").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> pathlib.Path:
    """The file of a small space of one's own, with all stages."""
    path = tmp_path_factory.mktemp("spaces") / "space.json"
    path.write_text(json.dumps(nano_space(ks=(3, 5, 7), d=(1, 2, 3), resolutions=(24, 32)).to_config()))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, photos, space) -> pathlib.Path:
    """A finished run on the folder: one epoch of each stage."""
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    stages = ("full", "kernel", "depth1", "depth2", "expand1", "expand2")
    short = [f"--config.stages.{stage}.epochs=1" for stage in stages]
    run(
        "tools.train", f"--run_dir={run_dir}", "--config=ofa_tf/configs/digits.py", f"--space={space}",
        "--dataset=folder", f"--data_dir={photos}", "--config.validation=30", "--config.batch_size=60", *short,
        anew=True,
    )  # fmt: skip
    return run_dir


def test_whole_path_on_a_folder(tmp_path, photos, trained):
    """Train, evaluate, collect, fit, search, export: each a new process that reads what the one before wrote."""
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert {line["split"] for line in lines} == {"train", "validation"}
    result = tmp_path / "result.json"
    run(
        "tools.evaluate", f"--run_dir={trained}", "--arch=largest", "--resolution=32", "--dataset=folder",
        f"--data_dir={photos}", "--split=test", f"--output={result}", anew=True,
    )  # fmt: skip
    found = json.loads(result.read_text())
    assert (found["images"], found["split"], found["arch"]["r"]) == (30, "test", 32)
    assert 0 <= found["top1"] <= found["top5"] == 1

    run("tools.collect_accuracy", f"--run_dir={trained}", "--count=12", anew=True)
    pairs = trained / "accuracy.jsonl"
    before = pairs.read_text()
    assert len(before.splitlines()) == 13
    predictor = tmp_path / "predictor.npz"
    metrics = json.loads(run("tools.fit_accuracy_predictor", f"--pairs={pairs}", f"--output={predictor}", anew=True))
    fit = ("tools.fit_accuracy_predictor", f"--pairs={pairs}", f"--output={predictor}")
    assert "seed" in run(*fit, "--seed=5000000000", code=2)
    assert "holds no pair of split 'test'" in run(*fit, "--split=test", code=2)
    assert {"kendall_tau", "spearman", "rmse"} <= metrics.keys()
    arch = tmp_path / "arch.json"
    limits = ("--max_macs=3e5", "--generations=5")
    run("tools.search", f"--predictor={predictor}", *limits, f"--output={arch}", anew=True)
    assert json.loads(arch.read_text())["macs"] <= 3e5
    model = tmp_path / "model.tflite"
    # After so little training, one of the 30 validation images may change its class: more than the 2 points by default.
    export = ("tools.export_tflite", f"--run_dir={trained}", f"--arch={arch}", "--max_drop=0.1", f"--output={model}")
    run(*export, anew=True)
    assert model.read_bytes()[4:8] == b"TFL3"

    message = run(
        "tools.search", f"--predictor={predictor}", "--max_macs=1000", f"--output={tmp_path / 'no.json'}", code=2
    )
    assert "smallest" in message
    assert not (tmp_path / "no.json").exists()


def check_mistake(*arguments, says: str, leaves: pathlib.Path | None = None):
    message = run(*arguments, code=2)
    assert says in message, message
    assert leaves is None or not leaves.exists()


def test_mistakes_in_training(tmp_path, photos):
    """Folders that are no data sets, unknown names, bad values: one line, exit code 2, no run left behind."""
    new = tmp_path / "run"
    train = ("tools.train", f"--run_dir={new}", "--config=ofa_tf/configs/digits.py")
    check_mistake(*train, "--dataset=folder", f"--data_dir={tmp_path / 'none'}", says="none", leaves=new)
    (tmp_path / "empty" / "train").mkdir(parents=True)
    check_mistake(*train, "--dataset=folder", f"--data_dir={tmp_path / 'empty'}", says="empty", leaves=new)
    shutil.copytree(photos / "train" / "one", tmp_path / "single" / "train" / "one")
    check_mistake(*train, "--dataset=folder", f"--data_dir={tmp_path / 'single'}", says="one", leaves=new)
    check_mistake(*train, "--space=ofa_huge", says="ofa_huge", leaves=new)
    check_mistake(*train, "--config.batch_size=many", says="batch_size", leaves=new)
    check_mistake(*train, "--config.bach_size=3", says="bach_size", leaves=new)
    squeeze = "preprocessing: resize is 'squeeze', expected one of crop, stretch"
    check_mistake(*train, "--config.preprocessing.resize=squeeze", says=squeeze, leaves=new)
    check_mistake(*train, "--stages=full,kernal", says="kernal", leaves=new)
    check_mistake(*train, "--config.batch_size=5000", says="batch_size", leaves=new)
    check_mistake(*train, "--config.holdout=30", says="holdout is called validation now", leaves=new)
    check_mistake(*train, "--config.choices=3", says="choices is 3, expected fields such as choices.ks", leaves=new)
    started = (*train, "--init_from=ofa_tiny", "--config.preprocessing.crop_fraction=1.0")
    check_mistake(*started, says="--config.preprocessing.crop_fraction: --init_from decides it", leaves=new)
    check_mistake(*train, "--teacher_resolution=96", says="says how a --teacher is asked", leaves=new)
    check_mistake(
        *("tools.finetune", "--supernet=x", "--arch=largest", "--precision=int8", f"--output={tmp_path / 'n.keras'}"),
        says="--precision=int8: is that of the --tflite file",
    )
    check_mistake("tools.collect_accuracy", f"--run_dir={new}", "--workers=3", says="is for --ray_address")
    check_mistake("tools.train", says="run_dir")


def test_unreadable_images(tmp_path, photos, space):
    """Where a fifth of the files are no images, the run does not begin."""
    shutil.copytree(photos, tmp_path / "photos")
    for number in range(60):
        broken = tmp_path / "photos" / "train" / "two" / f"{number}.png"
        broken.write_bytes(broken.read_bytes()[:40])
    check_mistake(
        "tools.train", f"--run_dir={tmp_path / 'run'}", "--config=ofa_tf/configs/digits.py", f"--space={space}",
        "--dataset=folder", f"--data_dir={tmp_path / 'photos'}", "--config.validation=3", "--config.batch_size=60",
        says="cannot be read",
    )  # fmt: skip


def test_changed_folders_are_noticed(tmp_path, photos, trained):
    """With more images the validation split is another one: the run's own folder is then refused."""
    more = tmp_path / "photos"
    shutil.copytree(photos, more)
    done = run_binary("tools.evaluate", f"--run_dir={trained}", "--arch=smallest", "--split=val", f"--data_dir={more}")
    assert done.returncode == 0
    assert "not those of the run" not in done.stderr
    # The split's former name.
    assert "--split=val is called test now" in done.stderr
    assert json.loads(done.stdout)["split"] == "test"
    shutil.copy(more / "train" / "two" / "3.png", more / "train" / "two" / "new.png")
    moved = tmp_path / "run"
    shutil.copytree(trained, moved)
    description = json.loads((moved / "run.json").read_text())
    description["dataset"]["data_dir"] = str(more)
    (moved / "run.json").write_text(json.dumps(description))
    check_mistake("tools.evaluate", f"--run_dir={moved}", "--arch=smallest", says="not those of the run")


@pytest.mark.parametrize(
    ("module", "flags"),
    [
        ("evaluate", ("--supernet=none.npz", "--arch=largest")),
        ("search", ("--predictor=none.npz", "--max_macs=1e6")),
        ("fit_accuracy_predictor", ("--pairs=none.jsonl",)),
        ("fit_latency_predictor", ("--pairs=none.jsonl", "--space=ofa_tiny")),
        ("import_ofa", ("--checkpoint=ofa_mbv3_d234_e346_k357_w1.0",)),
    ],
)
def test_a_result_that_cannot_be_written_is_found_first(tmp_path, module, flags):
    """Before anything else is read, fetched or computed: the result would be lost."""
    output = tmp_path / "folder.npz"
    output.mkdir()
    check_mistake(f"tools.{module}", *flags, f"--output={output}", says=f"{output}: is a folder, expected the path of")


def test_mistakes_after_training(tmp_path, photos, trained):
    """Architectures and runs that do not fit, truncated files: one line each, and no output."""
    output = tmp_path / "result.json"
    evaluate = ("tools.evaluate", f"--run_dir={trained}", f"--output={output}")
    arch = tmp_path / "arch.json"
    arch.write_text(json.dumps({"ks": [3] * 4, "e": [2] * 4, "d": [1, 1], "r": 32}))
    check_mistake(*evaluate, f"--arch={arch}", says="entries", leaves=output)
    arch.write_text('{"ks": [3, 3')
    check_mistake(*evaluate, f"--arch={arch}", says="arch.json", leaves=output)
    check_mistake(*evaluate, "--arch=larges", says="larges", leaves=output)
    check_mistake(*evaluate, "--arch=largest", "--split=dev", says="split", leaves=output)
    check_mistake(*evaluate, "--arch=largest", "--resolution=3", says="resolution", leaves=output)
    check_mistake("tools.evaluate", f"--run_dir={tmp_path}", "--arch=largest", says="run.json")
    check_mistake(
        "tools.train", f"--run_dir={trained}", "--config=ofa_tf/configs/digits.py", "--space=ofa_cifar_m",
        "--dataset=folder", f"--data_dir={photos}", "--config.validation=30", says="another space",
    )  # fmt: skip
    damaged = tmp_path / "damaged"
    shutil.copytree(trained, damaged)
    weights = damaged / "stages" / "expand2.npz"
    weights.write_bytes(weights.read_bytes()[:1000])
    check_mistake("tools.evaluate", f"--run_dir={damaged}", "--arch=largest", says="expand2.npz")
    (tmp_path / "predictor.npz").write_bytes(b"PK")
    check_mistake(
        "tools.search", f"--predictor={tmp_path / 'predictor.npz'}", "--max_macs=1e6", f"--output={output}",
        says="predictor.npz", leaves=output,
    )  # fmt: skip
