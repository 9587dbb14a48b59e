import json
import os
import signal
import subprocess
import sys

import keras
import pytest

from ofa_tf import deploy
from ofa_tf.predictors import LatencyTable
from tests.binaries import run_binary
from tests.reference import ROOT


def _run(tool, *arguments, anew=False, **variables):
    return run_binary(f"mobile_bench.{tool}", *arguments, environment=variables, anew=anew)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build_latency_table", "--device=host,host", "--space=ofa_tiny", "--output=t.json"), "'host' alone"),
        (("build_latency_table", "--space=nothing", "--output=t.json"), "space 'nothing' is unknown"),
        (("build_latency_table", "--space=ofa_tiny", "--resolutions=24,x", "--output=t.json"), "--resolutions='24,x'"),
        (("build_latency_table", "--space=ofa_tiny", "--form=auto", "--output=/dev/null/t"), "null/t: cannot be"),
        (("verify", "--table=missing.json", "--space=ofa_tiny", "--output=v.json"), "missing.json: no such file"),
        (("verify", "--table=t.json", "--space=ofa_tiny", "--output=v.png"), "--output=v.png: is what the plot"),
        (("verify", "--table=t.json", "--space=ofa_tiny", "--output=/dev/null/v.json"), "v.json: cannot be written"),
        (("benchmark", "--model=missing.tflite", "--output=/dev/null/v.json"), "v.json: cannot be written"),
        (("benchmark", "--model=missing.tflite", "--op_profiling"), "--op_profiling: is for phones"),
        (("benchmark", "--model=missing.tflite", "--delegate=gpu"), "--delegate: is for phones and computers by ssh"),
        (
            ("build_latency_table", "--space=ofa_tiny", "--output=t.json", "--benchmark_binary=t"),
            "--benchmark_binary: is",
        ),
        (("benchmark", "--model=missing.tflite", "--litert_version=2.1.5"), "--litert_version: is for phones"),
        (("benchmark", "--model=missing.tflite", "--threads=0"), "flag --threads=0"),
        (("benchmark", "--model=missing.tflite"), "missing.tflite: cannot be read"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, said):
    """Protects users from tracebacks."""
    result = _run(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_correction_that_could_not_be_kept_is_told_before_anything_is_measured(tmp_path):
    """Protects hours on a phone from a table that can only be read."""
    LatencyTable("host", "int8", 1, "folded-rows").save(tmp_path / "t.json")
    reading, writing = os.pipe()
    os.write(writing, (tmp_path / "t.json").read_bytes())
    os.close(writing)
    path = f"/proc/{os.getpid()}/fd/{reading}"
    result = _run("verify", f"--table={path}", "--space=ofa_tiny", "--correct=4", f"--output={tmp_path / 'v.json'}")
    os.close(reading)
    assert result.returncode == 2
    assert f"{path}: is no file, but a device or the like, which cannot be replaced" in result.stderr
    assert result.stderr.count("\n") == 1


def test_verify_takes_the_device_that_is_given(tmp_path):
    """By what the table's own is reached now: that one's conditions are asked for, and no phone of the table's name."""
    LatencyTable("R5CT1234ABC", "int8", 1, "folded-rows").save(tmp_path / "t.json")
    said = _run(
        "verify",
        f"--table={tmp_path / 't.json'}",
        "--space=ofa_tiny",
        "--device=host",
        f"--output={tmp_path / 'v.json'}",
    )
    assert said.returncode == 2
    assert "latency table: covers no resolution of the space ofa_tiny" in said.stderr


def test_benchmark_measures_files(tmp_path):
    """Protects the binary from end to end: one line per file, and the same as JSON."""
    inputs = keras.Input((4, 4, 1))
    path = tmp_path / "model.tflite"
    path.write_bytes(deploy.convert(keras.Model(inputs, keras.layers.ReLU()(inputs)), "float32"))
    result = _run("benchmark", f"--model={path}", "--seconds=0.01", f"--output={tmp_path / 'result.json'}", anew=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{path}: ")
    measured = json.loads((tmp_path / "result.json").read_text())
    assert measured["models"][str(path)]["count"] >= 50
    assert (measured["unit"], measured["device"]) == ("ms", "host")


# As the binary, but for the second file, which runs for too long.
ENDLESS = """
from ofa_tf.devices import host
from ofa_tf.common import InputError
opened, seen = host.open_foreign, []
def open_foreign(path, **options):
    seen.append(path)
    if len(seen) == 2:
        raise InputError(f"{path}: ran for 60 s without an end; export it anew, or smaller")
    return opened(path, **options)
host.open_foreign = open_foreign
from mobile_bench import benchmark
benchmark.run()
"""


def test_benchmark_keeps_what_was_measured_before_a_mistake(tmp_path):
    """In the output, and as exit code 2; a mistake before the first measurement leaves the output as it was."""
    inputs = keras.Input((4, 4, 1))
    paths, output = [tmp_path / f"{number}.tflite" for number in range(2)], tmp_path / "result.json"
    for path in paths:
        path.write_bytes(deploy.convert(keras.Model(inputs, keras.layers.ReLU()(inputs)), "float32"))
    arguments = [f"--model={','.join(map(str, paths))}", "--seconds=0.01", f"--output={output}"]
    result = subprocess.run(
        [sys.executable, "-c", ENDLESS, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert result.returncode == 2
    assert f"error: {paths[1]}: ran for 60 s without an end" in result.stderr.splitlines()[-1]
    kept = output.read_text()
    assert set(json.loads(kept)["models"]) == {str(paths[0])}
    assert _run("benchmark", "--model=missing.tflite", f"--output={output}").returncode == 2
    assert output.read_text() == kept


def test_benchmark_keeps_what_was_measured_before_an_interruption(tmp_path):
    """Protects the measurements of many files from the Ctrl-C that ends a command which takes too long."""
    inputs = keras.Input((4, 4, 1))
    # Several: on a busy machine some more may be measured before the signal arrives.
    paths, output = [tmp_path / f"{number}.tflite" for number in range(6)], tmp_path / "result.json"
    for path in paths:
        path.write_bytes(deploy.convert(keras.Model(inputs, keras.layers.ReLU()(inputs)), "float32"))
    command = [sys.executable, "-m", "mobile_bench.benchmark", f"--model={','.join(map(str, paths))}"]
    # As from a terminal, where every process of the command gets it.
    group = {"start_new_session": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "--seconds=3", f"--output={output}"], cwd=ROOT, **group) as process:
        first = process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=100)
    assert (process.returncode, stderr) == (130, "python -m mobile_bench.benchmark: interrupted\n")
    assert first.startswith(f"{paths[0]}: ")
    kept = output.read_text()
    assert {str(paths[0])} <= set(json.loads(kept)["models"]) < set(map(str, paths))
    # Before there is anything to keep, what a former command wrote stays.
    at_once = ENDLESS.replace("len(seen) == 2", "seen").replace("raise InputError", "raise KeyboardInterrupt")
    again = [sys.executable, "-c", at_once, *command[3:], f"--output={output}"]
    assert subprocess.run(again, cwd=ROOT, capture_output=True, timeout=100, check=False).returncode == 130
    assert output.read_text() == kept


def test_microcontroller_judges_files(tmp_path):
    """Inside the limits: figures and exit code 0; over one of them, which one; refused: one line."""
    pytest.importorskip("tflite_micro")
    inputs = keras.Input((8, 8, 3))
    path, output = tmp_path / "model.tflite", tmp_path / "result.json"
    path.write_bytes(deploy.convert(keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs)), "float32"))
    source = tmp_path / "net.cc"
    limits = ("--max_arena_bytes=20e3", "--max_model_bytes=1e5")
    told = (f"--output={output}", f"--c_array={source}")
    result = _run("microcontroller", f"--model={path}", *limits, "--count=3", *told, anew=True)
    assert result.returncode == 0, result.stderr
    found = json.loads(output.read_text())
    assert found["peak_memory_bytes"] == 4 * (8 * 8 * 3 + 6 * 6 * 4)
    assert found["model_bytes"] == path.stat().st_size
    assert (found["images"], found["same_class_as_litert"]) == (3, 3)
    assert f"SRAM {found['arena_bytes']} bytes" in result.stdout
    assert f"NET_ARENA_BYTES {found['arena_bytes']}\n" in source.with_suffix(".h").read_text()
    assert f"net_tflite_size = {found['model_bytes']}u" in source.read_text()
    for limit, said in (("--max_arena_bytes=1000", "its arena takes"), ("--max_model_bytes=100", "its file takes")):
        result = _run("microcontroller", f"--model={path}", limit)
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert said in result.stderr
    path.write_bytes(b"no model")
    result = _run("microcontroller", f"--model={path}")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "does not run it" in result.stderr


