"""tools.specialize: mistakes in one line, failures beside good results, and a killed run that goes on."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from ofa_tf.networks import PackedSupernet
from tests.micro import nano_net
from tests.reference import ROOT
from tests.tools.test_binaries import check_mistake, photos, run, space, trained  # noqa: F401

SUPERNET = "ofa_imagenette_mbv3"
PUBLISHED = "ofa_mbv3_d234_e346_k357_w1.0"


def write_targets(path: pathlib.Path, *targets, **defaults) -> pathlib.Path:
    path.write_text(json.dumps({"defaults": defaults, "targets": targets}))
    return path


def result(output: pathlib.Path, name: str) -> dict:
    return json.loads((output / "targets" / name / "result.json").read_text())


def test_mistakes(tmp_path):
    """Before anything is opened or written."""
    output = tmp_path / "out"
    ours = ("tools.specialize", f"--supernet={SUPERNET}", f"--output={output}")
    check_mistake(*ours, says="no target given; give --max_latency_ms", leaves=output)
    check_mistake(*ours, "--targets=t.json", "--max_macs=3", says="--max_macs: --targets says it", leaves=output)
    check_mistake(*ours, "--targets=t.json", "--device=x", says="--device: --targets says it", leaves=output)
    says = "--delegate: is for phones and computers by ssh, the device is host; leave it out"
    check_mistake(*ours, "--max_macs=1e6", "--delegate=gpu", says=says, leaves=output)
    targets = write_targets(tmp_path / "targets.json", {"name": "a", "device": "host", "limits": {"speed": 1}})
    says = "targets.json: target 1 (a): limits has the field 'speed'"
    check_mistake(*ours, f"--targets={targets}", says=says, leaves=output)
    says = "--predictor: none given, and a missing --supernet has none; make one: python -m tools.collect_accuracy"
    check_mistake("tools.specialize", "--max_macs=1e6", f"--output={output}", says=says)


def test_mistakes_with_photos(tmp_path, photos):  # noqa: F811
    """Before anything is written: folders that are none, too few photos, flags that contradict each other."""
    output = tmp_path / "out"
    ours = ("tools.specialize", "--max_latency_ms=2", f"--output={output}")

    def check(folder, *flags, says):
        check_mistake(*ours, f"--photos={folder}", *flags, says=says, leaves=output)

    check(tmp_path / "none", says=f"--photos={tmp_path / 'none'}: no such folder; expected train/<class>/*.jpg in it")
    check(tmp_path, says=f"--photos={tmp_path}: no folder train in it")
    (tmp_path / "train").mkdir()
    check(tmp_path, says="train: no class folders; expected two or more")
    shutil.copytree(photos / "train" / "one", tmp_path / "train" / "one")
    check(tmp_path, says="train: only one class folder (one)")
    two = tmp_path / "train" / "two"
    two.mkdir()
    shutil.copy(photos / "train" / "two" / "0.png", two)
    check(tmp_path, says=f"--photos={tmp_path}: class two has 1 photo in train, expected at least 2")
    shutil.copy(photos / "train" / "two" / "1.png", two)
    for index in range(27, 70):
        (tmp_path / "train" / "one" / f"{index}.png").unlink()
    check(tmp_path, says=f"--photos={tmp_path}: 29 photos in train, expected at least 30")
    check(photos, "--supernet=ofa_imagenet", says="supernet 'ofa_imagenet' does not ship, there are: ")
    for flag in ("run_dir", "stage", "dataset", "data_dir", "predictor"):
        check(photos, f"--{flag}=x", says=f"--{flag}: --photos makes a run of its own from its photos; leave --{flag}")


@pytest.mark.slow
def test_photos_in_one_command(tmp_path, photos):  # noqa: F811
    """Killed while it trains and while accuracies are measured: it goes on, does nothing twice, and ends well."""
    initial, output = tmp_path / "nano.npz", tmp_path / "out"
    PackedSupernet(nano_net(1, resolutions=(24, 32)), class_names=tuple("abcdefghij")).save(initial)
    command = (
        "tools.specialize", f"--photos={photos}", f"--supernet={initial}", "--max_latency_ms=5", "--name=mine",
        "--resolutions=32", "--table_rounds=1", "--max_drop=0.5", f"--output={output}",
    )  # fmt: skip
    pairs, last = output / "run" / "accuracy.jsonl", output / "run" / "stages" / "expand2.npz"
    kill_when(lambda: (output / "run" / "stages" / "full.npz").exists(), *command)
    assert not last.exists()
    kill_when(lambda: pairs.exists() and len(pairs.read_text().splitlines()) > 10, *command)
    before = {path: path.stat().st_mtime_ns for path in last.parent.iterdir()}
    kept = pairs.read_text().splitlines()[:10]
    said = run(*command)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    lines = pairs.read_text().splitlines()
    assert lines[:10] == kept
    assert len(lines) == len(set(lines)) == 101
    found = result(output, "mine")
    assert found["status"] == "verified"
    assert (found["images"], found["test_images"]) == (42, 30)
    assert f"test top-1 {100 * found['test_top1']:.1f}% on 30" in said
    # Of three kinds of digits, chance knows a third.
    assert found["test_top1"] > 0.5
    report = json.loads((output / "report.json").read_text())
    assert f"only reported: mine {100 * found['test_top1']:.1f}% of 30" in report["notes"]["decisions"]
    assert report["metrics"]
    written = {path: path.stat().st_mtime_ns for path in output.rglob("*.npz")}
    done = (output / "targets" / "mine" / "result.json").stat().st_mtime_ns
    # Another target begins with what was learned.
    run(*(flag.replace("--name=mine", "--name=other") for flag in command))
    assert result(output, "other")["source"] == found["source"]
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.npz")} == written
    assert (output / "targets" / "mine" / "result.json").stat().st_mtime_ns == done
    check_mistake(*command, "--supernet=ofa_imagenette_mbv3", says="resolutions")


def kill_when(reached: Callable[[], object], *command: str) -> int:
    """Runs a binary up to a point, and kills it there; returns its session."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True
    )
    end = time.monotonic() + 250
    while not reached():
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return process.pid


