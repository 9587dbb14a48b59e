import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

from ofa_tf import deploy

ROOT = pathlib.Path(__file__).parents[2]


def _run(tool, *arguments, **variables):
    command = [sys.executable, "-m", f"mobile_bench.{tool}", *map(str, arguments)]
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build_latency_table", "--device=pixel", "--space=ofa_tiny", "--output=t.json"), "phones come with adb"),
        (("build_latency_table", "--space=nothing", "--output=t.json"), "space 'nothing' is unknown"),
        (("build_latency_table", "--space=ofa_tiny", "--resolutions=24,x", "--output=t.json"), "--resolutions='24,x'"),
        (("verify", "--table=missing.json", "--space=ofa_tiny", "--output=v.json"), "missing.json: no such file"),
        (("benchmark", "--model=missing.tflite"), "missing.tflite: cannot be read"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, said):
    """Protects users from tracebacks."""
    result = _run(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_benchmark_measures_files(tmp_path):
    """Protects the binary from end to end: one line per file, and the same as JSON."""
    inputs = keras.Input((4, 4, 1))
    path = tmp_path / "model.tflite"
    path.write_bytes(deploy.convert(keras.Model(inputs, keras.layers.ReLU()(inputs)), "float32"))
    result = _run("benchmark", f"--model={path}", "--seconds=0.01", f"--output={tmp_path / 'result.json'}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{path}: ")
    measured = json.loads((tmp_path / "result.json").read_text())
    assert measured["models"][str(path)]["count"] >= 50
    assert (measured["unit"], measured["device"]) == ("ms", "host")


def test_benchmark_measures_files_on_a_phone(adb_server, phone, tmp_path):
    """The same, by the phone's serial: a line and JSON for what can be measured, one error for what cannot."""
    inputs = keras.Input((4, 4, 1))
    good, bad = tmp_path / "it's $good.tflite", tmp_path / "bad.tflite"
    good.write_bytes(deploy.convert(keras.Model(inputs, keras.layers.ReLU()(inputs)), "float32"))
    bad.write_bytes(b"no model")
    phone.set_governor("schedutil")
    tool = phone.write_tool(tmp_path / "benchmark_model")
    result = _run(
        "benchmark",
        f"--device={phone.serial}",
        f"--model={good},{bad}",
        "--seconds=0.01",
        f"--benchmark_binary={tool}",
        f"--log_folder={tmp_path / 'logs'}",
        f"--output={tmp_path / 'result.json'}",
        **adb_server.environment,
    )
    assert result.returncode == 1
    assert result.stdout.startswith(f"{good}: ")
    warning, error = result.stderr.splitlines()
    assert "governor is schedutil" in warning
    assert f"error: {bad}: benchmark_model ended with exit code 1" in error
    measured = json.loads((tmp_path / "result.json").read_text())
    assert measured["models"][str(good)]["count"] >= 50
    assert measured["device"] == phone.serial
    assert measured["versions"]["benchmark_model"].startswith("SHA-256 ")
    assert len(list((tmp_path / "logs").iterdir())) == 2
    assert phone.files() == []
