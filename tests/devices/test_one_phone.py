"""A phone is one phone, whatever reaches it: listed once, measured once, by one process at a time."""

import fcntl
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import types

import pytest

from ofa_tf import devices, spaces
from ofa_tf.common import InputError
from ofa_tf.devices.adb import Adb, Identity
from ofa_tf.devices.connection import LostError, UnavailableError
from ofa_tf.devices.phone import Phone
from ofa_tf.devices.phone_lock import PhoneLock, _answer
from ofa_tf.devices.phone_workers import output_of, outputs_of
from ofa_tf.predictors import LatencyTable
from ofa_tf.specialize import Target, TargetDevices, loop, target_devices
from tests.phone.loopback_phone import LoopbackPhone

ROOT = pathlib.Path(__file__).parents[2]
HOLD = """
import sys, time
from ofa_tf.devices.adb import Adb
from ofa_tf.devices.phone_lock import PhoneLock
lock = PhoneLock(Adb().device(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def twice(adb_server, phone):
    """The phone, known to adb under both of its addresses."""
    with adb_server.connected_twice(phone):
        yield phone


@pytest.fixture
def holder(adb_server):
    """Starts processes that hold the lock of the phone of a serial."""
    started = []

    def hold(serial):
        command = [sys.executable, "-c", HOLD, serial]
        environment = {**os.environ, **adb_server.environment}
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_the_binary_says_which_serials_are_one_phone(adb_server, twice, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mobile_bench.devices", f"--output={tmp_path / 'devices.json'}"],
        cwd=ROOT, env={**os.environ, **adb_server.environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    _, first, second = done.stdout.splitlines()
    assert first.startswith(f"{twice.serial}: Loopback Pixel 0")
    assert second == f"{twice.other_serial}: the same phone as {twice.serial}"
    listed = json.loads((tmp_path / "devices.json").read_text())
    assert listed[twice.serial]["serial_number"] == twice.serial_number
    assert listed[twice.other_serial] == {"state": "device", "same_as": twice.serial}


def test_a_phone_is_found_by_its_number_and_alone(adb_server, twice):
    """However many serials it has; with two phones, one is asked for."""
    adb = adb_server.adb
    assert adb.device().serial == twice.serial
    assert adb.device(twice.serial_number).serial == twice.serial
    assert adb.device(twice.other_serial).serial == twice.other_serial
    assert adb.is_usable(twice.serial_number)
    assert not adb.is_usable("another")
    with LoopbackPhone() as other, adb_server.connected(other):
        with pytest.raises(InputError, match=r"^2 phones: .*; choose one") as caught:
            adb.device()
        assert twice.serial in str(caught.value)
        assert twice.other_serial not in str(caught.value)
        assert adb.device(other.serial_number).serial == other.serial


def test_phones_of_one_number_are_two(adb_server, phone, tmp_path):
    """As emulators have it: told apart while they run, each with a table of its own."""
    with (
        LoopbackPhone(serial_number=phone.serial_number) as other,
        adb_server.connected(other),
        adb_server.connected_twice(other),
    ):
        with pytest.raises(InputError, match=f"^2 phones with the serial number {phone.serial_number}: "):
            adb_server.adb.device(phone.serial_number)
        outputs = outputs_of(str(tmp_path / "t.json"), [], adb_server.adb)
        assert outputs == {it.serial: output_of(str(tmp_path / "t.json"), it.serial) for it in (phone, other)}


def test_a_serial_that_does_not_answer(adb_server, phone, tmp_path):
    """Its name alone tells whose it is: those that adb finds in a Wi-Fi have the number inside."""
    names = {f"adb-{phone.serial_number}-Qx1y (2)._adb-tls-connect._tcp": phone.serial, "adb-R5CT-Qx1y._adb-tls": ""}
    program = tmp_path / "adb"
    more = "; ".join(f"echo '{name}   offline'" for name in names)
    program.write_text(f'#!/bin/sh\n"{adb_server.adb.path}" "$@"\nif [ "$1" = devices ]; then {more}; fi\n')
    program.chmod(0o755)
    listed = Adb(program, adb_server.environment).listed()
    assert {it.serial: it.same_as for it in listed} == {phone.serial: "", **names}


def test_phones_that_tell_nothing_are_not_one():
    assert not Identity().is_same(Identity())
    assert Identity("", "boot").is_same(Identity("", "boot"))
    assert not Identity("R5CT", "boot").is_same(Identity("R5CT", "another"))


def test_which_files_workers_write(adb_server, twice, tmp_path):
    """One for each phone, by its number; one that was begun by an address is gone on with."""
    output, said = str(tmp_path / "t.json"), []
    expected = {twice.serial: output_of(output, twice.serial_number)}
    assert outputs_of(output, [], adb_server.adb, said.append) == expected
    assert said == [f"phone {twice.other_serial}: the same phone as {twice.serial}, which is measured"]
    names = [twice.other_serial, twice.serial_number, "ssh:me@board", twice.serial]
    outputs = outputs_of(output, names, adb_server.adb, said.append)
    assert outputs == {
        twice.other_serial: output_of(output, twice.serial_number),
        "ssh:me@board": output_of(output, "ssh:me@board"),
    }
    assert len(said) == 3
    boards = ["ssh:me@board", "ssh:me@another"]
    assert outputs_of(output, boards, None) == {name: output_of(output, name) for name in boards}
    pathlib.Path(output_of(output, twice.other_serial)).write_text("{}")
    assert outputs_of(output, [], adb_server.adb) == {twice.serial: output_of(output, twice.other_serial)}


def test_a_phone_that_comes_back_by_another_way(adb_server, twice, session, model):
    """Its cable is pulled, the Wi-Fi is there: the session goes on, and says so. Another phone is not taken for it."""
    with LoopbackPhone() as other, adb_server.connected(other):
        device = adb_server.adb.device(twice.other_serial)
        adb_server.adb.run(["disconnect", twice.serial])
        device.serial = "a cable"
        device.wait(10)
        assert device.serial == twice.other_serial
        device.serial, device.identity = "a cable", Identity(device.identity.serial_number, "before its restart")
        with pytest.raises(LostError, match="did not come back within"):
            device.wait(0.5)
        adb_server.connect(twice)

    def pull(measurement):
        if measurement.name == "first":
            opened.name = opened.connection.serial = "a cable"
            twice.kill("is_hot()")

    # So many that the phone is still at work when the first result is here, on a slow machine too.
    models = [("first", model), *((f"later {number}", model) for number in range(20))]
    with session(patience_seconds=20.0) as opened:
        assert {it.error for it in opened.measure(models, pull)} == {""}
        assert any(note.endswith(f"goes on as {opened.name}, the same phone") for note in session.notes)
    assert twice.files() == []
    assert twice.is_idle()


def test_a_restarted_phone_is_the_same_under_its_own_serial(device, phone):
    phone.restart()
    device.wait(10)
    assert device.serial == phone.serial


def test_a_second_process_is_told_who_measures(twice, session, holder):
    """Whatever serial it takes, and nothing is cleaned that is the other's; one that was killed holds nothing."""
    process = holder(twice.other_serial)
    (twice.temporary / "ofa_tf").mkdir()
    with pytest.raises(
        UnavailableError, match=rf"process {process.pid} on .* since \d{{4}}-.* UTC measures on it; wait"
    ):
        session().__enter__()
    assert twice.files() == ["ofa_tf", "ofa_tf.lock"]
    process.kill()
    with session():
        pass
    assert twice.files() == []


