"""Measures .tflite files on a device.

    python -m mobile_bench.benchmark --device=host --model=largest.tflite,smallest.tflite --output=latency.json

Prints one line per file: median, 95th percentile, standard deviation, runs, and on this machine partitions that XNNPACK
took over. On a phone, named by its serial (python -m mobile_bench.devices), LiteRT's benchmark_model measures; a phone
that gets hot is waited for.
"""

from absl import flags

from mobile_bench import phone_flags
from ofa_tf.common import OfaError, cli

_DEVICE = flags.DEFINE_string("device", "host", "what is measured on: 'host', this machine, or a phone's serial")
_MODEL = flags.DEFINE_list("model", None, "the .tflite files", required=True)
_THREADS = flags.DEFINE_integer("threads", 1, "threads of the interpreter")
_RUNS = flags.DEFINE_integer("runs", 50, "at least this many runs are timed", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 1.0, "and for at least so long", lower_bound=0.0)
_OUTPUT = flags.DEFINE_string("output", None, "a JSON file for the result, none unless given")


def main(argv):
    del argv
    from mobile_bench import host
    from ofa_tf.common import write_json

    on_host = _DEVICE.value == host.DEVICE
    versions, models, errors = _on_host() if on_host else _on_phone()
    if _OUTPUT.value:
        result = {"unit": "ms", "device": _DEVICE.value, "threads": _THREADS.value, "versions": versions}
        write_json(_OUTPUT.value, {**result, "models": models})
    if errors:
        raise OfaError("; ".join(errors))


def _on_host() -> tuple[dict, dict, list[str]]:
    import dataclasses

    from mobile_bench import host
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
    return host.describe(), models, []


def _on_phone() -> tuple[dict, dict, list[str]]:
    import dataclasses
    import pathlib

    models, errors = {}, []

    def show(measurement) -> None:
        name, output = measurement.name, measurement.output
        if output is None:
            errors.append(f"{name}: {measurement.error}")
            return
        latency = measurement.block_latency()
        models[name] = {
            **dataclasses.asdict(output),
            **latency.to_dict(),
            "model_bytes": pathlib.Path(name).stat().st_size,
            "hot": measurement.hot,
            "battery_celsius": measurement.after.battery_celsius,
        }
        p95 = "unknown" if latency.p95_ms is None else f"{latency.p95_ms:.4f}"
        print(
            f"{name}: {latency.median_ms:.4f} ms (p95 {p95}, std {latency.std_ms:.4f}, {latency.count} runs), "
            f"{models[name]['model_bytes'] / 1000:.1f} KB, {measurement.after}{', hot' if measurement.hot else ''}"
        )

    session = phone_flags.phone_session(_DEVICE.value, threads=_THREADS.value, runs=_RUNS.value, seconds=_SECONDS.value)
    with session as phone:
        phone.measure([(path, pathlib.Path(path)) for path in _MODEL.value], show)
    return phone.describe(), models, errors


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
