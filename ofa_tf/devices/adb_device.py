"""`AdbDevice`: one phone through adb, with every answer checked for being whole."""

import contextlib
import ctypes
import pathlib
import secrets
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ofa_tf.common import InputError, OfaError, file_sha256
from ofa_tf.devices.words import shortened

if TYPE_CHECKING:
    from ofa_tf.devices.adb import Adb

_TIMEOUT_SECONDS = 15.0
# What was asked while a phone was frozen is not answered later, so that it is asked again soon.
_PROBE_SECONDS = 2.0
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
            raise AdbError(f"phone {self.serial}: {shortened(features.stderr) or 'does not tell its features'}")
        if "shell_v2" not in features.stdout.split():
            raise InputError(
                f"phone {self.serial}: its adb has no shell_v2, without which exit codes are lost; expected Android 7 "
                f"or later: take another phone"
            )

    def shell(self, command: str, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> str:
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
                f"phone {self.serial}: {shortened(command)} failed with exit code {int(code)} ({shortened(words)})",
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
        limit_seconds = _TIMEOUT_SECONDS + size / _PUSH_BYTES_PER_SECOND
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
            raise AdbError(f"phone {self.serial}: {source.name} could not be pushed ({shortened(words)})")
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
        said = f" ({shortened(words)})" if words.strip() else ""
        return AdbError(f"phone {self.serial}: the connection broke{said}")


def _end_with_parent() -> None:
    """In a child: it is killed with this process, which on the phone ends what would be measured for nobody."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _with_sentinel(command: str, sentinel: str) -> str:
    # In brackets, so that an exit in the command does not skip the last line. When the client goes, only this shell
    # gets SIGHUP, and hears it only while it waits: it passes it on to everything it started.
    return (
        f"trap 'trap \"\" HUP; kill -HUP 0; exit 129' HUP\n(\n{command}\n) &\nwait $!\n"
        f"printf '\\n%s %d\\n' {sentinel} $?"
    )