def test_a_holder_that_is_silent_for_too_long_is_ended(device, phone, holder, monkeypatch):
    """Its computer is gone, and its connection stands; the one that took over is not ended by anybody."""
    process = holder(phone.serial)
    monkeypatch.setattr("ofa_tf.devices.phone_lock._SILENT_SECONDS", 1)
    time.sleep(2.5)
    (lock := PhoneLock(device)).acquire()
    assert f"process {os.getpid()} on" in (phone.temporary / "ofa_tf.lock").read_text()
    assert str(process.pid) not in (phone.temporary / "ofa_tf.lock").read_text()
    lock.release()
    assert phone.files() == []
    assert phone.is_idle()


def test_a_holder_says_that_it_is_there(device, phone, monkeypatch):
    monkeypatch.setattr("ofa_tf.devices.phone_lock._BEAT_SECONDS", 0.2)
    monkeypatch.setattr("ofa_tf.devices.phone_lock._SILENT_SECONDS", 1)
    (lock := PhoneLock(device)).acquire()
    time.sleep(2.5)
    with pytest.raises(UnavailableError, match=f"process {os.getpid()} on .* measures on it"):
        PhoneLock(device).acquire()
    lock.release()
    PhoneLock(device).release()
    assert phone.files() == []


@pytest.mark.parametrize("before", ["nothing", "one that is dead"])
def test_a_lock_in_its_first_moment(device, phone, before):
    """Its holder has not written its name yet: what the one before has left there ends nobody, and names nobody."""
    path = phone.temporary / "ofa_tf.lock"
    # The number of the one that is dead is another process's by now.
    bystander = subprocess.Popen(["sleep", "60"])
    path.write_text(f"process 1 on a computer\nabcdef {bystander.pid} 0\n" if before != "nothing" else "")
    new = "process 2 on a computer\n123456 1 99999999"
    phone.replace_program("sleep", f'echo "{new}" > {path}; exec /bin/sleep "$@"')
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(UnavailableError, match="process 2 on a computer measures on it"):
                PhoneLock(device).acquire()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_lock_whose_holder_writes_just_now(device, phone):
    """It says every ten seconds that it is there, and for a moment nothing is written: its name is not forgotten."""
    path, count = phone.temporary / "ofa_tf.lock", phone.root / "count"
    path.write_text("process 2 on a computer\n123456 1 99999999\n")
    phone.replace_program("sleep", f"echo >> {count}; [ $(wc -l < {count}) -lt 9 ] || : > {path}; exec /bin/sleep 0.05")
    with path.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError, match="process 2 on a computer measures on it"):
            PhoneLock(device).acquire()
    assert path.read_text() == ""


