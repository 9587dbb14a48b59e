"""Measures .tflite files on a device.

    python -m mobile_bench.benchmark --device=host --model=largest.tflite,smallest.tflite --output=latency.json

Prints one line per file: median, 95th percentile, standard deviation, runs, partitions that XNNPACK took over.
Files are opened and timed in a process of their own: one that brings the interpreter down ends in one line, too.
With --baselines=mobilenet_v2,mobilenet_v3_small,mobilenet_v3_large,efficientnet_b0 these networks, with random weights,
are converted as ours are (once; the files are kept in ~/.cache/ofa_tf/baselines) and measured in the same way.
"""

from absl import flags

from ofa_tf.common import cli

_DEVICE = flags.DEFINE_string("device", "host", "what is measured; this version knows 'host', this machine")
_MODEL = flags.DEFINE_list("model", [], "the .tflite files")
_BASELINES = flags.DEFINE_list("baselines", [], "known networks to measure beside them, see mobile_bench/baselines.py")
_RESOLUTION = flags.DEFINE_integer("resolution", 224, "image side of the baselines in pixels", lower_bound=32)
_PRECISION = flags.DEFINE_string("precision", "float32", "precision of the baselines")
_THREADS = flags.DEFINE_integer("threads", 1, "threads of the interpreter")
_RUNS = flags.DEFINE_integer("runs", 50, "at least this many runs are timed", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 1.0, "and for at least so long", lower_bound=0.0)
_OUTPUT = flags.DEFINE_string("output", None, "a JSON file for the result, none unless given")


def main(argv):
    del argv
    from mobile_bench import host

    host.check_device(_DEVICE.value)

    import dataclasses

    from ofa_tf.common import InputError, write_json

    if not _MODEL.value and not _BASELINES.value:
        raise InputError("nothing to measure; give the paths of .tflite files (--model) or --baselines")
    from ofa_tf.deploy.foreign_file import open_foreign, open_foreign_files

    baselines = {}
    if _BASELINES.value:
        from mobile_bench.baselines import baseline_file, check_names

        check_names(_BASELINES.value)
        for name in _BASELINES.value:
            file = baseline_file(name, _RESOLUTION.value, _PRECISION.value)
            baselines[str(file.path)] = file
    paths = [*_MODEL.value, *baselines]
    # A file that cannot be run is found before anything is measured.
    for found in open_foreign_files(paths, threads=_THREADS.value):
        if isinstance(found, Exception):
            raise found
    models, references = {}, []
    for path in paths:
        found = open_foreign(path, threads=_THREADS.value, min_runs=_RUNS.value, min_seconds=_SECONDS.value)
        timing = found.timing
        measured = {
            **dataclasses.asdict(timing),
            "model_bytes": found.model_bytes,
            "partitions": found.partitions,
        }
        if path in baselines:
            references.append({**baselines[path].to_dict(timing.median_ms), **measured})
        else:
            models[path] = measured
        name = baselines[path].name if path in baselines else path
        print(
            f"{name}: {timing.median_ms:.4f} ms (p95 {timing.p95_ms:.4f}, std {timing.std_ms:.4f}, "
            f"{timing.count} runs), {found.model_bytes / 1000:.1f} KB, {found.partitions} partitions",
            flush=True,
        )
    if _OUTPUT.value:
        result = {"unit": "ms", "device": _DEVICE.value, "threads": _THREADS.value, "versions": host.describe()}
        write_json(_OUTPUT.value, {**result, "models": models, "baselines": references})


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
