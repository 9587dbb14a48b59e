"""`StopSignals`: a run that is asked to stop ends after its step, with its state saved."""

import signal
from typing import Any


class StopSignals:
    """While entered, SIGINT and SIGTERM are noted; a second one ends the process at once.

    Outside the main thread (a notebook, a server), where no handler can be set, nothing is noted.

    Example:
        with StopSignals() as stop:
            while not stop.received:
                step()
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        self.received = None
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._note)
        except ValueError:
            pass
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()

    def _note(self, number: int, _: object) -> None:
        self.received = signal.Signals(number)
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
