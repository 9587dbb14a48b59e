"""`Watchdog`: ends a process that waits for others for too long."""

import contextlib
import faulthandler
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

from ofa_tf.common import OfaError

# What a hang that even stops this process's threads is given on top, before the interpreter's own timer ends it.
_GRACE_S = 5.0

_ADVICE = (
    "(it hangs, is stopped, or was never started); what was saved is kept: start all workers again with the same "
    "command, they resume"
)


class Watchdog:
    """A limit on everything that waits for the other workers of a cluster.

    A peer that was killed is noticed by the network. One that hangs while its heartbeat goes on, or was never started,
    is not: TensorFlow would wait for hours.

    Source: docs/design_notes.md, "Several workers".
    """

    def __init__(self, limit_s: float):
        self.limit_s = limit_s

    @contextlib.contextmanager
    def limit(self, what: str, patience_s: float = 0.0) -> Iterator[None]:
        """Ends the process, with one line and the exit code of a failure, unless the block ends in time."""
        limit_s = self.limit_s + patience_s
        timer = threading.Timer(limit_s, self._end, (what, limit_s))
        timer.daemon = True
        faulthandler.dump_traceback_later(limit_s + _GRACE_S, exit=True, file=self._speaker.stdin)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            faulthandler.cancel_dump_traceback_later()

    def leave_within(self, seconds: float) -> None:
        """Ends the process then at the latest, even where its own end waits for a lost peer."""
        faulthandler.dump_traceback_later(seconds, exit=True, file=open(os.devnull, "w"))  # noqa: SIM115 (used later)

    @functools.cached_property
    def _speaker(self) -> subprocess.Popen:
        """Prints the time-out from a helper process, where this process's threads cannot.

        TensorFlow makes a cluster without letting go of the interpreter. The interpreter's timer ends the process even
        then, but can only write a traceback: the helper reads it, and prints the message instead.
        """
        words = f"error: no answer from another worker for {self.limit_s:.0f} s {_ADVICE}"
        return subprocess.Popen(["sh", "-c", 'read -r _ && echo "$0" >&2', words], stdin=subprocess.PIPE)

    @staticmethod
    def _end(what: str, limit_s: float) -> None:
        print(
            f"\nerror: {what}: no answer from another worker for {limit_s:.0f} s {_ADVICE}", file=sys.stderr, flush=True
        )
        os._exit(OfaError.exit_code)
