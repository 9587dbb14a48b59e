"""`Adb`: the adb program, called with a time-out on every call.

adb keeps silent about much: a device that froze is still listed and hangs every call, a connection that broke in the
middle of a command ends it like the command's own end, `adb connect` to a closed port exits with 0. So nothing here
trusts an exit code alone (`AdbDevice`).

The package adbutils brings the program. Its client is not used: on a frozen phone its `sync.push` does not return, a
push that found no room says nothing but "FAIL", and the time-out of `shell2` begins anew with every byte
(tests/devices/test_adb.py shows all three).
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from ofa_tf.common import InputError, OfaError, brief
from ofa_tf.devices.connection import (
    CALL_SECONDS,
    PUSH_BYTES_PER_SECOND,
    CommandError,
    LostError,
    UnavailableError,
    call,
    lines_of,
)

# What was asked while a phone was frozen is not answered later, so that it is asked again soon.
_PROBE_SECONDS = 2.0

_ASK_IDENTITY = "getprop ro.serialno; cat /proc/sys/kernel/random/boot_id 2>/dev/null || true"


@dataclasses.dataclass(frozen=True)
class Identity:
    """Which phone it is, whatever it is reached by: its serial number, and its boot id, which a restart changes.

    Either is "" where the phone does not tell it. Emulators, and some cheap phones, share a serial number; the boot id
    tells them apart while they run.
    """

    serial_number: str = ""
    boot_id: str = ""

    def is_same(self, other: "Identity") -> bool:
        """Whether two serials lead to one phone."""
        return self == other != Identity()


class AdbDevice:
    """The `Connection` with one phone; made by `Adb.device`, which opens it.

    `serial` is what adb reaches it by, and may become another one of the same phone (`wait`); `identity` says which.
    """

    def __init__(self, adb: "Adb", serial: str):
        self.adb, self.serial, self.identity = adb, serial, Identity()

    @property
    def name(self) -> str:
        """What tables call the phone, under whatever serial it is reached: its serial number, where it tells one."""
        return self.identity.serial_number or self.serial

    def open(self) -> "AdbDevice":
        """Asks which phone it is; raises `InputError` for one whose exit codes are lost."""
        features = self._run(["features"])
        if features.returncode:
            raise LostError(f"phone {self.serial}: {brief(features.stderr) or 'does not tell its features'}")
        if "shell_v2" not in features.stdout.split():
            raise InputError(
                f"phone {self.serial}: its adb has no shell_v2, without which exit codes are lost; expected Android 7 "
                f"or later: take another phone"
            )
        self.identity = self._ask_identity()
        return self

    def is_called(self, serial: str) -> bool:
        """Whether adb reaches this very phone by a serial now."""
        with contextlib.suppress(LostError, CommandError):
            if self.adb.states().get(serial) == "device":
                return AdbDevice(self.adb, serial)._ask_identity(_PROBE_SECONDS).is_same(self.identity)
        return False

    def _ask_identity(self, timeout_seconds: float = CALL_SECONDS) -> Identity:
        lines = self.shell(_ASK_IDENTITY, timeout_seconds=timeout_seconds).splitlines()
        number, boot_id = (*(line.strip() for line in lines), "", "")[:2]
        return Identity("" if number == "unknown" else number, boot_id)

    def shell(self, command: str, *, timeout_seconds: float = CALL_SECONDS) -> str:
        """As `Connection.shell`."""
        sentinel = secrets.token_hex(8)
        done = self._run(["shell", "-T", _with_sentinel(command, sentinel)], timeout_seconds)
        output, found, code = done.stdout.rpartition(f"\n{sentinel} ")
        if not found or not code.strip().isdecimal():
            raise self._broken(done.stderr)
        if int(code):
            words = f"{output} {done.stderr}"
            raise CommandError(
                f"phone {self.serial}: {brief(command)} failed with exit code {int(code)} ({brief(words)})",
                int(code),
                output + done.stderr,
            )
        return output

    def lines(self, command: str, *, silent_seconds: float) -> Iterator[str]:
        """As `Connection.lines`; all lines before a connection broke are yielded."""
        sentinel = secrets.token_hex(8)
        command = _with_sentinel(f"exec 2>&1\n{command}", sentinel)
        arguments = [self.adb.path, "-s", self.serial, "shell", "-T", command]
        options = {"device": f"phone {self.serial}", "environment": self.adb.environment}
        with contextlib.closing(lines_of(arguments, silent_seconds=silent_seconds, **options)) as lines:
            for line in lines:
                if line.startswith(f"{sentinel} "):
                    return
                yield line
        raise self._broken("")

    def push(self, source: pathlib.Path, target: str) -> None:
        """As `Connection.push`; the file stands under its name only once it is whole."""
        partial = f"{target}.part"
        size = source.stat().st_size
        limit_seconds = CALL_SECONDS + size / PUSH_BYTES_PER_SECOND
        pushed = self._run(["push", str(source.absolute()), partial], limit_seconds)
        words = pushed.stdout + pushed.stderr
        if "No space left" in words:
            with contextlib.suppress(OfaError):
                self.shell(f"rm -f {shlex.quote(partial)}")
            raise UnavailableError(
                f"phone {self.serial}: no room for {target} ({size / 1e6:.1f} MB); free some of its storage and give "
                f"the same command"
            )
        if pushed.returncode:
            raise LostError(f"phone {self.serial}: {source.name} could not be pushed ({brief(words)})")
        # adb says "1 file pushed" of half a file, too.
        names = shlex.quote(partial), shlex.quote(target)
        sha1 = _file_sha1(source)
        check = f'case "$(sha1sum < {names[0]})" in {sha1}*) mv -f {names[0]} {names[1]} ;; *) exit 1 ;; esac'
        try:
            self.shell(check, timeout_seconds=limit_seconds)
        except CommandError as error:
            raise LostError(f"phone {self.serial}: {source.name} arrived damaged, or not at all") from error

    def wait(self, seconds: float, on_note: Callable[[str], None] = lambda note: None) -> None:
        """As `Connection.wait`; a phone that comes back under another serial is gone on with under that one."""
        end = time.monotonic() + seconds
        told: set[str] = set()
        while True:
            left = end - time.monotonic()
            trouble = ""
            with contextlib.suppress(LostError):
                if ":" in self.serial:
                    # A phone by its address: adb's server gives up on those after a while.
                    self.adb.run(["connect", self.serial])
                if self._is_back():
                    return
                trouble = state_trouble(self.adb.states().get(self.serial, "device"))
            if trouble not in told | {""}:
                told.add(trouble)
                on_note(f"phone {self.serial}: {trouble}")
            if left <= 0:
                what = trouble or "plug it in again"
                raise LostError(f"phone {self.serial}: did not come back within {seconds:g} s; {what}")
            time.sleep(min(0.2, left))

    def _is_back(self) -> bool:
        usable = [serial for serial, state in self.adb.states().items() if state == "device"]
        for serial in sorted(usable, key=lambda serial: serial != self.serial):
            # A frozen phone is listed, too; only an answer shows that it is there.
            with contextlib.suppress(LostError, CommandError):
                found = AdbDevice(self.adb, serial)._ask_identity(_PROBE_SECONDS)
                restarted = serial == self.serial and found.serial_number == self.identity.serial_number
                if restarted or found.is_same(self.identity):
                    # A phone that restarted has another boot id.
                    self.serial, self.identity = serial, found
                    return True
        return False

    def _run(self, arguments: Sequence[str], timeout_seconds: float = CALL_SECONDS) -> subprocess.CompletedProcess[str]:
        device, remedy = f"phone {self.serial}", "unlock it, or plug it in again"
        return self.adb.run(
            ["-s", self.serial, *arguments], timeout_seconds=timeout_seconds, device=device, remedy=remedy
        )

    def _broken(self, words: str) -> LostError:
        said = f" ({brief(words)})" if words.strip() else ""
        return LostError(f"phone {self.serial}: the connection broke{said}")


def _file_sha1(path: pathlib.Path) -> str:
    # Against damage on the way, not against forgers: Android 7 has no sha256sum.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()


def _with_sentinel(command: str, sentinel: str) -> str:
    # In brackets, so that an exit in the command does not skip the last line. When the client goes, only this shell
    # gets SIGHUP, and hears it only while it waits: it passes it on to everything it started.
    return (
        f"trap 'trap \"\" HUP; kill -HUP 0; exit 129' HUP\n(\n{command}\n) &\nwait $!\n"
        f"printf '\\n%s %d\\n' {sentinel} $?"
    )


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


# Serial and state: a tab between them, or spaces, which some names and one state have inside, too.
_LISTED = re.compile(r"([^\t]+)\t(.+)|(.+?)\s+(no permissions.*|\S+)")


@dataclasses.dataclass(frozen=True)
class Listed:
    """What adb lists under one serial: its state, and the opened device or why there is none.

    `same_as` is the serial of the same phone that counts, "" where this one does.
    """

    serial: str
    state: str
    device: AdbDevice | None
    error: OfaError | None
    same_as: str = ""


class Adb:
    """The adb program (see `find_adb`), called with more variables than this process has, and its server."""

    def __init__(self, path: str | os.PathLike | None = None, environment: Mapping[str, str] | None = None):
        self.path = find_adb(path)
        self.environment = {**os.environ, **(environment or {})}

    def run(
        self,
        arguments: Sequence[str],
        *,
        timeout_seconds: float = CALL_SECONDS,
        device: str = "adb's server",
        remedy: str = "end it with adb kill-server and give the same command",
    ) -> subprocess.CompletedProcess[str]:
        """Calls the program; see `connection.call`."""
        return call(
            [self.path, *arguments],
            timeout_seconds=timeout_seconds,
            device=device,
            remedy=remedy,
            advice="give another --adb=PATH",
            environment=self.environment,
        )

    def states(self) -> dict[str, str]:
        """What adb says of each device it sees: serial to state, "device" for those that can be used."""
        listed = self.run(["devices"], timeout_seconds=_START_SECONDS)
        if listed.returncode:
            raise OfaError(f"{self.path} devices: failed ({brief(listed.stderr)}); see whether adb itself works")
        lines = listed.stdout.partition("List of devices attached")[2].splitlines()
        found = [_LISTED.fullmatch(line.strip()) for line in lines]
        return {(it[1] or it[3]).strip(): (it[2] or it[4]).strip() for it in found if it}

    def listed(self) -> list[Listed]:
        """Every serial that adb lists, asked which phone it is; of the serials of one phone the cable's comes first."""
        found = [self._listed(serial, state) for serial, state in self.states().items()]
        found.sort(key=lambda it: (it.device is None, it.device and it.serial != it.device.name))
        first: list[Listed] = []
        for number, it in enumerate(found):
            same = next((one.serial for one in first if _is_same(one.device, it)), "")
            found[number] = dataclasses.replace(it, same_as=same)
            first += [it] if it.device and not same else []
        return found

    def is_usable(self, name: str) -> bool:
        """Whether a phone of this name, adb's serial or the phone's own number, can be measured on now."""
        states = self.states()
        if name in states:
            return states[name] == "device"
        return any(it.device and it.device.name == name for it in self.listed())

    def _listed(self, serial: str, state: str) -> Listed:
        try:
            check_state(serial, state)
            return Listed(serial, state, AdbDevice(self, serial).open(), None)
        except OfaError as error:
            return Listed(serial, state, None, error)

    def device(self, name: str | None = None) -> AdbDevice:
        """The phone of a name, adb's serial or the phone's own serial number, or the only one.

        Raises:
            InputError: it cannot be used; the message says what to do.
        """
        states = self.states()
        if not states:
            raise UnavailableError(
                "no phone: adb sees none; connect one by USB and switch on USB debugging in its developer options"
            )
        if name in states or (name is None and len(states) == 1):
            serial = name or next(iter(states))
            check_state(serial, states[serial])
            return AdbDevice(self, serial).open()
        found = [it for it in self.listed() if not it.same_as]
        if name is not None:
            found = [it for it in found if it.device and it.device.name == name]
        if not found:
            raise UnavailableError(
                f"phone {name}: adb does not see it, but {', '.join(states)}; connect it, or take one of these"
            )
        if len(found) > 1:
            called = f" with the serial number {name}" if name else ""
            raise InputError(
                f"{len(found)} phones{called}: {', '.join(it.serial for it in found)}; choose one with --device=SERIAL"
            )
        if found[0].device is None:
            raise found[0].error
        return found[0].device


def _is_same(device: AdbDevice, other: Listed) -> bool:
    if other.device:
        return device.identity.is_same(other.device.identity)
    # What cannot be asked; the names that adb finds in a Wi-Fi have the number inside.
    number = device.identity.serial_number
    return bool(number) and (other.serial == number or other.serial.startswith(f"adb-{number}-"))


def check_state(serial: str, state: str) -> None:
    """Raises `UnavailableError` for every state but "device"."""
    if trouble := state_trouble(state):
        raise UnavailableError(f"phone {serial}: {trouble}")


def state_trouble(state: str) -> str:
    """Why a phone of a state cannot be used, and what to do; "" of the state "device"."""
    if state == "device":
        return ""
    meaning = next((text for name, text in _STATES.items() if state.startswith(name)), "cannot be used")
    return f"{state}: it {meaning}"
