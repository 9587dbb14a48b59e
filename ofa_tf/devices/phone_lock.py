"""`PhoneLock`: one process at a time measures on a phone, whatever serial or computer each reaches it by.

It lies on the phone: a shell there has the lock of a file for as long as the connection through which it was started
stands, so that the lock ends with whatever ends its holder. A computer that vanishes without a word (power, Wi-Fi)
leaves its connection standing: the holder says every ten seconds that it is there, and one that was silent for a minute
is ended by who comes next.
"""

import contextlib
import datetime
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from ofa_tf.common import brief
from ofa_tf.devices.adb import AdbDevice
from ofa_tf.devices.connection import LostError, UnavailableError, lines_of

_FILE = "/data/local/tmp/ofa_tf.lock"
_BEAT_SECONDS = 10.0
_SILENT_SECONDS = 60
# How long the phone tries, while a holder that was killed is being ended; and the longest wait for its answer.
_TRIES, _TRY_SECONDS = 10, 0.3
_ANSWER_SECONDS = 10.0
# The time is that since the phone's start, which nobody sets. A file that was deleted meanwhile is no lock. Redirected
# for a group of commands, and not by exec: what Android's shell opens by exec is not seen by other programs. A holder
# that has just taken the lock has not written its name yet, and what is there is of the one before: what is read twice
# in a row is believed.
_SCRIPT = """\
trap '' HUP
beat() {{
    read -r now rest < /proc/uptime
    echo "{holder}
{token} $$ ${{now%%.*}}" > {file}
}}
tries=0
while [ $tries -lt {tries} ]; do
    tries=$((tries + 1))
    {{
        flock -n 3
        case $? in
        0)
            if [ /proc/self/fd/3 -ef {file} ]; then
                chmod 666 {file} 2>/dev/null
                beat
                echo {word} held
                while read -r line; do beat; done
                rm -f {file}
                exit 0
            fi
            ;;
        127)
            rm -f {file}
            echo {word} without
            exit 0
            ;;
        *)
            {{ read -r name; read -r token pid at; }} < {file}
            read -r now rest < /proc/uptime
            if [ -n "$at" ] && [ "$token" = "$before" ]; then
                holder=$name
                if [ "$token" = {token} ] || [ $((${{now%%.*}} - at)) -gt {silent} ]; then
                    kill -9 $pid
                fi
            fi
            before=$token
            sleep {pause}
            ;;
        esac
    }} 3>> {file} || {{
        echo {word} refused
        exit 0
    }}
done
echo "{word} busy $holder"
"""


class HeldError(UnavailableError):
    """Another process has the lock."""


class PhoneLock:
    """The lock of the phone behind a connection; `note` is told where a phone has no means for one."""

    def __init__(self, device: AdbDevice, note: Callable[[str], None] = lambda note: None):
        self._device, self._note = device, note
        since = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        # A name is text inside quotes there.
        host = "".join(letter for letter in socket.gethostname() if letter.isalnum() or letter in "-._")
        self._holder = f"process {os.getpid()} on {host} since {since}"
        self._token = secrets.token_hex(8)
        self._holding: contextlib.ExitStack | None = None
        self._stdin: BinaryIO | None = None

    @property
    def held(self) -> bool:
        """Whether it was taken, and not given back."""
        return self._holding is not None

    def acquire(self) -> None:
        """Takes it, from a holder that is dead, too.

        Raises:
            HeldError: another process has it; the message says which.
            UnavailableError: its file cannot be opened.
            LostError: the phone does not answer.
        """
        word, phone = secrets.token_hex(8), f"phone {self._device.serial}"
        script = _SCRIPT.format(
            holder=self._holder, token=self._token, file=_FILE, word=word, tries=_TRIES, pause=_TRY_SECONDS,
            silent=_SILENT_SECONDS,
        )  # fmt: skip
        reading, writing = os.pipe()
        stdin = os.fdopen(writing, "wb", buffering=0)
        lines = lines_of(
            [self._device.adb.path, "-s", self._device.serial, "shell", "-T", script],
            silent_seconds=_ANSWER_SECONDS,
            device=phone,
            environment=self._device.adb.environment,
            stdin=reading,
        )
        with contextlib.ExitStack() as stack:
            stack.callback(lines.close)
            stack.callback(_drain, lines)
            # Its end is what the phone's shell waits for.
            stack.callback(stdin.close)
            try:
                kind, _, holder = _answer(lines, word, phone).partition(" ")
            finally:
                os.close(reading)
            if kind == "busy":
                raise HeldError(
                    f"{phone}: {holder or 'another process'} measures on it; wait for its end, or take another phone"
                )
            if kind == "refused":
                raise UnavailableError(
                    f"{phone}: {_FILE}, which keeps others off it, cannot be opened; remove it there"
                )
            if kind == "without":
                self._note(f"{phone}: has no flock, so that nothing keeps a second process from measuring on it, too")
            else:
                self._stdin = stdin
                ended = threading.Event()
                beating = threading.Thread(target=_beat, args=(stdin, ended), daemon=True)
                beating.start()
                stack.callback(beating.join)
                stack.callback(ended.set)
            self._holding = stack.pop_all()

    def confirm(self) -> None:
        """Takes it anew, as `acquire`, where its connection broke while nothing else was asked of the phone."""
        try:
            if self._stdin is not None:
                self._stdin.write(b"\n")
        except OSError:
            self.release()
            self.acquire()

    def release(self) -> None:
        """Gives it back."""
        holding, self._holding, self._stdin = self._holding, None, None
        if holding is not None:
            holding.close()


def _answer(lines: Iterator[str], word: str, phone: str) -> str:
    said = []
    for line in lines:
        # What the shell says of an error may stand before it in the same line.
        _, found, answer = line.partition(f"{word} ")
        if found:
            return answer.rstrip()
        said.append(line)
    raise LostError(f"{phone}: its lock was not answered for ({brief(' '.join(said)) or 'silent'})")


def _beat(stdin: BinaryIO, ended: threading.Event) -> None:
    while not ended.wait(_BEAT_SECONDS):
        try:
            stdin.write(b"\n")
        except OSError:
            # The connection broke; who goes on takes the lock anew.
            return


def _drain(lines: Iterator[str]) -> None:
    with contextlib.suppress(LostError):
        for _ in lines:
            pass
