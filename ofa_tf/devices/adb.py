"""`Adb`: the adb program, called with a time-out on every call.

adb keeps silent about much: a device that froze is still listed and hangs every call, a connection that broke in the
middle of a command ends it like the command's own end, `adb connect` to a closed port exits with 0. So nothing here
trusts an exit code alone (`AdbDevice`).

The package adbutils brings the program. Its client is not used: on a frozen phone its `sync.push` does not return, a
push that found no room says nothing but "FAIL", and the time-out of `shell2` begins anew with every byte
(tests/devices/test_adb.py shows all three).
"""

import contextlib
import os
import pathlib
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

from ofa_tf.common import InputError, OfaError, brief, file_sha256
from ofa_tf.devices.connection import CALL_SECONDS, CommandError, LostError, call, lines_of

# What was asked while a phone was frozen is not answered later, so that it is asked again soon.
_PROBE_SECONDS = 2.0
# USB 2 moves some 20 MB a second; a slow hub a tenth of that.
_PUSH_BYTES_PER_SECOND = 1e6


class AdbDevice:
    """The `Connection` with one phone; made by `Adb.device`."""

    def __init__(self, adb: "Adb", serial: str):
        self.adb, self.serial = adb, serial

    def check_features(self) -> None:
        """Raises `InputError` for a phone whose exit codes are lost."""
        features = self.adb.run(["-s", self.serial, "features"])
        if features.returncode:
            raise LostError(f"phone {self.serial}: {brief(features.stderr) or 'does not tell its features'}")
        if "shell_v2" not in features.stdout.split():
            raise InputError(
                f"phone {self.serial}: its adb has no shell_v2, without which exit codes are lost; expected Android 7 "
                f"or later: take another phone"
            )

    def shell(self, command: str, *, timeout_seconds: float = CALL_SECONDS) -> str:
        """As `Connection.shell`."""
        sentinel = secrets.token_hex(8)
        done = self.adb.run(
            ["-s", self.serial, "shell", "-T", _with_sentinel(command, sentinel)], timeout_seconds=timeout_seconds
        )
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
        limit_seconds = CALL_SECONDS + size / _PUSH_BYTES_PER_SECOND
        pushed = self.adb.run(
            ["-s", self.serial, "push", str(source.absolute()), partial], timeout_seconds=limit_seconds
        )
        words = pushed.stdout + pushed.stderr
        if "No space left" in words:
            with contextlib.suppress(OfaError):
                self.shell(f"rm -f {shlex.quote(partial)}")
            raise InputError(
                f"phone {self.serial}: no room for {target} ({size / 1e6:.1f} MB); free some of its storage and give "
                f"the same command"
            )
        if pushed.returncode:
            raise LostError(f"phone {self.serial}: {source.name} could not be pushed ({brief(words)})")
        # adb says "1 file pushed" of half a file, too.
        names = shlex.quote(partial), shlex.quote(target)
        sha256 = file_sha256(source)
        check = f'case "$(sha256sum < {names[0]})" in {sha256}*) mv -f {names[0]} {names[1]} ;; *) exit 1 ;; esac'
        try:
            self.shell(check, timeout_seconds=limit_seconds)
        except CommandError as error:
            raise LostError(f"phone {self.serial}: {source.name} arrived damaged, or not at all") from error

    def wait(self, seconds: float) -> None:
        """As `Connection.wait`."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            with contextlib.suppress(LostError):
                if ":" in self.serial:
                    # A phone by its address: adb's server gives up on those after a while.
                    self.adb.run(["connect", self.serial])
                # A frozen phone is listed, too; only an answer shows that it is there.
                if self.adb.states().get(self.serial) == "device":
                    self.shell("true", timeout_seconds=_PROBE_SECONDS)
                    return
            if left <= 0:
                raise LostError(f"phone {self.serial}: did not come back within {seconds:g} s; plug it in again")
            time.sleep(min(0.2, left))

    def _broken(self, words: str) -> LostError:
        said = f" ({brief(words)})" if words.strip() else ""
        return LostError(f"phone {self.serial}: the connection broke{said}")


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


class Adb:
    """The adb program (see `find_adb`), called with more variables than this process has, and its server."""

    def __init__(self, path: str | os.PathLike | None = None, environment: Mapping[str, str] | None = None):
        self.path = find_adb(path)
        self.environment = {**os.environ, **(environment or {})}

    def run(
        self, arguments: Sequence[str], *, timeout_seconds: float = CALL_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Calls the program; see `connection.call`."""
        return call(
            [self.path, *arguments],
            timeout_seconds=timeout_seconds,
            advice="give another --adb=PATH",
            environment=self.environment,
        )

    def states(self) -> dict[str, str]:
        """What adb says of each device it sees: serial to state, "device" for those that can be used."""
        listed = self.run(["devices"], timeout_seconds=_START_SECONDS)
        if listed.returncode:
            raise OfaError(f"{self.path} devices: failed ({brief(listed.stderr)}); see whether adb itself works")
        lines = listed.stdout.partition("List of devices attached")[2].splitlines()
        pairs = (line.partition("\t") for line in lines)
        return {serial.strip(): state.strip() for serial, _, state in pairs if state.strip()}

    def device(self, serial: str | None = None) -> AdbDevice:
        """The device of a serial, or the only one; `InputError` says what to do where it cannot be used."""
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
