"""What measuring blocks on a phone costs besides running them, on the loopback phone of the tests.

    python -m benchmarks.phone_overhead --output=benchmarks/results/phone_overhead.json

The int8 blocks of ofa_tiny, again and again under new names until there are 500, at 50 runs and 0.1 s each, warmed up
for 0.05 s. What is counted as benchmarking is the runs themselves: the tool's start, loading models, pushes, readings
of the temperature and adb are the rest, which is asked to be at most 0.15 s a block. Conversion is done before. On a
busy machine the rest waits for a processor; how much time of a processor it takes, waiting left out, is told, too.
"""

import os
import time

from absl import flags

from ofa_tf.common import cli

_BLOCKS = flags.DEFINE_integer("blocks", 500, "how many are measured", lower_bound=1)
_DISTINCT = flags.DEFINE_integer("distinct", 40, "how many different models there are among them", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Measures and prints."""
    del argv
    import pathlib
    import tempfile

    from mobile_bench.benchmark_binary import find_binary
    from mobile_bench.benchmark_options import BenchmarkOptions
    from mobile_bench.block_models import model_bytes
    from mobile_bench.phone import Phone
    from ofa_tf import spaces
    from ofa_tf.common import write_json
    from ofa_tf.spaces.population import distinct_blocks
    from tests.phone.adb_server import AdbServer
    from tests.phone.loopback_phone import LoopbackPhone

    space = spaces.get("ofa_tiny")
    distinct = [model_bytes([block], "int8") for block in distinct_blocks(space)[: _DISTINCT.value]]
    models = [(f"block {index}", distinct[index % len(distinct)]) for index in range(_BLOCKS.value)]
    options = BenchmarkOptions()
    with (
        AdbServer() as server,
        LoopbackPhone() as phone,
        server.connected(phone),
        tempfile.TemporaryDirectory() as folder,
    ):
        binary = find_binary(phone.abi, phone.write_tool(pathlib.Path(folder) / "benchmark_model"))
        start, processor_start = time.perf_counter(), _processor_seconds()
        with Phone(server.adb.device(phone.serial), binary, options) as session:
            measured = session.measure(models)
        seconds, processor = time.perf_counter() - start, _processor_seconds() - processor_start
    outputs = [measurement.output for measurement in measured if measurement.output is not None]
    running = sum(output.count * output.mean_ms / 1e3 + options.warmup_seconds for output in outputs)
    result = {
        "blocks": len(outputs),
        "failed": len(measured) - len(outputs),
        "seconds": seconds,
        "seconds_running": running,
        "overhead_seconds_per_block": (seconds - running) / len(models),
        "asked_seconds_per_block": 0.15,
        "processor_seconds_per_block": processor / len(models),
        "load_average": os.getloadavg()[0],
    }
    print(
        f"{len(outputs)} blocks in {seconds:.1f} s, of which {running:.1f} s are runs: "
        f"{result['overhead_seconds_per_block']:.3f} s a block besides, "
        f"{result['processor_seconds_per_block']:.3f} s of a processor (load {result['load_average']:.1f})"
    )
    if _OUTPUT.value:
        write_json(_OUTPUT.value, result)


def _processor_seconds() -> float:
    """Of this process and the phone's commands; not of the process that runs the models, which has not ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
