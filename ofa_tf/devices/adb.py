"""`Adb`: the adb program, called with a time-out on every call.

adb keeps silent about much: a device that froze is still listed and hangs every call, a connection that broke in the
middle of a command ends it like the command's own end, `adb connect` to a closed port exits with 0. So nothing here
trusts an exit code alone (`AdbDevice`).
"""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from ofa_tf.common import InputError, OfaError
from ofa_tf.devices.adb_device import AdbDevice, AdbError
from ofa_tf.devices.words import shortened

_TIMEOUT_SECONDS = 15.0
# The first call starts adb's server.
_START_SECONDS = 30.0

_STATES = {
    "unauthorized": "has not accepted this computer; unlock it and accept the question about USB debugging",
    "authorizing": "has not accepted this computer yet; unlock it and accept the question about USB debugging",
    "offline": "does not answer; plug it in again, or restart USB debugging on it",
    "connecting": "is not reached yet; wait a moment, or plug it in again",
    "recovery": "is in recovery mode; restart it",
    "sideload": "is in sideload mode; restart it",
    "bootloader": "is in its bootloader; restart it",
    "no permissions": "may not be used by this account; set the udev rules for it, see adb's manual",
}


def find_adb(path: str | os.PathLike | None = None) -> pathlib.Path:
    """The adb program: the given one, the one that the package adbutils brings, or the one in the PATH.

    Raises:
        InputError: there is none.
    """
    if path is not None:
        found = shutil.which(path)
        if found is None:
            raise InputError(f"--adb={os.fspath(path)}: no program there, expected the adb of Android's platform tools")
        return pathlib.Path(found)
    try:
        import adbutils

        brought = pathlib.Path(adbutils.__file__).parent / "binaries" / ("adb.exe" if os.name == "nt" else "adb")
    except ImportError:
        brought = None
    for candidate in (brought, "adb"):
        if candidate is not None and (found := shutil.which(candidate)):
            return pathlib.Path(found)
    raise InputError("no adb found; pip install adbutils brings one, or give yours with --adb=PATH")


class Adb:
    """The adb program and the server that it talks to.

    Args:
        path: of the program, see `find_adb`.
        environment: variables that are set for it besides this process's, such as ANDROID_ADB_SERVER_PORT.

    Example:
        device = Adb().device()
        print(device.shell("getprop ro.product.model"))
    """

    def __init__(self, path: str | os.PathLike | None = None, environment: Mapping[str, str] | None = None):
        self.path = find_adb(path)
        self.environment = {**os.environ, **(environment or {})}

    def run(
        self, arguments: Sequence[str], *, timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Calls the program.

        Returns:
            Its end, whatever the exit code; text that is no UTF-8 is replaced.

        Raises:
            AdbError: it did not end in time; the call is ended.
        """
        try:
            return subprocess.run(
                [self.path, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise AdbError(f"adb {arguments[0]}: no answer within {timeout_seconds:g} s") from error
        except OSError as error:
            raise InputError(f"{self.path}: cannot be run ({error.strerror}); give another --adb=PATH") from error

    def states(self) -> dict[str, str]:
        """What adb says of each device it sees: serial to state, "device" for those that can be used."""
        listed = self.run(["devices"], timeout_seconds=_START_SECONDS)
        if listed.returncode:
            raise OfaError(f"{self.path} devices: failed ({shortened(listed.stderr)}); see whether adb itself works")
        lines = listed.stdout.partition("List of devices attached")[2].splitlines()
        pairs = (line.partition("\t") for line in lines)
        return {serial.strip(): state.strip() for serial, _, state in pairs if state.strip()}

    def device(self, serial: str | None = None) -> AdbDevice:
        """A device that can be used.

        Args:
            serial: as `states` has it; may be left out where there is one device.

        Raises:
            InputError: there is none, or several and no serial, or it cannot be used; the message says what to do.
        """
        states = self.states()
        if not states:
            raise InputError(
                "no phone: adb sees none; connect one by USB and switch on USB debugging in its developer options"
            )
        if serial is None:
            if len(states) > 1:
                raise InputError(f"{len(states)} phones: {', '.join(states)}; choose one with --device=SERIAL")
            serial = next(iter(states))
        if serial not in states:
            raise InputError(
                f"phone {serial}: adb does not see it, but {', '.join(states)}; connect it, or take one of these"
            )
        check_state(serial, states[serial])
        device = AdbDevice(self, serial)
        device.check_features()
        return device


def check_state(serial: str, state: str) -> None:
    """Raises `InputError` for every state but "device"."""
    if state == "device":
        return
    meaning = next((text for name, text in _STATES.items() if state.startswith(name)), "cannot be used")
    raise InputError(f"phone {serial}: {state}: it {meaning}")
