"""One process for each phone: what happens to one of them is nothing to the others."""

import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from ofa_tf.common import InputError, OfaError
from ofa_tf.devices.adb import Adb, Listed

# A worker that is interrupted cleans its phone, which takes a call or two.
_END_SECONDS = 40.0


def output_of(output: str, serial: str) -> str:
    """Where the worker of a phone writes: the serial goes into the name, before its end.

    Example:
        output_of("tables/phone.json", "127.0.0.1:5555")  # "tables/phone-127.0.0.1_5555.json"
    """
    path = pathlib.Path(output)
    return str(path.with_name(f"{path.stem}-{re.sub(r'[^A-Za-z0-9.-]', '_', serial)}{path.suffix}"))


def outputs_of(
    output: str, names: Sequence[str], adb: Adb | None, say: Callable[[str], None] = lambda note: None
) -> dict[str, str]:
    """Where the worker of each device writes; a phone that is named twice, or under two serials, is there once.

    Args:
        output: what `--output` gives.
        names: of the devices; every phone that adb lists where there are none.
        adb: asked which phones are the same; None where none is named.
        say: told which are.

    Returns:
        Names to files (see `output_of`): of a phone by its serial number, but where a table by one of its serials was
        begun before, or where two phones have one number.
    """
    listed = adb.listed() if adb else []
    serials: dict[str, list[str]] = {}
    for it in listed:
        serials.setdefault(it.same_as or it.serial, []).append(it.serial)
    numbers = [it.device.name for it in listed if it.device and not it.same_as]
    chosen: dict[str, str] = {}
    outputs = {}
    for name in names or [it.serial for it in listed]:
        it = _find(listed, name)
        phone = it.same_as or it.serial if it else name
        if phone in chosen:
            say(f"phone {name}: the same phone as {chosen[phone]}, which is measured")
            continue
        chosen[phone] = name
        called = [*([it.device.name] if it and it.device else []), *serials.get(phone, []), name]
        if it and it.device and numbers.count(called[0]) > 1:
            called[0] = phone
        paths = [output_of(output, word) for word in called]
        outputs[name] = next((path for path in paths if pathlib.Path(path).exists()), paths[0])
    return outputs


def _find(listed: Sequence[Listed], name: str) -> Listed | None:
    named = [it for it in listed if it.serial == name] or [it for it in listed if it.device and it.device.name == name]
    return named[0] if named else None


def run_workers(module: str, arguments: Sequence[str], outputs: Mapping[str, str]) -> None:
    """Runs a binary once for each device, all at the same time, and waits for all of them.

    Its flags `--device` and `--output` are overridden, by the names and files of `outputs`.

    Raises:
        InputError: two would write one file.
        OfaError: some failed; each has said why.
    """
    if len(set(outputs.values())) < len(outputs):
        raise InputError(f"--device={','.join(outputs)}: two of them would write one file; measure them one by one")
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
            f"{len(failed)} of {len(outputs)} phones failed, see above: {', '.join(failed)}; what was measured on them "
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
