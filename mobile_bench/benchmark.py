"""Measures .tflite files on a device.

    python -m mobile_bench.benchmark --device=host --model=largest.tflite,smallest.tflite --output=latency.json

Prints one line per file: median, 95th percentile, standard deviation, runs, and on this machine partitions that XNNPACK
took over. Here, files are opened and timed in a process of their own: one that crashes the interpreter is reported in
one line. On a phone, named by its serial (python -m mobile_bench.devices), LiteRT's benchmark_model measures; a phone
that gets hot is waited for. With --op_profiling it times each operation, too, which makes models slower: the slowest
are printed, all are in --output.

With --baselines=mobilenet_v2,mobilenet_v3_small,mobilenet_v3_large,efficientnet_b0 these networks, with random weights,
are converted as ours are (once; the files are kept in ~/.cache/ofa_tf/baselines, or in the folder that OFA_TF_CACHE
names) and measured in the same way.
"""

import dataclasses
import pathlib
import sys

from absl import flags

from ofa_tf.common import InputError, OfaError, cli
from ofa_tf.common.form import PRECISIONS
from ofa_tf.devices import device_flags

_DEVICE = flags.DEFINE_string("device", "host", "'host', this machine, a phone's serial, or ssh:USER@HOST")
_MODEL = flags.DEFINE_list("model", [], "the .tflite files")
_BASELINES = flags.DEFINE_list("baselines", [], "known networks to measure beside them, see the list above")
_RESOLUTION = flags.DEFINE_integer("resolution", 224, "image side of the baselines in pixels", 32, 1024)
_PRECISION = flags.DEFINE_enum("precision", "float32", list(PRECISIONS), "precision of the baselines")
_THREADS = flags.DEFINE_integer("threads", 1, "threads of the interpreter", lower_bound=1)
_RUNS = flags.DEFINE_integer("runs", 50, "at least this many runs are timed", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 1.0, "and for at least this many seconds, at most 60", 0.0, 60.0)
_OP_PROFILING = flags.DEFINE_bool("op_profiling", False, "on a phone, time each operation, too")
_OUTPUT = flags.DEFINE_string("output", None, "a JSON file for the result, none unless given")

_SHOWN_OPERATIONS = 5


def main(argv):
    del argv
    from ofa_tf.common import check_writable, write_json

    if not _MODEL.value and not _BASELINES.value:
        raise InputError("nothing to measure; give the paths of .tflite files (--model) or --baselines")
    if _OUTPUT.value:
        check_writable(_OUTPUT.value)
    baselines = _baselines()
    names = {path: path for path in _MODEL.value} | {path: file.name for path, file in baselines.items()}
    measured, errors, lost = {}, [], None

    def show(measurement) -> None:
        if measurement.latency is None:
            errors.append(f"{names[measurement.name]}: {measurement.error}")
        else:
            # Kept first: whoever sees it may press Ctrl-C.
            measured[measurement.name] = _figures(measurement)
            _print(measurement, names[measurement.name])

    opened = device_flags.open_device(
        _DEVICE.value, threads=_THREADS.value, runs=_RUNS.value, seconds=_SECONDS.value, profile=_OP_PROFILING.value
    )
    with opened as device:
        try:
            device.measure([(path, pathlib.Path(path)) for path in names], show)
        except (OfaError, KeyboardInterrupt) as error:
            # The device is lost, a file cannot be run, or Ctrl-C; what was measured is written all the same.
            lost = error
        versions = device.describe()
    # Without a measurement, what an earlier command wrote there stays.
    if _OUTPUT.value and measured:
        result = {"unit": "ms", "device": _DEVICE.value, "threads": _THREADS.value, "versions": versions}
        models = {path: figures for path, figures in measured.items() if path not in baselines}
        known = [
            {**file.to_dict(measured[path]["median_ms"]), **measured[path]}
            for path, file in baselines.items()
            if path in measured
        ]
        write_json(_OUTPUT.value, {**result, "models": models, "baselines": known})
    if isinstance(lost, KeyboardInterrupt):
        print(*errors, sep="\n", end="\n" if errors else "", file=sys.stderr)
        raise lost
    if lost is not None:
        errors.append(str(lost))
    if errors:
        raise (InputError if isinstance(lost, InputError) else OfaError)("; ".join(errors))


def _baselines() -> dict:
    """The files of the known networks, by path."""
    if not _BASELINES.value:
        return {}
    from ofa_tf.devices.baselines import baseline_file, check_names

    check_names(_BASELINES.value)
    files = [baseline_file(name, _RESOLUTION.value, _PRECISION.value) for name in _BASELINES.value]
    return {str(file.path): file for file in files}


def _print(measurement, name: str) -> None:
    latency, model_bytes = measurement.latency, pathlib.Path(measurement.name).stat().st_size
    p95 = "unknown" if latency.p95_ms is None else f"{latency.p95_ms:.4f}"
    print(
        f"{name}: {latency.median_ms:.4f} ms (p95 {p95}, std {latency.std_ms:.4f}, {latency.count} runs), "
        f"{model_bytes / 1000:.1f} KB, {measurement.state}{', hot' if measurement.hot else ''}",
        flush=True,
    )
    for it in sorted(measurement.operations, key=lambda it: -it.mean_ms)[:_SHOWN_OPERATIONS]:
        print(f"    {it.mean_ms:.4f} ms {it.node_type} {it.name}", flush=True)


def _figures(measurement) -> dict:
    """What the file has of a measurement."""
    operations = [dataclasses.asdict(it) for it in measurement.operations]
    return {
        **measurement.facts,
        **measurement.latency.to_dict(),
        "model_bytes": pathlib.Path(measurement.name).stat().st_size,
        "hot": measurement.hot,
        **({"operations": operations} if operations else {}),
    }


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