def test_architectures_only(tmp_path):
    """No supernet at all: predicted figures, the command that fetches the weights, a report, and exit code 0."""
    output = tmp_path / "out"
    said = run(
        "tools.specialize", f"--predictor={PUBLISHED}", "--device=Bob's phone: (1)", "--max_macs=300e6",
        "--precision=float32", f"--output={output}", anew=True,
    )  # fmt: skip
    # The name, which is its folder's, too, is made of what was given, whatever that holds.
    found = result(output, "Bob-s_phone-_-1-_float32_macs_3e+08")
    assert found["status"] == "architecture"
    assert found["predicted"]["macs"] <= 300e6
    assert f"python -m tools.import_ofa --checkpoint={PUBLISHED}" in found["command"]
    assert found["command"] in said
    assert "<html" in (output / "report.html").read_text()


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path):
    """SIGKILL after the first result: its target is not done again, a failing one costs no other, nobody is left."""
    output = tmp_path / "out"
    targets = write_targets(
        tmp_path / "targets.json",
        *({"name": f"t{macs}", "limits": {"macs": macs * 1e6}} for macs in (12, 14, 16)),
        {"name": "impossible", "limits": {"macs": 1000}},
        device="nowhere", resolutions=[96], candidates=1, images=20, max_drop=0.5,
    )  # fmt: skip
    command = ["tools.specialize", f"--supernet={SUPERNET}", f"--targets={targets}", f"--output={output}"]
    session = kill_when(lambda: list(output.glob("targets/*/result.json")), *command)
    before = {path: path.stat().st_mtime_ns for path in output.glob("targets/*/result.json")}
    assert len(before) < 3
    end = time.monotonic() + 20
    while in_session(session):
        assert time.monotonic() < end, "a worker outlives its parent"
        time.sleep(0.1)
    message = run(*command, code=1)
    assert message.endswith(
        f"1 of 4 targets failed: impossible; {output / 'report.html'} or their result.json says why, "
        "the same command tries them again"
    )
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for macs in (12, 14, 16):
        found = result(output, f"t{macs}")
        assert (found["status"], found["images"]) == ("verified", 20)
        assert found["measured"]["macs"] <= macs * 1e6
        assert (output / "targets" / f"t{macs}" / "model.tflite").stat().st_size == found["measured"]["model_bytes"]
    assert "cannot be kept" in result(output, "impossible")["reason"]
    report = json.loads((output / "report.json").read_text())
    assert [target["status"] for target in report["targets"]] == ["verified"] * 3 + ["failed"]


def in_session(session: int) -> list[int]:
    """The processes of a session that still run."""
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "-s", str(session)], capture_output=True, text=True, check=False)
    rows = (line.split() for line in listed.stdout.splitlines())
    return [int(pid) for pid, state in rows if not state.startswith("Z")]


@pytest.mark.slow
def test_own_photos_to_a_file_for_this_machine(tmp_path, trained):  # noqa: F811
    """A run of one's own: its predictor is found, this machine is measured, and what is measured is learned from."""
    output, pairs = tmp_path / "out", trained / "accuracy.jsonl"
    run("tools.collect_accuracy", f"--run_dir={trained}", "--count=24")
    run("tools.fit_accuracy_predictor", f"--pairs={pairs}", f"--output={trained / 'predictor.npz'}")
    before = len(pairs.read_text().splitlines())
    command = (
        "tools.specialize", f"--run_dir={trained}", "--max_latency_ms=5", "--name=mine", "--resolutions=32",
        "--table_rounds=1", "--candidates=3", "--finetune_epochs=1", "--max_drop=0.5", "--learn", f"--output={output}",
    )  # fmt: skip
    said = run(*command)
    found = result(output, "mine")
    assert found["status"] == "verified"
    assert f"mine: verified; latency_ms {found['measured']['latency_ms']:.6g} of 5; validation top-1" in said
    assert found["measured"]["latency_ms"] <= 5
    assert None not in (found["supernet_top1"], found["keras_top1"], found["tflite_top1"])
    [table] = output.glob("tables/*threads.json")
    assert json.loads(table.read_text())["correction"]["networks"] == 6
    [networks] = output.glob("tables/*.networks.jsonl")
    assert len(networks.read_text().splitlines()) == len(found["rounds"])
    assert before < len(pairs.read_text().splitlines()) <= before + 3
    report = json.loads((output / "report.json").read_text())
    assert report["cost"]["specialization_hours"] == pytest.approx(found["seconds"] / 3600)
    assert report["devices"][0]["searched"]
    assert report["metrics"]
    # Given again, there is nothing left to do.
    written = (output / "targets" / "mine" / "result.json").stat().st_mtime_ns
    run(*command)
    assert (output / "targets" / "mine" / "result.json").stat().st_mtime_ns == written