def test_a_lock_that_broke_is_taken_anew_unless_another_has_it(adb_server, phone, session, model, holder):
    """The connection breaks, a second process is there first: the session ends, says who it is, and leaves it alone."""

    def break_off(measurement):
        if measurement.name == "first":
            phone.leave()
            phone.come_back()
            adb_server.connect(phone)
            others.append(holder(phone.serial))

    others = []
    results = []
    # So many that the phone is still at work when the first result is here, on a slow machine too.
    models = [("first", model), *((f"later {number}", model) for number in range(20))]
    with pytest.raises(UnavailableError, match=r"process .* measures on it"), session(patience_seconds=20.0) as opened:
        opened.measure(models, lambda it: (results.append(it), break_off(it)))
    assert results[0].name == "first"
    assert len(results) < len(models)
    assert others[0].poll() is None
    assert not any("may be left" in note for note in session.notes)
    assert "ofa_tf.lock" in phone.files()


def test_a_lock_that_broke_between_batches(phone, session, model, holder):
    """Nothing was asked of the phone meanwhile: before the next batch it is taken anew, or another has it."""
    with session() as opened:
        phone.kill("flock -n 3")
        assert opened.measure([("first", model)])[0].error == ""
        assert "ofa_tf.lock" in phone.files()
        phone.kill("flock -n 3")
        process = holder(phone.serial)
        with pytest.raises(UnavailableError, match=f"process {process.pid} on .* measures on it"):
            opened.measure([("second", model)])
    assert phone.models_run() == ["first"]


def test_a_phone_without_flock_is_measured_with_a_note(phone, session, model):
    phone.replace_program("flock", "exit 127")
    with session() as opened:
        assert opened.measure([("block", model)])[0].error == ""
    assert "has no flock, so that nothing keeps a second process from measuring on it, too" in session.notes[0]
    assert phone.files() == []


