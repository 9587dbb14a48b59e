"""adb's shell service: a command's output, and in version 2 its errors and exit code too, framed."""

import contextlib
import os
import signal
import struct
import subprocess
import threading
from collections.abc import Mapping, Sequence

from tests.phone.transport import ClosedError, Stream

_FRAME = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_CHUNK = 32 * 1024


def serve_shell(stream: Stream, command: Sequence[str], environment: Mapping[str, str], *, framed: bool) -> None:
    """Runs a command for one stream.

    Where the stream ends first, the command (not its children) gets SIGHUP, as adbd does it.

    Args:
        stream: of a service "shell...".
        command: program and arguments.
        environment: all variables of the command.
        framed: whether this is version 2.
    """
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if framed else subprocess.STDOUT,
        env=environment,
        cwd=environment["PHONE_ROOT"],
        start_new_session=True,
    )
    sending = threading.Lock()

    def send(kind: int, data: bytes) -> None:
        with sending:
            stream.write(_FRAME.pack(kind, len(data)) + data if framed else data)

    def forward(kind: int, pipe) -> None:
        with contextlib.suppress(ClosedError), pipe:
            while data := os.read(pipe.fileno(), _CHUNK):
                send(kind, data)

    def feed() -> None:
        with contextlib.suppress(ClosedError, OSError), child.stdin:
            while True:
                kind, length = _FRAME.unpack(stream.read(_FRAME.size))
                data = stream.read(length)
                if kind == _CLOSE_STDIN:
                    return
                child.stdin.write(data)
                child.stdin.flush()

    def end_with_stream() -> None:
        stream.closed.wait()
        # Sends nothing to a process that ended.
        child.send_signal(signal.SIGHUP)

    pipes = [(_STDOUT, child.stdout)] + ([(_STDERR, child.stderr)] if framed else [])
    threads = [threading.Thread(target=forward, args=pipe, daemon=True) for pipe in pipes]
    helpers = [
        threading.Thread(target=it, daemon=True) for it in ((feed, end_with_stream) if framed else (end_with_stream,))
    ]
    for thread in (*threads, *helpers):
        thread.start()
    for thread in threads:
        thread.join()
    code = child.wait()
    if framed:
        send(_EXIT, bytes([code % 256 if code >= 0 else 128 - code]))
