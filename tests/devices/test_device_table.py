"""Tables built on a phone through the real adb: interrupted, resumed, and with everything that can go wrong with it."""

import dataclasses
import math
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from ofa_tf.common import InputError, OfaError
from ofa_tf.devices.benchmark_model import BenchmarkOptions, find_binary
from ofa_tf.devices.block_models import ModelCache
from ofa_tf.devices.connection import LostError
from ofa_tf.devices.phone import Phone
from ofa_tf.devices.table_builder import conditions
from ofa_tf.devices.table_file import table_summary
from ofa_tf.devices.verification import verify_table
from ofa_tf.predictors import BlockLatency, LatencyTable
from ofa_tf.predictors.latency_table import BELOW_CLOCK, UNFINISHED
from ofa_tf.spaces import costs
from ofa_tf.spaces.population import distinct_blocks
from tests.phone.loopback_phone import LoopbackPhone

ROOT = pathlib.Path(__file__).parents[2]
RESOLUTIONS = (24,)
# Blocks need 15 ms each besides the runs; the phone is this busy machine, so no batch counts as disturbed.
QUICK = BenchmarkOptions(runs=5, min_seconds=0.002, warmup_seconds=0.001, max_seconds=2.0, cooling_seconds=2)
BESIDES = ("an empty model", "the reference network", "the reference network, again")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Models are converted once for all tests."""
    return ModelCache(tmp_path_factory.mktemp("models"))


@pytest.fixture
def build(space, session, cache, tmp_path):
    """Builds the table at `tmp_path / "table.json"` in a session of its own."""

    def built(on_session=lambda opened: None, *, tolerance=math.inf, options=QUICK, **arguments):
        with session(options, **arguments) as opened:
            on_session(opened)
            options = {"resolutions": RESOLUTIONS, "tolerance": tolerance, "cache": cache, "progress": False}
            return opened.build_table(space, "int8", tmp_path / "table.json", **options)

    return built


@pytest.fixture
def keys(space):
    """What a whole table holds."""
    return {block.key for block in distinct_blocks(space, RESOLUTIONS)}


def blocks_run(phone):
    """The blocks that the phone has run the tool on, in order; without the models that are measured beside them."""
    return [name for name in phone.models_run() if name not in BESIDES]


def test_a_table_says_what_was_measured_and_how(phone, build, keys, tmp_path):
    table = build()
    assert set(table.blocks) == keys
    assert sorted(blocks_run(phone)) == sorted(keys)
    assert all(latency.count >= 5 and latency.p95_ms >= latency.median_ms > 0 for latency in table.blocks.values())
    assert (table.device, table.precision, table.threads, table.form) == (
        phone.serial_number,
        "int8",
        1,
        "folded-rows",
    )
    assert table.resolutions == RESOLUTIONS
    assert table.versions["cpu"] == "SC0000"
    assert table.versions["fingerprint"].startswith("loopback/phone")
    assert table.versions["delegate"] == "xnnpack"
    assert table.versions["core mask"] == "80"
    assert table.versions["governor"] == "performance"
    assert len(table.versions["benchmark_model"]) == len("SHA-256 ") + 64
    assert LatencyTable.load(tmp_path / "table.json") == table
    assert table_summary(table).startswith(f"{len(keys)} blocks; reference network at most ")
    # Asked for again, nothing is run.
    assert build() == table
    assert sorted(blocks_run(phone)) == sorted(keys)
    assert phone.files() == []
    assert phone.is_idle()


def test_other_conditions_are_refused(build, tmp_path):
    table = build()
    with pytest.raises(InputError, match="holds a table with threads 1, to go on with it 2 was expected"):
        build(options=BenchmarkOptions(threads=2))
    with pytest.raises(InputError, match="holds a table with delegate 'xnnpack'"):
        build(options=BenchmarkOptions(delegate="none"))
    assert LatencyTable.load(tmp_path / "table.json") == table


def takes_ms(levels_ms, after=lambda name: None):
    """For `build`: the reference network takes these times; then something happens after each model."""

    def watch(opened):
        real = opened.measure

        def measure(models, keep):
            def kept(found):
                if found.name in BESIDES[1:]:
                    level_ms = next(levels_ms)
                    times = dict.fromkeys(("median_ms", "p95_ms"), level_ms)
                    found = dataclasses.replace(found, latency=dataclasses.replace(found.latency, **times))
                keep(found)
                after(found.name)

            return real(models, kept)

        opened.measure = measure

    return watch


@pytest.mark.parametrize(("again_ms", "drift"), [(1.0, "1.000"), (4.0, "3.000")])
@pytest.mark.usefixtures("small_batches")
def test_disturbed_batches_are_measured_again_once(phone, build, keys, again_ms, drift):
    """And the less disturbed of the two counts."""
    levels_ms = iter((1.0, 1.0, 3.0, 1.0, again_ms, 1.0, 2.0))
    table = build(takes_ms(levels_ms), tolerance=1.05)
    again = blocks_run(phone)[len(keys) :]
    assert set(again) == set(blocks_run(phone)[math.ceil(len(keys) / 2) : len(keys)])
    assert next(levels_ms) == 2.0
    assert table.versions["drift"] == drift


@pytest.mark.usefixtures("small_batches")
def test_a_disturbed_batch_of_a_killed_build_is_measured_again(phone, build, keys, tmp_path):
    """Its process is killed two blocks after the phone became slow: these are measured again, no others."""
    path, seen, states = tmp_path / "table.json", [], {}

    def look(name):
        if name not in BESIDES:
            seen.append(name)
            states[len(seen)] = path.read_bytes()

    build(takes_ms(iter((1.0, 1.0, 3.0, 3.0, 1.0, 1.0)), look), tolerance=1.05)
    killed_at = math.ceil(len(keys) / 2) + 2
    slow = set(seen[killed_at - 2 : killed_at])
    path.write_bytes(states[killed_at])
    assert LatencyTable.load(path).versions["drift"] == "3.000"
    phone_before = len(blocks_run(phone))
    table = build(takes_ms(iter((1.0,) * 4)), tolerance=1.05)
    again = blocks_run(phone)[phone_before:]
    assert sorted(again) == sorted([*keys - set(seen[:killed_at]), *slow])
    assert set(again[-2:]) == slow
    assert table.versions["drift"] == "1.000"
    assert not any(name.startswith(UNFINISHED) for name in LatencyTable.load(path).versions)
    # Killed after the last block, before anything was measured again.
    path.write_bytes(states[len(keys)])
    phone_before = len(blocks_run(phone))
    assert build(takes_ms(iter((1.0,) * 2)), tolerance=1.05).versions["drift"] == "1.000"
    assert set(blocks_run(phone)[phone_before:]) == set(seen[math.ceil(len(keys) / 2) : len(keys)])


def in_second_batch(act):
    """For `build`: something happens once the first batch is measured."""

    def watch(opened):
        real, calls = opened.measure, []

        def measure(*arguments):
            calls.append(arguments)
            if len(calls) == 2:
                act()
            return real(*arguments)

        opened.measure = measure

    return watch


def after_blocks(count, act):
    """For `build`: something happens once so many blocks are measured."""

    def watch(opened):
        real, seen = opened.measure, []

        def measure(models, keep):
            def kept(measurement):
                keep(measurement)
                seen.extend([measurement.name] if measurement.name not in BESIDES else [])
                if len(seen) == count and seen[-1] == measurement.name:
                    act()

            return real(models, kept)

        opened.measure = measure

    return watch


def switched(name, value):
    """A fault of the phone's."""
    return lambda phone: setattr(phone.faults, name, value)


