"""The way to a device: what every connection can do, how it fails, and programs of this machine that make one.

Such programs keep silent about much, so each call has a time-out, and what they write is read as it comes.
"""

import ctypes
import os
import pathlib
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from ofa_tf.common import InputError, OfaError

CALL_SECONDS = 15.0
# USB 2 moves some 20 MB a second; a slow hub, or a Wi-Fi, a tenth of that or less.
PUSH_BYTES_PER_SECOND = 1e6
_CHUNK_BYTES = 1 << 16
# Linux only; elsewhere what was started goes on until the next session.
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)
_PR_SET_PDEATHSIG = 1


class LostError(OfaError):
    """A device did not answer, or its connection broke: the same may succeed once it is back."""


class UnavailableError(InputError):
    """A device cannot be used now, but may be later: another process has it, it is full, or it is not ready."""


class CommandError(OfaError):
    """A command ran on the device and failed, with an exit code and an output."""

    def __init__(self, message: str, code: int, output: str):
        super().__init__(message)
        self.code, self.output = code, output


class Connection(Protocol):
    """The way to a device. Commands are text for its shell: names go into it through `shlex.quote`."""

    def shell(self, command: str, *, timeout_seconds: float = CALL_SECONDS) -> str:
        """What a command wrote to stdout; raises `CommandError` where it failed."""

    def lines(self, command: str, *, silent_seconds: float) -> Iterator[str]:
        """The lines of a command, of stdout and stderr, as they come; raises `LostError` after too long a silence."""

    def push(self, source: pathlib.Path, target: str) -> None:
        """Copies a file; raises `InputError` where there is no room for it."""

    def wait(self, seconds: float, on_note: Callable[[str], None] = lambda note: None) -> None:
        """Waits for a device that is gone, or does not answer; raises `LostError` where it does not come back.

        `on_note` is told where somebody has to do something on it.
        """


def call(
    command: Sequence[str | os.PathLike],
    *,
    timeout_seconds: float,
    device: str,
    remedy: str,
    advice: str,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Calls a program of this machine; its end, whatever the exit code.

    Raises:
        LostError: it did not end in time, and is ended now; the message names the device, and ends with the remedy.
        InputError: it cannot be run; the message ends with the advice.
    """
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LostError(f"{device}: no answer within {timeout_seconds:g} s; {remedy}") from error
    except OSError as error:
        raise InputError(f"{command[0]}: cannot be run ({error.strerror}); {advice}") from error


def lines_of(
    command: Sequence[str | os.PathLike],
    *,
    silent_seconds: float,
    device: str,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[str]:
    """The whole lines that a program of this machine writes, without their ends; it is killed when no more are wanted.

    Raises:
        LostError: after too long a silence.
    """
    child = subprocess.Popen(
        command,
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_end_with_parent,
    )
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            rest = b""
            while True:
                if not selector.select(silent_seconds):
                    raise LostError(f"{device}: silent for {silent_seconds:g} s; it is frozen or asleep")
                data = child.stdout.read1(_CHUNK_BYTES)
                if not data:
                    return
                *whole, rest = (rest + data).split(b"\n")
                yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    finally:
        child.kill()
        child.stdout.close()
        child.wait()


def _end_with_parent() -> None:
    """In a child: it is killed with this process, which on the device ends what would be measured for nobody."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)
