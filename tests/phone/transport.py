"""adb's transport protocol, the phone's side, over one TCP connection.

A message is six 32-bit words (command, two arguments, length and sum of the data, the command inverted) and its data.
A stream is opened for a service, then both sides write to it, one message at a time until OKAY.
"""

import contextlib
import os
import queue
import socket
import struct
import threading
from collections.abc import Callable

from tests.phone.faults import Faults

_HEADER = struct.Struct("<4sIIII4s")
_VERSION = 0x01000001
_MAX_DATA = 256 * 1024
_TOKEN = 1


class ClosedError(Exception):
    """The other side closed the stream, or the connection is gone."""


class Stream:
    """One service's stream, as bytes in and out."""

    def __init__(self, transport: "Transport", own: int, theirs: int):
        self._transport, self._own, self._theirs = transport, own, theirs
        self._received: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._writable = threading.Semaphore(0)
        self._buffer = b""
        self.closed = threading.Event()

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        while len(self._buffer) < count:
            data = self._received.get()
            if data is None:
                raise ClosedError
            self._buffer += data
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def write(self, data: bytes) -> None:
        """Sends the bytes and waits until they are taken."""
        for start in range(0, len(data), _MAX_DATA):
            self._transport.send(b"WRTE", self._own, self._theirs, data[start : start + _MAX_DATA])
            self._writable.acquire()
            if self.closed.is_set():
                raise ClosedError

    def close(self) -> None:
        """Ends the stream."""
        if not self.closed.is_set():
            self._transport.send(b"CLSE", self._own, self._theirs)
            self.ended()

    def arrived(self, command: bytes, data: bytes) -> None:
        """A message for this stream came in."""
        if command == b"WRTE":
            self._received.put(data)
            self._transport.send(b"OKAY", self._own, self._theirs)
        elif command == b"OKAY":
            self._writable.release()

    def ended(self) -> None:
        """No more messages will come."""
        self.closed.set()
        self._received.put(None)
        self._writable.release()


class Transport:
    """A connection with the computer's adb server.

    Args:
        connection: the accepted socket.
        faults: looked at with every message.
        banner: what the phone says of itself: "device::ro.product.model=...;".
        serve: called in a thread of its own with the name of a service and its stream.
    """

    def __init__(self, connection: socket.socket, faults: Faults, banner: str, serve: Callable[[str, Stream], None]):
        self._connection, self._faults, self._banner, self._serve = connection, faults, banner, serve
        self._sending = threading.Lock()
        self._streams: dict[int, Stream] = {}
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self) -> None:
        """Answers until the connection ends."""
        with contextlib.suppress(OSError, ClosedError):
            while True:
                command, first, second, length, _, _ = _HEADER.unpack(self._receive(_HEADER.size))
                self._answer(command, first, second, self._receive(length))
        self.close()

    def close(self) -> None:
        """Breaks the connection."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        for stream in list(self._streams.values()):
            stream.ended()

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        """Sends one message."""
        inverted = bytes(byte ^ 0xFF for byte in command)
        message = _HEADER.pack(command, first, second, len(data), sum(data) & 0xFFFFFFFF, inverted) + data
        if self._faults.frozen:
            return
        if self._faults.drop_after_sent is not None:
            self._faults.drop_after_sent -= len(message)
            if self._faults.drop_after_sent <= 0:
                kept, self._faults.drop_after_sent = self._faults.drop_after_sent, None
                self._write(message[:kept] if kept else message)
                self.close()
                raise ClosedError
        self._write(message)

    def _write(self, message: bytes) -> None:
        try:
            with self._sending:
                self._connection.sendall(message)
        except OSError as error:
            raise ClosedError from error

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._connection.recv(count - len(data))
            if not part:
                raise ClosedError
            data += part
            if self._faults.drop_after is not None:
                self._faults.drop_after -= len(part)
                if self._faults.drop_after <= 0:
                    self._faults.drop_after = None
                    raise ClosedError
        return data

    def _answer(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if self._faults.frozen:
            return
        if command in (b"CNXN", b"AUTH"):
            if self._faults.unauthorized:
                self.send(b"AUTH", _TOKEN, 0, os.urandom(20))
            else:
                features = "cmd,stat_v2" if self._faults.without_shell_v2 else "shell_v2,cmd,stat_v2"
                self.send(b"CNXN", _VERSION, _MAX_DATA, f"{self._banner}features={features}".encode())
        elif command == b"OPEN":
            own = len(self._streams) + 1
            stream = self._streams[own] = Stream(self, own, first)
            self.send(b"OKAY", own, first)
            threading.Thread(target=self._run_service, args=(data.rstrip(b"\0").decode(), stream), daemon=True).start()
        elif second in self._streams:
            if command == b"CLSE":
                self._streams[second].ended()
            else:
                self._streams[second].arrived(command, data)

    def _run_service(self, name: str, stream: Stream) -> None:
        with contextlib.suppress(ClosedError):
            self._serve(name, stream)
            stream.close()
