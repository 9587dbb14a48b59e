"""What a phone is and how warm it is; and the lock of the one process that measures on it."""

import dataclasses
import fcntl
import os
import pathlib
import re
import tempfile
from collections.abc import Sequence

from ofa_tf.common import InputError
from ofa_tf.devices.adb import AdbDevice

_PROPERTIES = {
    "manufacturer": "ro.product.manufacturer",
    "model": "ro.product.model",
    "soc": "ro.soc.model",
    "platform": "ro.board.platform",
    "android": "ro.build.version.release",
    "abi": "ro.product.cpu.abi",
    "fingerprint": "ro.build.fingerprint",
}
# Sets the variables thermal and battery; each is empty where the phone does not tell.
READ_TEMPERATURE = (
    "thermal=$(dumpsys thermalservice 2>/dev/null | sed -n '/Thermal Status:/{s/[^0-9]*//;s/[^0-9].*//;p;q;}')\n"
    "battery=$(dumpsys battery 2>/dev/null | sed -n '/^ *temperature:/{s/[^0-9]*//;s/[^0-9].*//;p;q;}')"
)
_COMMAND = "\n".join(
    [
        *(f'echo "{field}=$(getprop {name})"' for field, name in _PROPERTIES.items()),
        "for core in /sys/devices/system/cpu/cpu[0-9]*; do",
        '    if [ "$(cat $core/online 2>/dev/null)" != 0 ]; then',
        "        top=$(cat $core/cpufreq/cpuinfo_max_freq 2>/dev/null)",
        '        echo "core=${core##*/cpu} ${top:-0} $(cat $core/cpufreq/scaling_governor 2>/dev/null)"',
        "    fi",
        "done",
        READ_TEMPERATURE,
        'echo "temperature=$thermal/$battery"',
    ]
)
_CORE = re.compile(r"([0-9]+) ([0-9]+) ?(\S*)")


@dataclasses.dataclass(frozen=True)
class Reading:
    """How warm a phone is.

    Args:
        thermal_status: Android's, 0 (none) to 6 (shutdown); from 1 on it may run slower. None before Android 10.
        battery_celsius: the battery's temperature, None where it is unknown.
    """

    thermal_status: int | None
    battery_celsius: float | None

    @staticmethod
    def of(text: str) -> "Reading":
        """Reads "status/tenths of a degree", either of which may be empty."""
        status, _, tenths = text.strip().partition("/")
        return Reading(int(status) if status.isdecimal() else None, int(tenths) / 10 if tenths.isdecimal() else None)

    def is_hot(self, status: int, celsius: float) -> bool:
        """Whether one of the two has reached its limit."""
        return self.warmth[0] >= status or self.warmth[1] >= celsius

    @property
    def warmth(self) -> tuple[int, float]:
        """To compare readings by: the larger, the warmer."""
        return self.thermal_status or 0, self.battery_celsius or 0.0

    def __str__(self) -> str:
        battery = "unknown" if self.battery_celsius is None else f"{self.battery_celsius:.1f} C"
        status = "unknown" if self.thermal_status is None else str(self.thermal_status)
        return f"battery {battery}, thermal status {status}"


@dataclasses.dataclass(frozen=True)
class Core:
    """One core of a processor that is switched on.

    Args:
        index: its number.
        top_khz: its highest frequency in kHz, 0 where the phone does not tell.
        governor: what chooses its frequency, "" where the phone does not tell.
    """

    index: int
    top_khz: int
    governor: str


@dataclasses.dataclass(frozen=True)
class PhoneFacts:
    """What a phone tells of itself; texts are empty where it does not.

    Args:
        serial: adb's.
        model: its maker and name.
        soc: its processor.
        android: version of Android.
        abi: of its programs, "arm64-v8a".
        fingerprint: of its system's build.
        cores: of its processor.
        reading: how warm it is now.
    """

    serial: str
    model: str
    soc: str
    android: str
    abi: str
    fingerprint: str
    cores: tuple[Core, ...]
    reading: Reading

    @staticmethod
    def read(device: AdbDevice) -> "PhoneFacts":
        """Asks a phone, once for all."""
        pairs = [line.partition("=")[::2] for line in device.shell(_COMMAND).splitlines()]
        found = {name: value.strip() for name, value in pairs}
        cores = [_CORE.fullmatch(value.strip()) for name, value in pairs if name == "core"]
        return PhoneFacts(
            serial=device.serial,
            model=f"{found.get('manufacturer', '')} {found.get('model', '')}".strip(),
            soc=found.get("soc") or found.get("platform", ""),
            android=found.get("android", ""),
            abi=found.get("abi", ""),
            fingerprint=found.get("fingerprint", ""),
            cores=tuple(sorted((_core(match) for match in cores if match), key=lambda core: core.index)),
            reading=Reading.of(found.get("temperature", "")),
        )

    @property
    def governors(self) -> tuple[str, ...]:
        """The different governors of its cores."""
        return tuple(sorted({core.governor for core in self.cores if core.governor}))

    @property
    def core_text(self) -> str:
        """Its cores, for people: "4 x 1.80 GHz + 3 x 2.40 GHz + 1 x 3.00 GHz"."""
        tops = sorted({core.top_khz for core in self.cores})
        counted = [(sum(core.top_khz == top for core in self.cores), top) for top in tops]
        return " + ".join(f"{count} x {top / 1e6:.2f} GHz" if top else f"{count} x unknown" for count, top in counted)


def core_mask(cores: Sequence[Core], threads: int) -> int:
    """The cores that a measurement runs on, one bit each: always the same ones, and no slow one among fast ones.

    The fastest kind of core of which there are as many as threads; where there is none, the fastest cores together.

    Args:
        cores: of the phone.
        threads: of the interpreter.

    Raises:
        InputError: there are fewer cores than threads.

    Example:
        f"taskset {core_mask(facts.cores, 2):x}"
    """
    if threads > len(cores):
        raise InputError(f"--threads={threads}: the phone has {len(cores)} cores; give at most as many")
    fastest = sorted(cores, key=lambda core: (-core.top_khz, core.index))
    for top in sorted({core.top_khz for core in cores}, reverse=True):
        kind = [core for core in fastest if core.top_khz == top]
        if len(kind) >= threads:
            fastest = kind
            break
    else:
        fastest = fastest[:threads]
    return sum(1 << core.index for core in fastest)


def _core(match: re.Match) -> Core:
    return Core(int(match[1]), int(match[2]), match[3])


class PhoneLock:
    """Held by the process that measures on a phone; it is gone with that process, whatever ends it.

    Args:
        serial: of the phone.
    """

    def __init__(self, serial: str):
        self._serial = serial
        name = re.sub(r"[^A-Za-z0-9.-]", "_", serial)
        self._path = pathlib.Path(tempfile.gettempdir()) / f"ofa_tf-phone-{name}.lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes it.

        Raises:
            InputError: another process has it, or its file cannot be opened.
        """
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise InputError(
                f"phone {self._serial}: another process measures on it; wait for its end, or take another phone"
            ) from None
        self._descriptor = descriptor

    def _open(self) -> int:
        try:
            try:
                # Another user's file in a shared folder may be opened, but not by a call that would create it.
                return os.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                return os.open(self._path, os.O_RDONLY | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot be opened ({error.strerror}), which keeps others off phone {self._serial}; "
                f"delete it, or have its owner make it readable"
            ) from error

    def release(self) -> None:
        """Gives it back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
