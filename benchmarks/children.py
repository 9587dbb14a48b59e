"""Long runs of the project's binaries, one at a time, that can be stopped and resumed."""

import fcntl
import pathlib
import signal
import subprocess
import sys


class Children:
    """The commands that are run, one at a time, under a lock that they hold too.

    So a second driver is refused even where the first one was killed and its command trains on.
    """

    def __init__(self, lock: pathlib.Path):
        self._path = lock
        self._running = None

    def __enter__(self) -> "Children":
        from ofa_tf.common import InputError

        self._lock = self._path.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{self._path}: a command of another driver still runs; wait for its end, or stop it"
            ) from None
        signal.signal(signal.SIGTERM, self._stop)
        return self

    def __exit__(self, *_) -> None:
        self._lock.close()

    def run(self, module: str, *arguments: str) -> None:
        """Runs a binary of the project; raises `OfaError` where it fails, and ends with it where it was stopped."""
        from ofa_tf.common import OfaError

        command = [sys.executable, "-m", module, *arguments]
        print(f"python {' '.join(command[1:])}", flush=True)
        self._running = subprocess.Popen(command, pass_fds=[self._lock.fileno()])
        code = self._running.wait()
        self._running = None
        if code in (128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM):
            raise SystemExit(128 + signal.SIGTERM)
        if code:
            raise OfaError(f"{module} ended with code {code}; mend that, then rerun to resume")

    def _stop(self, *_) -> None:
        if self._running is None:
            raise SystemExit(128 + signal.SIGTERM)
        # It saves its state and ends, and so does this process.
        self._running.send_signal(signal.SIGTERM)