def test_an_answer_behind_an_error_of_the_shell():
    """Two streams become one: the end of an error's line may come after the answer."""
    lines = ["sh: cannot create ofa_tf.lock: Is a directory0123 refused\n", "\n"]
    assert _answer(iter(lines), "0123", "phone") == "refused"
    with pytest.raises(LostError, match=r"was not answered for .*Is a directory"):
        _answer(iter(["sh: Is a directory"]), "0123", "phone")


def test_a_lock_that_cannot_be_opened(phone, session):
    (phone.temporary / "ofa_tf.lock").mkdir()
    with pytest.raises(InputError, match=r"ofa_tf\.lock, which keeps others off it, cannot be opened; remove it"):
        session().__enter__()


def test_targets_on_one_phone_share_its_table_and_its_turn(adb_server, twice, model, tmp_path, monkeypatch):
    """Under two serials and its number: measured once, one file at a time, and told of; another phone is another."""
    for name, value in adb_server.environment.items():
        monkeypatch.setenv(name, value)
    built, told, path = [], [], tmp_path / "model.tflite"
    path.write_bytes(model)

    def build_table(self, space, precision, output, **options):
        built.append(self.name)
        table = LatencyTable(self.table_name, precision, self.threads, "folded-rows")
        table.save(output)
        return table

    monkeypatch.setattr(Phone, "build_table", build_table)
    # Phones of tests count as this machine, by their addresses.
    monkeypatch.setattr(target_devices, "_HERE", re.compile("emulator"))
    settings = devices.Settings(benchmark_binary=str(twice.write_tool(tmp_path / "tool")))
    with LoopbackPhone() as other, adb_server.connected(other):
        names = [twice.other_serial, twice.serial_number, twice.serial, other.serial]
        targets = [Target(f"target {number}", name, {"latency_ms": 1.0}) for number, name in enumerate(names)]
        bench = TargetDevices(tmp_path / "tables", settings=settings, say=told.append)
        assert all(bench.is_attached(name) for name in names)
        assert told == [f"{name}: the same phone as {names[0]}; they have one table" for name in names[1:3]]
        bench.build_tables([(target, spaces.get("ofa_tiny"), (24,)) for target in targets])
        assert built == [names[0], other.serial]
        assert [bench.table(target).device for target in targets] == [twice.serial_number] * 3 + [other.serial_number]
        assert [bench.machine(name) for name in names] == [names[0]] * 3 + [other.serial]
        assert all(bench.measure_ms(target, path) > 0 for target in targets)
    # In another order, what is there is found.
    again = TargetDevices(tmp_path / "tables", settings=settings)
    assert again.is_attached(twice.serial)
    assert again.is_attached(twice.other_serial)
    assert again.table(targets[2]).device == twice.serial_number


def test_files_of_one_phone_wait_for_each_other(monkeypatch, tmp_path):
    """Under two names it measures one after the other: a second measurement at once would find it locked."""
    busy, together = threading.Lock(), []

    def measure(work, bench):
        together.append(not busy.acquire(blocking=False))
        time.sleep(0.2)
        busy.release()

    monkeypatch.setattr(loop, "measure", measure)
    monkeypatch.setattr(TargetDevices, "machine", lambda self, device: "one phone")
    works = [types.SimpleNamespace(target=types.SimpleNamespace(device=name), is_to_make=False, is_to_measure=True)
             for name in ("serial", "number")]  # fmt: skip
    bench = TargetDevices(tmp_path)
    assert set(map(id, loop._round(works, lambda calls: iter(calls), bench, beside=True))) == set(map(id, works))
    assert together == [False, False]


def test_devices_are_attached_by_their_numbers(adb_server, phone, monkeypatch):
    for name, value in adb_server.environment.items():
        monkeypatch.setenv(name, value)
    assert devices.attached(phone.serial_number)
    assert devices.attached(phone.serial)
    assert not devices.attached("another")
