"""Measures .tflite files on a device.

    python -m mobile_bench.benchmark --device=host --model=largest.tflite,smallest.tflite --output=latency.json

Prints one line per file: median, 95th percentile, standard deviation, runs, partitions that XNNPACK took over. Files are
opened and timed in a process of their own: one that brings the interpreter down ends in one line, too.
"""

from absl import flags

from ofa_tf.common import cli

_DEVICE = flags.DEFINE_string("device", "host", "what is measured; this version knows 'host', this machine")
_MODEL = flags.DEFINE_list("model", None, "the .tflite files", required=True)
_THREADS = flags.DEFINE_integer("threads", 1, "threads of the interpreter")
_RUNS = flags.DEFINE_integer("runs", 50, "at least this many runs are timed", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 1.0, "and for at least so long", lower_bound=0.0)
_OUTPUT = flags.DEFINE_string("output", None, "a JSON file for the result, none unless given")


def main(argv):
    del argv
    from mobile_bench import host

    host.check_device(_DEVICE.value)

    import dataclasses

    from ofa_tf.common import write_json
    from ofa_tf.deploy.foreign_file import open_foreign, open_foreign_files

    # A file that cannot be run is found before anything is measured.
    for found in open_foreign_files(_MODEL.value, threads=_THREADS.value):
        if isinstance(found, Exception):
            raise found
    models = {}
    for path in _MODEL.value:
        found = open_foreign(path, threads=_THREADS.value, min_runs=_RUNS.value, min_seconds=_SECONDS.value)
        timing = found.timing
        models[path] = {
            **dataclasses.asdict(timing),
            "model_bytes": found.model_bytes,
            "partitions": found.partitions,
        }
        print(
            f"{path}: {timing.median_ms:.4f} ms (p95 {timing.p95_ms:.4f}, std {timing.std_ms:.4f}, "
            f"{timing.count} runs), {found.model_bytes / 1000:.1f} KB, {found.partitions} partitions",
            flush=True,
        )
    if _OUTPUT.value:
        result = {"unit": "ms", "device": _DEVICE.value, "threads": _THREADS.value, "versions": host.describe()}
        write_json(_OUTPUT.value, {**result, "models": models})


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
