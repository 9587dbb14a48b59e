"""The binary that builds tables, on phones, from its command line to its last line."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from ofa_tf import spaces
from ofa_tf.devices.benchmark_model import find_binary
from ofa_tf.devices.phone_workers import output_of
from ofa_tf.predictors import BlockLatency, LatencyTable
from ofa_tf.spaces.population import distinct_blocks
from tests.phone.loopback_phone import LoopbackPhone

ROOT = pathlib.Path(__file__).parents[2]
KEYS = [block.key for block in distinct_blocks(spaces.get("ofa_tiny"), (24,))]
# What the tests below leave to be measured: the rest stands in a table that is gone on with.
LEFT = 2


def command(phone_serials, tool, output, *arguments):
    return [
        sys.executable,
        "-m",
        "mobile_bench.build_latency_table",
        f"--device={phone_serials}",
        "--space=ofa_tiny",
        "--resolutions=24",
        "--runs=5",
        "--seconds=0.002",
        "--tolerance=1000",
        f"--benchmark_binary={tool}",
        f"--log_folder={output.parent / 'logs'}",
        f"--output={output}",
        *arguments,
    ]


@pytest.fixture(scope="module")
def environment(adb_server, tmp_path_factory):
    """Finds the adb server, and keeps models for these tests only."""
    folder = tmp_path_factory.mktemp("cache")
    variables = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return {**variables, **adb_server.environment, "OFA_TF_CACHE": str(folder)}


def run(arguments, environment):
    return subprocess.run(
        arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def begin(phone, tool, path):
    """Writes the table of a build that was interrupted near its end."""
    versions = {
        "fingerprint": "loopback/phone/phone:14/TEST/1:user/release-keys",
        "abi": phone.abi,
        "delegate": "xnnpack",
        "core mask": "80",
        "benchmark_model": f"SHA-256 {find_binary(phone.abi, tool).sha256}",
    }
    blocks = {key: BlockLatency(1.0, 1.0, 0.0, 50) for key in KEYS[LEFT:]}
    LatencyTable(phone.serial_number, "int8", 1, "folded-rows", versions, blocks=blocks).save(path)


def test_many_phones(adb_server, phone, environment, tmp_path):
    """Each in its own file; one that cannot be used is told, the others go on, and the exit code is 1."""
    tool, output = phone.write_tool(tmp_path / "tool"), tmp_path / "table.json"
    locked = LoopbackPhone()
    locked.faults.unauthorized = True
    with LoopbackPhone("Galaxy 0") as other, adb_server.connected(other), locked:
        adb_server.connect(locked, "unauthorized")
        for one in (phone, other):
            begin(one, tool, output_of(str(output), one.serial))
        done = run(command("all", tool, output), environment)
        adb_server.adb.run(["disconnect", locked.serial])
        for one in (phone, other):
            table = LatencyTable.load(output_of(str(output), one.serial))
            assert set(table.blocks) == set(KEYS)
            assert len(one.models_run()) == LEFT + 3
            assert one.files() == []
            assert f"phone {one.serial}: {len(KEYS)} of {len(KEYS)} blocks" in done.stderr
            assert f"table-{one.serial.replace(':', '_')}.json: int8, on SC0000: {len(KEYS)} blocks" in done.stdout
    assert done.returncode == 1
    assert "it has not accepted this computer" in done.stderr
    assert f"error: 1 of 3 phones failed, see above: {locked.serial}" in done.stderr.splitlines()[-1]


def test_a_phone_under_two_serials(adb_server, phone, environment, tmp_path):
    """Measured once, with one table, which is gone on with under the other."""
    tool, output = phone.write_tool(tmp_path / "tool"), tmp_path / "table.json"
    begin(phone, tool, output_of(str(output), phone.serial_number))
    with adb_server.connected_twice(phone):
        done = run(command("all", tool, output), environment)
        assert done.returncode == 0, done.stderr
        assert f"phone {phone.other_serial}: the same phone as {phone.serial}" in done.stderr
        assert [path.name for path in tmp_path.glob("*.json")] == [f"table-{phone.serial_number}.json"]
        assert len(phone.models_run()) == LEFT + 3
        both = f"{phone.other_serial},{phone.serial}"
        again = run(command(both, tool, output), environment)
        assert (again.returncode, len(phone.models_run())) == (0, LEFT + 3), again.stderr
    assert phone.files() == []


def test_mistakes_with_phones(phone, environment, tmp_path):
    """One line and exit code 2, for phones that are not there and combinations that make no sense."""
    for device, said in (
        (f"{phone.serial},{phone.serial}", "a phone is there twice"),
        (f"host,{phone.serial}", "expected 'host' alone"),
        ("127.0.0.1:1", f"adb does not see it, but {phone.serial}"),
    ):
        done = run(command(device, "tool", tmp_path / "table.json"), environment)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert said in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("space", "resolutions"), [("ofa_tiny", "24"), ("ofa_cifar_s", "32")])
def test_an_interrupted_table(space, resolutions, adb_server, phone, environment, tmp_path):
    """Killed, stopped by Ctrl-C, its phone unplugged: the keys of an uninterrupted table, and nothing run twice."""
    tool, output = phone.write_tool(tmp_path / "tool"), tmp_path / "table.json"
    blocks = distinct_blocks(spaces.get(space), [int(side) for side in resolutions.split(",")])
    keys = {block.key for block in blocks}
    given = (f"--space={space}", f"--resolutions={resolutions}", "--seconds=0.1")

    def unplug(builder):
        phone.leave()

    endings = {
        lambda builder: builder.send_signal(signal.SIGKILL): -signal.SIGKILL,
        lambda builder: builder.send_signal(signal.SIGINT): 130,
        unplug: 1,
    }
    saved = [set()]
    for number, (end, code) in enumerate(endings.items()):
        builder = subprocess.Popen(
            command(phone.serial, tool, output, *given), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
        )
        while not output.exists() or len(LatencyTable.load(output).blocks) < 15 * (number + 1):
            assert builder.poll() is None
            time.sleep(0.02)
        end(builder)
        # A phone that left is waited for, a minute long.
        assert builder.wait(timeout=120) == code
        saved.append(set(LatencyTable.load(output).blocks))
    phone.come_back()
    adb_server.connect(phone)
    before = len(phone.models_run())
    done = run(command(phone.serial, tool, output, *given), environment)
    assert done.returncode == 0, done.stderr
    last = [name for name in phone.models_run()[before:] if name in keys]
    assert sorted(last) == sorted(keys - saved[-1])
    whole = run(command(phone.serial, tool, tmp_path / "whole.json", *given), environment)
    assert whole.returncode == 0, whole.stderr
    assert saved[0] < saved[1] < saved[2] < saved[3] < set(LatencyTable.load(output).blocks)
    assert set(LatencyTable.load(output).blocks) == set(LatencyTable.load(tmp_path / "whole.json").blocks) == keys
    runs = [name for name in phone.models_run() if name in keys][: -len(keys)]
    # But for the one that was running at each interruption.
    assert len(runs) <= len(keys) + len(endings)
    assert all(runs.count(key) == 1 for key in saved[1])
    assert phone.files() == []
    assert phone.is_idle()


@pytest.mark.slow
def test_the_form_is_measured(phone, environment, tmp_path):
    """On the phone and here; told with its times, and kept by whoever goes on with the table."""
    tool, output = phone.write_tool(tmp_path / "tool"), tmp_path / "table.json"
    done = run(command(phone.serial, tool, output, "--form=auto"), environment)
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    form = LatencyTable.load(output).form
    assert first.startswith(f"{phone.serial}: form {form}, of a network's times in ms: ")
    assert first.count(",") >= 8
    assert last.startswith(f"{output}: int8, on SC0000: {len(KEYS)} blocks; reference network")
    again = run(command(phone.serial, tool, output, "--form=auto"), environment)
    assert again.stdout == f"{last}\n"
