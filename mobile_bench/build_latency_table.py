"""Measures every distinct block of a space on a device and writes the latency table that searches predict from.

    python -m mobile_bench.build_latency_table --device=host --space=ofa_tiny --precision=int8 --output=host_int8.json
    python -m mobile_bench.build_latency_table --device=SERIAL --space=ofa_tiny --precision=int8 --output=phone.json

Each block becomes a .tflite model of its own, with random weights. On this machine it is timed among as many others as
a network has (ofa_tf/devices/measure.py says why): at least 56 runs of each, and 0.1 s of each row of blocks. On
a phone, named by its serial (python -m mobile_bench.devices lists them), LiteRT's benchmark_model times it, at least
--runs times and for --seconds; a phone that gets hot or loses its connection is waited for.

The table is written every few seconds, for phones after every block. After an interruption, rerun to resume. The last
line names what is doubtful: drift, blocks of varying time, blocks measured on a hot phone.
Several phones at once: --device=SERIAL1,SERIAL2 or --device=all, a process and a table for each, with its serial number
in the table's name (phone-SERIAL1.json). A phone that adb reaches in two ways, by USB and Wi-Fi, is measured once.
With --form=auto, a network is measured in every form first, and the form that is fastest on the device is taken.
How well the table predicts whole networks: python -m mobile_bench.verify.
"""

import sys

from absl import flags

from ofa_tf.common import InputError, check_writable, cli
from ofa_tf.common.form import FORMS, PRECISIONS
from ofa_tf.devices import HOST, KINDS, device_flags, kind_of
from ofa_tf.devices.device_flags import ADB

_AUTO, _ALL = "auto", "all"

_DEVICE = flags.DEFINE_list(
    "device", ["host"], "'host', this machine, a phone's serial, ssh:USER@HOST, several, or 'all' phones"
)
_SPACE = flags.DEFINE_string(
    "space", None, "a name of ofa_tf.spaces.names(), or a space's .json file (docs/spaces.md)", required=True
)
_NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "outputs of the classifier; the space's own unless given")
_RESOLUTIONS = flags.DEFINE_list("resolutions", None, "image sides in pixels; all of the space's unless given")
_PRECISION = flags.DEFINE_enum(
    "precision", "int8", [name for name, precision in PRECISIONS.items() if precision.measured], "of the blocks"
)
_THREADS = flags.DEFINE_integer("threads", 1, "threads of the interpreter", lower_bound=1)
_FORM = flags.DEFINE_enum(
    "form", None, [_AUTO, *FORMS], "how networks are written; the precision's default unless given, 'auto' measures"
)
_RUNS = flags.DEFINE_integer("runs", 50, "on a phone, at least this many runs of each block are timed", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 0.1, "and for at least this many seconds, at most 60", 0.0, 60.0)
_TOLERANCE = flags.DEFINE_float(
    "tolerance",
    1.05,
    "blocks measured while a device took more than this of its best time are measured again",
    1.0,
)
_PROGRESS = flags.DEFINE_enum("progress", "bar", ["bar", "lines"], "how it is shown on stderr")
_OUTPUT = flags.DEFINE_string("output", None, "the table to write, or to go on with (.json)", required=True)


def main(argv):
    del argv
    from ofa_tf import spaces

    space = spaces.get(_SPACE.value, _NUM_CLASSES.value)
    resolutions = _resolutions(_RESOLUTIONS.value)
    names = _names(_DEVICE.value)
    if len(names) != 1:
        from ofa_tf.devices.adb import Adb
        from ofa_tf.devices.phone_workers import outputs_of, run_workers

        adb = None if names and all(kind_of(name) is not KINDS["android"] for name in names) else Adb(ADB.value)
        outputs = outputs_of(_OUTPUT.value, names, adb, lambda note: print(note, file=sys.stderr, flush=True))
        if not outputs:
            # Without any, asking for one says what to do.
            adb.device()
        arguments = [*sys.argv[1:], "--progress=lines"]
        run_workers(f"{__package__}.build_latency_table", arguments, outputs)
        return

    from ofa_tf.devices.table_file import table_summary

    check_writable(_OUTPUT.value)
    opened = device_flags.open_device(names[0], threads=_THREADS.value, runs=_RUNS.value, seconds=_SECONDS.value)
    with opened as device:
        table = device.build_table(
            space,
            _PRECISION.value,
            _OUTPUT.value,
            resolutions=resolutions,
            form=_form(space, device),
            tolerance=_TOLERANCE.value,
            progress=_PROGRESS.value == "bar",
            on_batch=_say_of(device),
        )
    print(f"{_OUTPUT.value}: {table.precision}, on {table.versions['cpu']}: {table_summary(table)}")


def _say_of(device):
    def say(done: int, total: int) -> None:
        if _PROGRESS.value == "lines":
            print(f"{device}: {done} of {total} blocks", file=sys.stderr, flush=True)

    return say


def _form(space, device) -> str | None:
    """The form that the flag asks for; a table that is gone on with keeps its own."""
    import pathlib

    if _FORM.value != _AUTO:
        return _FORM.value
    if pathlib.Path(_OUTPUT.value).exists():
        from ofa_tf.predictors.latency_table import LatencyTable

        return LatencyTable.load(_OUTPUT.value).form

    from ofa_tf.devices.block_models import fastest_form

    form, times_ms = fastest_form(space, _PRECISION.value, device)
    shown = ", ".join(f"{name} {time_ms:.3f}" for name, time_ms in times_ms.items())
    print(f"{','.join(_DEVICE.value)}: form {form}, of a network's times in ms: {shown}", flush=True)
    return form


def _names(devices: list[str]) -> list[str]:
    """What is measured on, one by one; none for all phones."""
    if devices == [_ALL]:
        return []
    if not devices or (HOST in devices and len(devices) > 1):
        raise InputError(f"--device={','.join(devices)}: expected {HOST!r} alone, names of devices, or {_ALL!r}")
    if len(set(devices)) < len(devices):
        raise InputError(f"--device={','.join(devices)}: a phone is there twice; give each once")
    return devices


def _resolutions(values: list[str] | None) -> list[int] | None:
    try:
        return None if values is None else [int(value) for value in values]
    except ValueError:
        raise InputError(f"--resolutions={','.join(values)!r}: expected whole numbers, for example 128,160") from None


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
