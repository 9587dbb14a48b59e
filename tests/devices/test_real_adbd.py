"""A real adbd behind the bench: what the loopback phone might hide. Blocks are kept, nothing stays on the phone."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from ofa_tf import spaces
from ofa_tf.predictors import LatencyTable
from ofa_tf.spaces.population import distinct_blocks
from tests.phone.real_adbd import phone as real

ROOT = pathlib.Path(__file__).parents[2]
KEYS = {block.key for block in distinct_blocks(spaces.get("ofa_tiny"), (24,))}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(lacking := real.missing()), reason=f"a real adbd: {lacking}"),
]


@pytest.fixture(scope="module")
def real_phone():
    """A phone that adb reaches under two serials."""
    with real.RealPhone() as phone:
        yield phone


@pytest.fixture
def phone(real_phone):
    """The same, connected, with nothing measured on it yet."""
    real_phone.connect()
    real_phone.tool_runs.clear()
    return real_phone


@pytest.fixture(scope="module")
def build(real_phone, tmp_path_factory):
    """Starts the binary that builds tables; models are converted once."""
    folder = tmp_path_factory.mktemp("real")
    tool = real_phone.write_tool(folder / "benchmark_model")
    environment = {**os.environ, **real_phone.environment, "OFA_TF_CACHE": str(folder)}
    started = []

    def begin(device, output, seconds=0.002):
        arguments = [
            *("--space=ofa_tiny", "--resolutions=24", "--runs=5", f"--seconds={seconds}", "--tolerance=1000"),
            *(f"--device={device}", f"--output={output}", f"--adb={real_phone.program}"),
            *(f"--benchmark_binary={tool}", f"--log_folder={folder / 'logs'}"),
        ]
        command = [sys.executable, "-m", "mobile_bench.build_latency_table", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def measured(phone):
    """The blocks that were run, in order."""
    return [name for name in phone.models_run() if name in KEYS]


def until(output, blocks, process):
    """Waits until the table has so many blocks."""
    end = time.monotonic() + 300
    while not output.exists() or len(LatencyTable.load(output).blocks) < blocks:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_list_of_devices(phone):
    done = subprocess.run(
        [sys.executable, "-m", "mobile_bench.devices", f"--adb={phone.program}"],
        cwd=ROOT, env={**os.environ, **phone.environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    _, first, second = done.stdout.splitlines()
    assert first.startswith(f"{phone.serial}: Real adbd, SC0001, Android 14, {phone.abi}, ")
    assert "battery 28.5 C, thermal status 0" in first
    assert second == f"{phone.other_serial}: the same phone as {phone.serial}"


def test_two_serials_at_once(phone, build, tmp_path):
    """One table, each block measured once, exit code 0."""
    process = build("all", tmp_path / "table.json")
    _, said = process.communicate(timeout=500)
    assert process.returncode == 0, said
    assert f"phone {phone.other_serial}: the same phone as {phone.serial}" in said
    [path] = tmp_path.iterdir()
    assert path.name == f"table-{phone.serial_number}.json"
    assert set(LatencyTable.load(path).blocks) == KEYS
    assert sorted(measured(phone)) == sorted(KEYS)
    assert phone.files() == []
    assert phone.is_idle()


def test_two_processes_at_once(phone, build, tmp_path):
    """The second is told who measures, under whatever serial it asks; the first is not disturbed."""
    first = build(phone.serial, tmp_path / "first.json", 0.1)
    until(tmp_path / "first.json", 3, first)
    second = build(phone.other_serial, tmp_path / "second.json")
    _, said = second.communicate(timeout=100)
    assert second.returncode == 2
    assert f"phone {phone.other_serial}: process {first.pid} on " in said.splitlines()[-1]
    _, said = first.communicate(timeout=500)
    assert first.returncode == 0, said
    assert sorted(measured(phone)) == sorted(KEYS)
    assert not (tmp_path / "second.json").exists()
    assert phone.files() == []
    assert phone.is_idle()


# What happens in the middle, and the exit code: those of the phone's and adb's are waited for.
ENDINGS = {
    "SIGINT": (lambda phone, process: process.send_signal(signal.SIGINT), 130),
    "SIGKILL": (lambda phone, process: process.send_signal(signal.SIGKILL), -signal.SIGKILL),
    "adbd restarted": (lambda phone, process: phone.restart_adbd(), 0),
    "adb kill-server": (lambda phone, process: phone.adb.run(["kill-server"]), 0),
    "adb disconnect": (lambda phone, process: phone.adb.run(["disconnect", phone.serial]), 0),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_interruptions(phone, build, ending, tmp_path):
    """No block is measured twice but the one that was running; the table is gone on with under the other serial."""
    output, (end, code) = tmp_path / "table.json", ENDINGS[ending]
    process = build(phone.serial, output, 0.1)
    until(output, 8, process)
    end(phone, process)
    _, said = process.communicate(timeout=500)
    assert process.returncode == code, said
    kept = set(LatencyTable.load(output).blocks)
    assert len(kept) >= 8
    if code:
        assert kept < KEYS
        assert phone.is_idle()
        before = len(measured(phone))
        again = build(phone.other_serial, output)
        _, said = again.communicate(timeout=500)
        assert again.returncode == 0, said
        assert sorted(measured(phone)[before:]) == sorted(KEYS - kept)
    else:
        assert "waiting for it" in said
    assert set(LatencyTable.load(output).blocks) == KEYS
    assert len(measured(phone)) <= len(KEYS) + 1
    assert phone.files() == []
    assert phone.is_idle()
