"""What networks are measured on: this machine, phones by adb, computers by ssh; and the latency tables of all of them.

Example:
    from ofa_tf import devices, spaces
    with devices.open("host", devices.BenchmarkOptions(threads=2)) as device:
        table = device.build_table(spaces.get("ofa_tiny"), "int8", "host_int8.json")
        checked, table = devices.verify_table(table, spaces.get("ofa_tiny"), device, correct=8)
        print(checked.summary())
"""

import dataclasses
import importlib
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from ofa_tf.common import InputError
from ofa_tf.devices.benchmark_model import DELEGATES, BenchmarkOptions

if TYPE_CHECKING:
    from ofa_tf.devices.device import Device, Measurement
    from ofa_tf.devices.verification import verified_table, verify_table

__all__ = [
    "DELEGATES",
    "HOST",
    "KINDS",
    "BenchmarkOptions",
    "Device",
    "Kind",
    "Measurement",
    "Settings",
    "attached",
    "check_host",
    "identity",
    "kind_of",
    "open",
    "verified_table",
    "verify_table",
]

HOST = "host"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where programs and logs of devices are; each kind takes what it needs.

    Args:
        adb: the adb program; unless given the one that the package adbutils brings.
        benchmark_binary: LiteRT's benchmark_model for the device; unless given the published one, fetched once.
        litert_version: version of the published one; a tried one unless given.
        ssh_config: OpenSSH's client configuration; ~/.ssh/config unless given.
        log_folder: where output that is no result is kept; nowhere unless given.
        rounds: turns in which this machine times blocks and networks; see `measure`.
        on_note: called with notes for the user: a warning, a phone that cools down or comes back.
    """

    adb: str | None = None
    benchmark_binary: str | None = None
    litert_version: str | None = None
    ssh_config: str | None = None
    log_folder: str | None = None
    rounds: int | None = None
    on_note: Callable[[str], None] = lambda note: None


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of device.

    Args:
        names: whether a name is one of this kind's.
        attached: whether the one of a name can be measured now.
        identity: of the one of a name that can be.
        open: makes the device of a name, to be entered.
    """

    names: Callable[[str], bool]
    attached: Callable[[str, Settings], bool]
    identity: Callable[[str, Settings], Hashable]
    open: "Callable[[str, BenchmarkOptions, Settings], Device]"


def check_host(options: BenchmarkOptions, settings: Settings) -> None:
    """Checks that nothing is asked of this machine that only benchmark_model does, or chooses which one that is.

    Args:
        options: how models are measured.
        settings: where programs are.

    Raises:
        InputError: something is; the message names its flag.

    Example:
        check_host(BenchmarkOptions(threads=2), Settings())
    """
    asked = {
        "op_profiling": options.profile,
        "delegate": options.delegate != BenchmarkOptions.delegate,
        "benchmark_binary": settings.benchmark_binary is not None,
        "litert_version": settings.litert_version is not None,
    }
    for flag, given in asked.items():
        if given:
            raise InputError(f"--{flag}: is for phones and computers by ssh, the device is {HOST}; leave it out")


def _open_host(name: str, options: BenchmarkOptions, settings: Settings) -> "Device":
    del name
    check_host(options, settings)
    from ofa_tf.devices.host import Host

    return Host(options, rounds=settings.rounds, on_note=settings.on_note)


def _open_android(name: str, options: BenchmarkOptions, settings: Settings) -> "Device":
    from ofa_tf.devices.phone import open_phone

    return open_phone(name, options, settings)


def _open_ssh(name: str, options: BenchmarkOptions, settings: Settings) -> "Device":
    from ofa_tf.devices.ssh import SshComputer

    return SshComputer(name, options, settings)


def _is_attached_phone(name: str, settings: Settings) -> bool:
    from ofa_tf.devices.adb import Adb

    return Adb(settings.adb).is_usable(name)


def _phone_identity(name: str, settings: Settings) -> Hashable:
    from ofa_tf.devices.adb import Adb, Identity

    device = Adb(settings.adb).device(name)
    return device.serial if device.identity == Identity() else device.identity


# By name; the first whose names fit opens a device, so that the serials of phones, which can be any text, come last.
KINDS = {
    "host": Kind(lambda name: name == HOST, lambda name, settings: True, lambda name, settings: name, _open_host),
    # There is no list of reachable computers: one that is named counts as attached.
    "ssh": Kind(
        lambda name: name.startswith("ssh:"), lambda name, settings: True, lambda name, settings: name, _open_ssh
    ),
    "android": Kind(lambda name: True, _is_attached_phone, _phone_identity, _open_android),
}


def kind_of(name: str) -> Kind:
    """The kind of the device of a name."""
    return next(kind for kind in KINDS.values() if kind.names(name))


def open(name: str, options: BenchmarkOptions | None = None, settings: Settings | None = None) -> "Device":
    """A device, to be entered.

    Args:
        name: "host", a phone's serial or serial number ("" for the one that is there), or "ssh:USER@HOST".
        options: how models are measured.
        settings: where programs and logs are.

    Raises:
        InputError: it is not there or cannot be used; the message says what to do.

    Example:
        with devices.open("host") as device:
            print(device.describe()["cpu"])
    """
    return kind_of(name).open(name, options or BenchmarkOptions(), settings or Settings())


def attached(name: str, settings: Settings | None = None) -> bool:
    """Whether models can be measured on a device now.

    Raises:
        OfaError: it cannot be found out, for example without adb.
    """
    return kind_of(name).attached(name, settings or Settings())


def identity(name: str, settings: Settings | None = None) -> Hashable:
    """Which device it is that has a name now: equal for two names of one device, until it is restarted.

    Raises:
        OfaError: it is not there, or does not answer.
    """
    return kind_of(name).identity(name, settings or Settings())


# These load NumPy and SciPy, which flags and a list of devices do not need.
_LATER = {"Device": "device", "Measurement": "device", "verified_table": "verification", "verify_table": "verification"}


def __getattr__(name: str):
    if name in _LATER:
        return getattr(importlib.import_module(f"ofa_tf.devices.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
