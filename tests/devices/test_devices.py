"""What phones tell of themselves, and which of their cores measure."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from ofa_tf.common import InputError
from ofa_tf.devices.phone_facts import Core, PhoneFacts, Reading, core_mask
from tests.phone.loopback_phone import LoopbackPhone

ROOT = pathlib.Path(__file__).parents[2]


def cores(*tops):
    return [Core(index, top, "performance") for index, top in enumerate(tops)]


def test_the_binary_lists_every_device(adb_server, phone, tmp_path):
    """This machine, a phone, and a phone that cannot be used, with what to do."""
    with LoopbackPhone("Galaxy 0", abi="armeabi-v7a") as other, adb_server.connected(other):
        waiting = LoopbackPhone()
        waiting.faults.unauthorized = True
        with waiting:
            adb_server.connect(waiting, "unauthorized")
            done = subprocess.run(
                [sys.executable, "-m", "mobile_bench.devices", f"--output={tmp_path / 'devices.json'}"],
                cwd=ROOT,
                env={**os.environ, **adb_server.environment},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            adb_server.adb.run(["disconnect", waiting.serial])
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert "cores" in lines["host"]
    assert lines[phone.serial] == (
        "Loopback Pixel 0, SC0000, Android 14, arm64-v8a, 4 x 1.80 GHz + 3 x 2.40 GHz + 1 x 3.00 GHz, governor "
        "performance, battery 28.5 C, thermal status 0"
    )
    assert "Galaxy 0" in lines[other.serial]
    # adb tries again and again, and says "authorizing" meanwhile.
    assert "it has not accepted this computer" in lines[waiting.serial]
    listed = json.loads((tmp_path / "devices.json").read_text())
    assert set(listed) == {"host", phone.serial, other.serial, waiting.serial}
    assert listed[other.serial]["abi"] == "armeabi-v7a"


def test_phones_that_tell_little(device, phone):
    """Old phones have no thermal service and do not show their frequencies."""
    (phone.root / "properties").write_text("ro.board.platform=msm8996\nro.product.cpu.abi=arm64-v8a\n")
    (phone.root / "thermal_status").write_text("\n")
    for core in phone.root.glob("sys/devices/system/cpu/cpu*"):
        (core / "cpufreq/cpuinfo_max_freq").unlink()
        (core / "cpufreq/scaling_governor").unlink()
    (phone.root / "sys/devices/system/cpu/cpu7/online").write_text("0\n")
    facts = PhoneFacts.read(device)
    assert (facts.soc, facts.android, facts.governors) == ("msm8996", "", ())
    assert facts.core_text == "7 x unknown, 1 of 8 switched off"
    assert facts.reading == Reading(None, 28.5)
    assert core_mask(facts.cores, 2) == 0b1111111


@pytest.mark.parametrize(
    ("tops", "threads", "mask"),
    [
        ((18, 18, 18, 18, 24, 24, 24, 30), 1, 0b10000000),
        ((18, 18, 18, 18, 24, 24, 24, 30), 2, 0b01110000),
        ((18, 18, 18, 18, 24, 24, 24, 30), 4, 0b00001111),
        ((18, 18, 18, 18, 24, 24, 24, 30), 6, 0b11110011),
        ((30, 24, 24, 18, 18), 1, 0b00001),
        ((20, 20, 20, 20), 1, 0b1111),
    ],
)
def test_measurements_keep_to_cores_of_one_kind(tops, threads, mask):
    assert core_mask(cores(*tops), threads) == mask


def test_more_threads_than_cores():
    with pytest.raises(InputError, match="--threads=5: the phone has 4 cores switched on"):
        core_mask(cores(1, 1, 1, 1), 5)


def test_hot_is_either_limit():
    assert not Reading(0, 30.0).is_hot(1, 40.0)
    assert Reading(1, 30.0).is_hot(1, 40.0)
    assert Reading(None, 40.0).is_hot(1, 40.0)
    assert not Reading(None, None).is_hot(1, 40.0)
