"""adb's sync service: files are looked at, pushed and pulled."""

import errno
import os
import pathlib
import stat
import struct
from collections.abc import Callable

from tests.phone.faults import Faults
from tests.phone.transport import Stream

_WORD = struct.Struct("<4sI")
_CHUNK = 64 * 1024


def serve_files(stream: Stream, host_path: Callable[[str], pathlib.Path], faults: Faults) -> None:
    """Answers the requests of one stream until it says QUIT.

    Args:
        stream: of the service "sync:".
        host_path: gives a phone's path as a path of this machine.
        faults: `room_bytes` is used up here.
    """
    while True:
        request, length = _WORD.unpack(stream.read(_WORD.size))
        if request == b"QUIT":
            return
        name = stream.read(length).decode()
        if request in (b"STAT", b"STA2", b"LST2"):
            stream.write(_status(request, host_path(name)))
        elif request == b"SEND":
            path, _, mode = name.rpartition(",")
            error = _store(stream, host_path(path), int(mode), faults)
            if error is None:
                stream.write(_WORD.pack(b"OKAY", 0))
            else:
                message = f"couldn't create file: {os.strerror(error)}".encode()
                stream.write(_WORD.pack(b"FAIL", len(message)) + message)
        elif request == b"RECV":
            _pull(stream, host_path(name))
        else:
            message = f"unknown request {request!r}".encode()
            stream.write(_WORD.pack(b"FAIL", len(message)) + message)
            return


def _status(request: bytes, path: pathlib.Path) -> bytes:
    try:
        found = path.lstat() if request == b"LST2" else path.stat()
    except OSError as error:
        if request == b"STAT":
            return struct.pack("<4sIII", b"STAT", 0, 0, 0)
        return struct.pack("<4sIQQIIIIQqqq", request, error.errno, *([0] * 10))
    if request == b"STAT":
        return struct.pack("<4sIII", b"STAT", found.st_mode, found.st_size, int(found.st_mtime))
    words = (found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid, found.st_gid, found.st_size)
    times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
    return struct.pack("<4sIQQIIIIQqqq", request, 0, *words, *times)


def _store(stream: Stream, path: pathlib.Path, mode: int, faults: Faults) -> int | None:
    """Takes a file; what is written before an error stays there, as on phones."""
    error = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as found:
        path, error = pathlib.Path(os.devnull), found.errno
    with path.open("wb") as file:
        while True:
            kind, value = _WORD.unpack(stream.read(_WORD.size))
            if kind == b"DONE":
                break
            data = stream.read(value)
            if faults.room_bytes is not None:
                faults.room_bytes -= len(data)
                if faults.room_bytes < 0:
                    error = errno.ENOSPC
            if error is None:
                file.write(data)
    if error is None:
        path.chmod(stat.S_IMODE(mode))
        os.utime(path, (value, value))
    return error


def _pull(stream: Stream, path: pathlib.Path) -> None:
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"open failed: {error.strerror}".encode()
        stream.write(_WORD.pack(b"FAIL", len(message)) + message)
        return
    for start in range(0, len(data), _CHUNK):
        part = data[start : start + _CHUNK]
        stream.write(_WORD.pack(b"DATA", len(part)) + part)
    stream.write(_WORD.pack(b"DONE", 0))
