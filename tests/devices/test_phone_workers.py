"""Processes that measure on several phones: all are waited for, and none outlives an interruption."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from ofa_tf.devices.phone_workers import output_of

ROOT = pathlib.Path(__file__).parents[2]
# Stands for the binary: "bad" fails, "slow" waits to be interrupted, and cleans up.
WORKER = """
import pathlib, sys, time
serial, output = (argument.partition("=")[2] for argument in sys.argv[-2:])
pathlib.Path(output).write_text("begun")
try:
    time.sleep(60 if serial == "slow" else 0)
except KeyboardInterrupt:
    time.sleep(0.3)
    pathlib.Path(output).write_text("cleaned")
    sys.exit(130)
sys.exit(serial == "bad")
"""
CALL = """
import sys
from ofa_tf.devices.phone_workers import output_of, run_workers
run_workers("worker", [], {name: output_of(sys.argv[1], name) for name in sys.argv[2:]})
"""


@pytest.fixture
def started(tmp_path):
    """Starts workers on phones; the process that waits for them."""
    (tmp_path / "worker.py").write_text(WORKER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def start(*serials):
        command = [sys.executable, "-c", CALL, str(tmp_path / "t.json"), *serials]
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)

    return start


def test_one_that_fails_does_not_end_the_others(started, tmp_path):
    _, said = (process := started("good", "bad", "fine")).communicate(timeout=60)
    assert process.returncode == 1
    assert "1 of 3 phones failed, see above: bad; what was measured" in said
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["t-bad.json", "t-fine.json", "t-good.json"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_reaches_every_one_once(started, tmp_path, ending):
    process = started("slow", "good")
    path, end = tmp_path / "t-slow.json", time.monotonic() + 30
    while not path.exists() or path.read_text() != "begun":
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(ending)
    process.communicate(timeout=30)
    assert process.returncode not in (0, None)
    assert path.read_text() == "cleaned"


def test_names_of_outputs():
    assert output_of("a b/phone.json", "127.0.0.1:5555") == "a b/phone-127.0.0.1_5555.json"
    assert output_of("phone.json", "R5CT/../x y") == "phone-R5CT_.._x_y.json"
