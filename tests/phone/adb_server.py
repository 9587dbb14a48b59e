"""`AdbServer`: a real adb server for tests, that nothing else on this machine knows of."""

import contextlib
import shutil
import socket
import tempfile
import time

from ofa_tf.devices.adb import Adb
from tests.phone.loopback_phone import LoopbackPhone


class AdbServer:
    """A server on a port and in a home folder of its own; a context manager.

    Example:
        with AdbServer() as server, LoopbackPhone() as phone:
            server.connect(phone)
            server.adb.device(phone.serial).shell("ls")
    """

    def __enter__(self) -> "AdbServer":
        self._home = tempfile.mkdtemp(prefix="adb")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.environment = {
            "HOME": self._home,
            "ANDROID_USER_HOME": self._home,
            "TMPDIR": self._home,
            "ANDROID_ADB_SERVER_PORT": str(port),
            **{name: "0" for name in ("ADB_MDNS", "ADB_EMU", "ADB_USB")},
        }
        self.adb = Adb(environment=self.environment)
        self.adb.run(["start-server"], timeout_seconds=30)
        return self

    def __exit__(self, *_) -> None:
        self.adb.run(["kill-server"])
        shutil.rmtree(self._home, ignore_errors=True)

    def connect(self, phone: LoopbackPhone, state: str = "device", *, serial: str | None = None) -> None:
        """Makes the phone known, under its other address where that is given, and waits until it has the state."""
        serial = serial or phone.serial
        self.adb.run(["connect", serial])
        end = time.monotonic() + 10
        while (found := self.adb.states().get(serial)) != state:
            assert time.monotonic() < end, f"{serial} is {found}, expected {state}"
            time.sleep(0.02)

    @contextlib.contextmanager
    def connected_twice(self, phone: LoopbackPhone):
        """Makes a connected phone known under its other address, too."""
        try:
            self.connect(phone, serial=phone.other_serial)
            yield
        finally:
            self.adb.run(["disconnect", phone.other_serial])

    @contextlib.contextmanager
    def connected(self, *phones: LoopbackPhone):
        """Connects the phones, and forgets them at the end."""
        try:
            for phone in phones:
                self.connect(phone)
            yield
        finally:
            for phone in phones:
                self.adb.run(["disconnect", phone.serial])
