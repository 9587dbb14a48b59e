"""One process for each phone: what happens to one of them is nothing to the others."""

import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Sequence

from ofa_tf.common import InputError, OfaError

# A worker that is interrupted cleans its phone, which takes a call or two.
_END_SECONDS = 40.0


def output_of(output: str, serial: str) -> str:
    """Where the worker of a phone writes: the serial goes into the name, before its end.

    Example:
        output_of("tables/phone.json", "127.0.0.1:5555")  # "tables/phone-127.0.0.1_5555.json"
    """
    path = pathlib.Path(output)
    return str(path.with_name(f"{path.stem}-{re.sub(r'[^A-Za-z0-9.-]', '_', serial)}{path.suffix}"))


def run_workers(module: str, arguments: Sequence[str], serials: Sequence[str], output: str) -> None:
    """Runs a binary once for each phone, all at the same time, and waits for all of them.

    Its flags `--device` and `--output` (see `output_of`) are overridden.

    Raises:
        InputError: a serial is there twice.
        OfaError: some failed; each has said why.
    """
    outputs = {serial: output_of(output, serial) for serial in serials}
    if len(set(outputs.values())) < len(serials):
        raise InputError(f"--device={','.join(serials)}: a phone is there twice; give each serial once")
    workers: dict[str, subprocess.Popen] = {}
    # SIGINT too: where it is ignored, as in what a script started with &, workers would inherit that.
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for serial, path in outputs.items():
            own = [f"--device={serial}", f"--output={path}"]
            # In a session of its own, so that Ctrl-C reaches it once, through this process.
            workers[serial] = subprocess.Popen([sys.executable, "-m", module, *arguments, *own], start_new_session=True)
        failed = [serial for serial, worker in workers.items() if worker.wait()]
    finally:
        _end(list(workers.values()))
        for number, handler in before.items():
            signal.signal(number, handler)
    if failed:
        raise OfaError(
            f"{len(failed)} of {len(serials)} phones failed, see above: {', '.join(failed)}; what was measured on them "
            f"is kept, rerun to resume"
        )


def _end(workers: Sequence[subprocess.Popen]) -> None:
    """Interrupts what still runs, as Ctrl-C would."""
    running = [worker for worker in workers if worker.poll() is None]
    for worker in running:
        worker.send_signal(signal.SIGINT)
    for worker in running:
        try:
            worker.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