def freezes(phone):
    """For a second and a half."""
    phone.faults.frozen = True
    threading.Timer(1.5, lambda: setattr(phone.faults, "frozen", False)).start()


def leaves(phone):
    """And comes back under its serial."""
    phone.leave()
    threading.Timer(1.0, phone.come_back).start()


MENDED = {
    "a push that breaks off": switched("drop_after", 3_000),
    "a shell that breaks off": switched("drop_after_sent", 2_000),
    "a serial that comes back": leaves,
    "a killed benchmark": switched("killed_runs", 1),
    "a benchmark that hangs": switched("hanging_runs", 1),
    "garbled output": switched("garbled_runs", 1),
    "partial output": switched("partial_runs", 1),
    "a slow first run": switched("slow_first_seconds", 0.05),
    "hot for a while": lambda phone: phone.set_readings(thermal_status=[0, 2, 0]),
}


@pytest.fixture
def small_batches(monkeypatch, keys):
    """Two batches, so that something was measured before a fault."""
    monkeypatch.setattr("ofa_tf.devices.device.BATCH_BLOCKS", math.ceil(len(keys) / 2))


@pytest.mark.parametrize("fault", [*MENDED, "frozen"])
@pytest.mark.usefixtures("small_batches")
def test_what_is_mended(phone, build, keys, fault):
    """The build completes; the block that was running is measured again, no other."""
    when, unheard = in_second_batch(lambda: MENDED[fault](phone)), 0
    if fault == "frozen":
        # It goes on, and is not heard.
        when, unheard = after_blocks(6, lambda: freezes(phone)), len(keys) - 6
    table = build(when, silent_seconds=1.0, patience_seconds=20.0)
    assert set(table.blocks) == keys
    assert len(blocks_run(phone)) <= len(keys) + 1 + unheard
    assert table.versions["hot blocks"] == ""
    assert phone.files() == []
    assert phone.is_idle()


