"""Measures .tflite files on a device.

    python -m mobile_bench.benchmark --device=host --model=largest.tflite,smallest.tflite --output=latency.json

Prints one line per file: median, 95th percentile, standard deviation, runs, partitions that XNNPACK took over.
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
    from ofa_tf.deploy.runner import Runner

    # A file that cannot be run is found before anything is measured.
    runners = [Runner(path, threads=_THREADS.value) for path in _MODEL.value]
    models = {}
    for runner in runners:
        timing = runner.time(_RUNS.value, _SECONDS.value)
        models[runner.source] = {
            **dataclasses.asdict(timing),
            "model_bytes": len(runner.model_bytes),
            "partitions": runner.partitions,
        }
        print(
            f"{runner.source}: {timing.median_ms:.4f} ms (p95 {timing.p95_ms:.4f}, std {timing.std_ms:.4f}, "
            f"{timing.count} runs), {len(runner.model_bytes) / 1000:.1f} KB, {runner.partitions} partitions"
        )
    if _OUTPUT.value:
        result = {"unit": "ms", "device": _DEVICE.value, "threads": _THREADS.value, "versions": host.describe()}
        write_json(_OUTPUT.value, {**result, "models": models})


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
