"""`PhoneLock`: two processes on one phone would measure each other."""

import fcntl
import os
import pathlib
import re
import tempfile

from ofa_tf.common import InputError


class PhoneLock:
    """Held by the process that measures on a phone; it is gone with that process, whatever ends it.

    Args:
        serial: of the phone.
    """

    def __init__(self, serial: str):
        self._serial = serial
        name = re.sub(r"[^A-Za-z0-9.-]", "_", serial)
        self._path = pathlib.Path(tempfile.gettempdir()) / f"ofa_tf-phone-{name}.lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes it.

        Raises:
            InputError: another process has it, or its file cannot be opened.
        """
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise InputError(
                f"phone {self._serial}: another process measures on it; wait for its end, or take another phone"
            ) from None
        self._descriptor = descriptor

    def _open(self) -> int:
        try:
            try:
                # Another user's file in a shared folder may be opened, but not by a call that would create it.
                return os.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                return os.open(self._path, os.O_RDONLY | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot be opened ({error.strerror}), which keeps others off phone {self._serial}; "
                f"delete it, or have its owner make it readable"
            ) from error

    def release(self) -> None:
        """Gives it back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