STOPPED = {
    "one model that kills the tool": (None, OfaError, "1 of .* blocks could not be measured, .* exit code 137"),
    "a full disk": (switched("room_bytes", 1_000), InputError, "no room for"),
    "an unknown option": (switched("unknown_options", ("num_threads",)), InputError, "does not know --num_threads=1"),
    "garbled output for ever": (switched("garbled_runs", 1_000), OfaError, "an empty model could not be measured"),
    "a phone that leaves for good": (LoopbackPhone.leave, LostError, "did not come back within 0.5 s"),
}


@pytest.mark.parametrize("fault", STOPPED)
@pytest.mark.usefixtures("small_batches")
def test_what_ends_a_build(phone, adb_server, build, keys, fault, tmp_path):
    """One clear message, what was measured is in the table, and the same command goes on with it."""
    act, error, said = STOPPED[fault]
    if act is None:
        phone.faults.killed_model = sorted(keys)[3]
    with pytest.raises(error, match=said) as caught:
        build(in_second_batch(lambda: act and act(phone)), patience_seconds=0.5)
    assert "\n" not in str(caught.value)
    kept = LatencyTable.load(tmp_path / "table.json").blocks
    assert len(keys) // 2 <= len(kept) < len(keys)
    assert set(kept) <= keys
    if fault == "a phone that leaves for good":
        phone.come_back()
        adb_server.connect(phone)
    else:
        assert phone.files() == []
        assert phone.is_idle()
    phone.faults.__init__()
    before = len(blocks_run(phone))
    assert set(build().blocks) == keys
    assert sorted(blocks_run(phone)[before:]) == sorted(keys - set(kept))
    assert phone.files() == []


def test_a_phone_that_stays_hot(phone, build, keys):
    """It is waited for, measured as it is, and the table says which blocks it was."""
    phone.set_readings(battery_tenths=[455])
    options = BenchmarkOptions(runs=2, min_seconds=0.0, warmup_seconds=0.0, cooling_seconds=0, hot_attempts=1)
    table = build(options=options)
    assert set(table.versions["hot blocks"].split()) == keys
    assert f"{len(keys)} measured hot (" in table_summary(table)


def test_blocks_below_the_clock_are_named(phone, build, keys):
    """In the table, and in its last line; a table of other blocks names none."""
    phone.faults.coarse_clock = True
    table = build()
    assert set(table.versions[BELOW_CLOCK].split()) == keys
    assert f"{len(keys)} known by their mean only, below the clock (" in table_summary(table)
    assert "below the clock" not in table_summary(dataclasses.replace(table, versions={}))


def test_a_table_is_gone_on_with_under_another_address(adb_server, phone, build, binary, space, cache, keys, tmp_path):
    """Nothing is measured twice; also where an older version called the phone by an address that it still has.

    Where the address is gone, nobody can tell whether it was this phone's: one line says how the user can.
    """
    path = tmp_path / "table.json"
    table = build()
    before = len(blocks_run(phone))
    with adb_server.connected_twice(phone):
        other = adb_server.adb.device(phone.other_serial)
        for named in (phone.serial_number, phone.other_serial, phone.serial):
            dataclasses.replace(table, device=named).save(path)
            with Phone(other, binary, QUICK) as opened:
                options = {"resolutions": RESOLUTIONS, "cache": cache, "progress": False, "tolerance": math.inf}
                assert opened.build_table(space, "int8", path, **options).blocks == table.blocks
            assert LatencyTable.load(path).device == phone.serial_number
        assert len(blocks_run(phone)) == before
        gone, written = '"device": "192.168.1.5:37123"', f'"device": "{phone.serial_number}"'
        dataclasses.replace(table, device="192.168.1.5:37123").save(path)
        with Phone(other, binary, QUICK) as opened:
            with pytest.raises(InputError, match=f"of phone '192.168.1.5:37123', .* write {written} into the file"):
                opened.build_table(space, "int8", path, **options)
            assert gone in path.read_text()
            path.write_text(path.read_text().replace(gone, written))
            assert opened.build_table(space, "int8", path, **options).blocks == table.blocks
            versions = {**table.versions, "fingerprint": "of another"}
            dataclasses.replace(table, device="192.168.1.5:37123", versions=versions).save(path)
            with pytest.raises(InputError, match=r"table with fingerprint 'of another', .*; give another file"):
                opened.build_table(space, "int8", path, **options)
        assert len(blocks_run(phone)) == before


