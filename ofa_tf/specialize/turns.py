"""`Turns`: who works and who measures, so that nobody measures somebody else's work."""

import contextlib
import threading
from collections.abc import Iterator


class Turns:
    """Shared by the threads of one process, each of which speaks for a worker.

    On a device one measures at a time. While this machine is measured, nobody works on it: whoever works goes on to its
    next `pause`, and waits there.

    Args:
        here: the device that workers work on.

    Example:
        with turns.working():
            search()
            turns.pause()
            with turns.measuring("host"):
                measure()
    """

    def __init__(self, here: str = "host"):
        self._here = here
        self._changed = threading.Condition()
        self._working = 0
        self._waiting = 0
        self._measured: set[str] = set()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Work, beside others' work."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    def pause(self) -> None:
        """Called while working, often: lets those measure who wait for it."""
        self._end()
        self._begin()

    @contextlib.contextmanager
    def measuring(self, device: str) -> Iterator[None]:
        """Measures, called while working; alone on the device, and on this machine alone altogether."""
        alone = device == self._here
        self._end()
        try:
            with self._changed:
                self._waiting += alone
                self._changed.wait_for(lambda: device not in self._measured and not (alone and self._working))
                self._waiting -= alone
                self._measured.add(device)
            try:
                yield
            finally:
                with self._changed:
                    self._measured.remove(device)
                    self._changed.notify_all()
        finally:
            self._begin()

    def _begin(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and self._here not in self._measured)
            self._working += 1

    def _end(self) -> None:
        with self._changed:
            self._working -= 1
            self._changed.notify_all()
