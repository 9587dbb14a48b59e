"""tools.specialize: mistakes in one line, failures beside good results, and a killed run that goes on."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

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
    targets = write_targets(tmp_path / "targets.json", {"name": "a", "device": "host", "limits": {"speed": 1}})
    says = "targets.json: target 1 (a): limits has the field 'speed'"
    check_mistake(*ours, f"--targets={targets}", says=says, leaves=output)
    says = "--predictor: none given, and a missing --supernet has none; make one: python -m tools.collect_accuracy"
    check_mistake("tools.specialize", "--max_macs=1e6", f"--output={output}", says=says)


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
    command = ["-m", "tools.specialize", f"--supernet={SUPERNET}", f"--targets={targets}", f"--output={output}"]
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True
    )
    end = time.monotonic() + 200
    while not list(output.glob("targets/*/result.json")):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in output.glob("targets/*/result.json")}
    assert len(before) < 3
    end = time.monotonic() + 20
    while in_session(process.pid):
        assert time.monotonic() < end, "a worker outlives its parent"
        time.sleep(0.1)
    message = run(*command[1:], code=1)
    assert message.endswith(
        f"1 of 4 targets failed: impossible; {output / 'report.html'} says why, the same command tries them again"
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