def test_a_tool_for_another_abi(phone, device, space, cache, tmp_path):
    """Before anything is measured; nothing is written."""
    binary = find_binary("arm64-v8a", phone.write_tool(tmp_path / "tool", abi="armeabi-v7a"))
    with pytest.raises(InputError, match="does not run on phone"), Phone(device, binary, QUICK) as opened:
        opened.build_table(space, "int8", tmp_path / "table.json", resolutions=RESOLUTIONS, cache=cache)
    assert not (tmp_path / "table.json").exists()
    assert phone.files() == []


BUILDER = """
import sys
from ofa_tf.devices.adb import Adb
from ofa_tf.devices.benchmark_model import BenchmarkOptions, find_binary
from ofa_tf.devices.block_models import ModelCache
from ofa_tf.devices.phone import Phone
from tests.devices.conftest import small_space
serial, tool, cache, output = sys.argv[1:]
options = BenchmarkOptions(runs=5, min_seconds=0.3, warmup_seconds=0.001)
with Phone(Adb().device(serial), find_binary("arm64-v8a", tool), options) as phone:
    options = {"tolerance": 9, "cache": ModelCache(cache), "progress": False}
    phone.build_table(small_space(), "int8", output, resolutions=(24,), **options)
"""


def test_interrupted_twice(phone, adb_server, build, cache, binary, keys, tmp_path):
    """Its process is killed, then the connection breaks for good: in the end all keys, and no block measured twice."""
    output = tmp_path / "table.json"
    command = [sys.executable, "-c", BUILDER, phone.serial, str(binary.path), str(cache.folder), str(output)]
    builder = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **adb_server.environment})
    end = time.monotonic() + 60
    while not output.exists() or len(LatencyTable.load(output).blocks) < 2:
        assert builder.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    killed = set(LatencyTable.load(output).blocks)
    assert 2 <= len(killed) < len(keys)

    with pytest.raises(LostError, match="did not come back"):
        build(after_blocks(2, phone.leave), patience_seconds=0.5)
    dropped = set(LatencyTable.load(output).blocks)
    assert len(killed) + 2 <= len(dropped) < len(keys)
    phone.come_back()
    adb_server.connect(phone)
    before = len(blocks_run(phone))
    assert set(build().blocks) == keys
    runs = blocks_run(phone)
    assert sorted(runs[before:]) == sorted(keys - dropped)
    # Once each, but for the one that was running at each interruption.
    assert all(runs.count(key) == 1 for key in killed)
    assert len(runs) <= len(keys) + 2
    assert phone.files() == []
    assert phone.is_idle()


def test_networks_are_compared_on_the_phone(phone, session, space, cache, monkeypatch):
    """Given ones first, then random ones; the correction is of others, and another phone's table is refused."""
    monkeypatch.setattr("ofa_tf.devices.table_builder.ModelCache", lambda: cache)
    space = space.replace(resolutions=(64, 128))
    given = space.arch(e=4, r=64)
    with session() as opened:
        # What stands in for measured blocks: their multiply-accumulates.
        blocks = {block.key: BlockLatency(costs.macs(block) * 1e-7, None, 0.0, 1) for block in distinct_blocks(space)}
        table = conditions(opened, "int8", "folded-rows").adding(blocks)
        found, corrected = verify_table(table, space, opened, networks=3, correct=4, archs=[given, given])
        assert found.archs[0] == given
        assert len(found.archs) == len(set(found.archs)) == 4
        assert found.correction_networks == corrected.correction.networks == 4
        assert min(found.measured_ms) > 0
        assert len([name for name in phone.models_run() if "in round" in name]) == 3 * (1 + 1 + 3 + 4)
        other = dataclasses.replace(table, versions={**table.versions, "fingerprint": "another"})
        with pytest.raises(InputError, match=r"table\.json: holds a table with fingerprint 'another'"):
            verify_table(other, space, opened, networks=2, path="table.json")
    assert phone.files() == []
