"""`Adb`: the adb program, called with a time-out on every call.

adb keeps silent about much: a device that froze is still listed and hangs every call, a connection that broke in the
middle of a command ends it like the command's own end, `adb connect` to a closed port exits with 0. So nothing here
trusts an exit code alone (`AdbDevice`).
"""

import contextlib
import ctypes
import os
import pathlib
import secrets
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

from ofa_tf.common import InputError, OfaError, brief, file_sha256

# What was asked while a phone was frozen is not answered later, so that it is asked again soon.
_PROBE_SECONDS = 2.0
_CALL_SECONDS = 15.0
# USB 2 moves some 20 MB a second; a slow hub a tenth of that.
_PUSH_BYTES_PER_SECOND = 1e6
_CHUNK_BYTES = 1 << 16
# Linux only; elsewhere the phone goes on until the next session.
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)
_PR_SET_PDEATHSIG = 1


class AdbError(OfaError):
    """A phone did not answer, or its connection broke: the same may succeed once it is back."""


class CommandError(OfaError):
    """A command ran on the phone and failed.

    Args:
        message: what failed.
        code: its exit code.
        output: what it wrote.
    """

    def __init__(self, message: str, code: int, output: str):
        super().__init__(message)
        self.code, self.output = code, output


class AdbDevice:
    """One phone; made by `Adb.device`.

    Commands are text for the phone's shell: names go into it through `shlex.quote`.

    Args:
        adb: the program.
        serial: the phone's.

    Example:
        device.push("model.tflite", "/data/local/tmp/model.tflite")
        device.shell("ls -l /data/local/tmp")
    """

    def __init__(self, adb: "Adb", serial: str):
        self.adb, self.serial = adb, serial

    def check_features(self) -> None:
        """Raises `InputError` for a phone whose exit codes are lost."""
        features = self.adb.run(["-s", self.serial, "features"])
        if features.returncode:
            raise AdbError(f"phone {self.serial}: {brief(features.stderr) or 'does not tell its features'}")
        if "shell_v2" not in features.stdout.split():
            raise InputError(
                f"phone {self.serial}: its adb has no shell_v2, without which exit codes are lost; expected Android 7 "
                f"or later: take another phone"
            )

    def shell(self, command: str, *, timeout_seconds: float = _CALL_SECONDS) -> str:
        """Runs a command; what it wrote to stdout.

        Raises:
            AdbError: the connection broke or there was no answer in time.
            CommandError: it ended with another exit code than 0.
        """
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
        """Runs a command and yields its lines, of stdout and stderr, as they come; without their ends.

        Args:
            command: as for `shell`; its exit code does not matter.
            silent_seconds: how long it may keep silent.

        Raises:
            AdbError: the connection broke, or there was nothing for too long; all lines before were yielded.
        """
        sentinel = secrets.token_hex(8)
        child = subprocess.Popen(
            [self.adb.path, "-s", self.serial, "shell", "-T", _with_sentinel(f"exec 2>&1\n{command}", sentinel)],
            env=self.adb.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=_end_with_parent,
        )
        with contextlib.closing(child.stdout), selectors.DefaultSelector() as selector:
            try:
                selector.register(child.stdout, selectors.EVENT_READ)
                rest = b""
                while True:
                    if not selector.select(silent_seconds):
                        raise AdbError(f"phone {self.serial}: silent for {silent_seconds:g} s; it is frozen or asleep")
                    data = child.stdout.read1(_CHUNK_BYTES)
                    if not data:
                        raise self._broken(rest.decode(errors="replace"))
                    *whole, rest = (rest + data).split(b"\n")
                    for line in whole:
                        text = line.decode(errors="replace").rstrip("\r")
                        if text.startswith(f"{sentinel} "):
                            return
                        yield text
            finally:
                # The phone's shell gets SIGHUP once its client is gone.
                child.kill()
                child.wait()

    def push(self, source: pathlib.Path, target: str) -> None:
        """Copies a file to the phone; it stands under its name only once it is whole.

        Args:
            source: here.
            target: the whole path there; its folder exists.

        Raises:
            AdbError: the connection broke, or what arrived is not what was sent.
            InputError: the phone has no room for it.
        """
        partial = f"{target}.part"
        size = source.stat().st_size
        limit_seconds = _CALL_SECONDS + size / _PUSH_BYTES_PER_SECOND
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
            raise AdbError(f"phone {self.serial}: {source.name} could not be pushed ({brief(words)})")
        # adb says "1 file pushed" of half a file, too.
        names = shlex.quote(partial), shlex.quote(target)
        sha256 = file_sha256(source)
        check = f'case "$(sha256sum < {names[0]})" in {sha256}*) mv -f {names[0]} {names[1]} ;; *) exit 1 ;; esac'
        try:
            self.shell(check, timeout_seconds=limit_seconds)
        except CommandError as error:
            raise AdbError(f"phone {self.serial}: {source.name} arrived damaged, or not at all") from error

    def wait(self, seconds: float) -> None:
        """Waits for a phone that is gone, or does not answer, to come back.

        Raises:
            AdbError: it did not in this time.
        """
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            with contextlib.suppress(AdbError):
                if ":" in self.serial:
                    # A phone by its address: adb's server gives up on those after a while.
                    self.adb.run(["connect", self.serial])
                # A frozen phone is listed, too; only an answer shows that it is there.
                if self.adb.states().get(self.serial) == "device":
                    self.shell("true", timeout_seconds=_PROBE_SECONDS)
                    return
            if left <= 0:
                raise AdbError(f"phone {self.serial}: did not come back within {seconds:g} s; plug it in again")
            time.sleep(min(0.2, left))

    def _broken(self, words: str) -> AdbError:
        said = f" ({brief(words)})" if words.strip() else ""
        return AdbError(f"phone {self.serial}: the connection broke{said}")


def _end_with_parent() -> None:
    """In a child: it is killed with this process, which also ends the measurement on the phone."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


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
        self, arguments: Sequence[str], *, timeout_seconds: float = _CALL_SECONDS
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
            raise OfaError(f"{self.path} devices: failed ({brief(listed.stderr)}); see whether adb itself works")
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