# As the binary, but for how long it waits for a phone that left.
IMPATIENT = """
from ofa_tf.devices.remote import RemoteDevice
RemoteDevice.__init__.__kwdefaults__["patience_seconds"] = 1.0
from mobile_bench import benchmark
benchmark.run()
"""


def test_benchmark_of_a_phone_that_leaves_for_good(adb_server, phone, tmp_path):
    """One error, exit code 1, and what was measured is in the file."""
    inputs = keras.Input((4, 4, 1))
    data = deploy.convert(keras.Model(inputs, keras.layers.ReLU()(inputs)), "float32")
    paths = [tmp_path / f"{number}.tflite" for number in range(3)]
    for path in paths:
        path.write_bytes(data)
    tool, output = phone.write_tool(tmp_path / "benchmark_model"), tmp_path / "result.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", IMPATIENT, f"--device={phone.serial}", "--seconds=1", f"--output={output}"),
            *(f"--model={','.join(map(str, paths))}", f"--benchmark_binary={tool}"),
        ],
        cwd=ROOT,
        env={**os.environ, **adb_server.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The first one's line is written as soon as it is measured.
    assert process.stdout.readline().startswith(f"{paths[0]}: ")
    phone.leave()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "did not come back within 1 s" in said.splitlines()[-1]
    assert "Traceback" not in said
    measured = json.loads(output.read_text())
    assert set(measured["models"]) == {str(paths[0])}
    assert measured["versions"]["benchmark_model"].startswith("SHA-256 ")


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
        "--op_profiling",
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
    [operation] = measured["models"][str(good)]["operations"]
    assert f"    {operation['mean_ms']:.4f} ms {operation['node_type']} {operation['name']}\n" in result.stdout
    assert measured["device"] == phone.serial
    assert measured["versions"]["benchmark_model"].startswith("SHA-256 ")
    assert len(list((tmp_path / "logs").iterdir())) == 2
    assert phone.files() == []
