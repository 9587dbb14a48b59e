"""What a phone is, how warm it is, and which of its cores measure."""

import dataclasses
import re
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
        "    else",
        '        echo "off=${core##*/cpu}"',
        "    fi",
        "done",
        READ_TEMPERATURE,
        'echo "temperature=$thermal/$battery"',
    ]
)
_CORE = re.compile(r"([0-9]+) ([0-9]+) ?(\S*)")


@dataclasses.dataclass(frozen=True)
class Reading:
    """How warm a phone is: Android's thermal status, 0 (none) to 6 (shutdown), slower from 1 on; and the battery.

    Either is None where it is not told (the status before Android 10).
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
    """One core that is switched on; its highest frequency is 0, its governor "", where that is not told."""

    index: int
    top_khz: int
    governor: str


@dataclasses.dataclass(frozen=True)
class PhoneFacts:
    """What a phone tells of itself; texts are empty where it does not.

    `serial` is what adb reaches it by, `serial_number` its own; `cores` are those that are switched on.
    """

    serial: str
    serial_number: str
    model: str
    soc: str
    android: str
    abi: str
    fingerprint: str
    cores: tuple[Core, ...]
    cores_off: int
    reading: Reading

    @staticmethod
    def read(device: AdbDevice) -> "PhoneFacts":
        """Asks a phone, once for all."""
        pairs = [line.partition("=")[::2] for line in device.shell(_COMMAND).splitlines()]
        found = {name: value.strip() for name, value in pairs}
        cores = [_CORE.fullmatch(value.strip()) for name, value in pairs if name == "core"]
        return PhoneFacts(
            serial=device.serial,
            serial_number=device.identity.serial_number,
            model=f"{found.get('manufacturer', '')} {found.get('model', '')}".strip(),
            soc=found.get("soc") or found.get("platform", ""),
            android=found.get("android", ""),
            abi=found.get("abi", ""),
            fingerprint=found.get("fingerprint", ""),
            cores=tuple(sorted((_core(match) for match in cores if match), key=lambda core: core.index)),
            cores_off=sum(name == "off" for name, _ in pairs),
            reading=Reading.of(found.get("temperature", "")),
        )

    @property
    def governors(self) -> tuple[str, ...]:
        """The different governors of its cores."""
        return tuple(sorted({core.governor for core in self.cores if core.governor}))

    @property
    def core_text(self) -> str:
        """Its cores, for people: "4 x 1.80 GHz + 3 x 2.40 GHz + 1 x 3.00 GHz", and how many are switched off."""
        tops = sorted({core.top_khz for core in self.cores})
        counted = [(sum(core.top_khz == top for core in self.cores), top) for top in tops]
        text = " + ".join(f"{count} x {top / 1e6:.2f} GHz" if top else f"{count} x unknown" for count, top in counted)
        off = f", {self.cores_off} of {len(self.cores) + self.cores_off} switched off" if self.cores_off else ""
        return text + off


def core_mask(cores: Sequence[Core], threads: int) -> int:
    """The cores that a measurement runs on, one bit each: always the same ones, and no slow one among fast ones.

    The fastest kind of core of which there are as many as threads; where there is none, the fastest cores together.
    Raises `InputError` where there are fewer cores than threads.
    """
    if threads > len(cores):
        raise InputError(f"--threads={threads}: the phone has {len(cores)} cores switched on; give at most as many")
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
