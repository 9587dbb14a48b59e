"""What measuring blocks on a phone costs besides running them, on the loopback phone of the tests.

    python -m benchmarks.phone_overhead --output=benchmarks/results/phone_overhead.json
    python -m benchmarks.phone_overhead --from_nothing --output=benchmarks/results/phone_table_cifar.json

The int8 blocks of ofa_tiny, again and again under new names until there are 500, at 50 runs and 0.1 s each, warmed up
for 0.05 s. What is counted as benchmarking is the runs themselves: the tool's start, loading models, pushes, readings
of the temperature and adb are the rest, which is asked to be at most 0.15 s a block. Conversion is done before. On a
busy machine the rest waits for a processor; how much time of a processor it takes, waiting left out, is told, too.

--from_nothing builds the whole table of a space instead (--space), with nothing converted before: asked to be at most
1 s a block besides the runs, warm-up and 0.1 s for each block. Those of the reference network, and of blocks
that were measured again because the machine was disturbed, are part of the rest.
"""

import contextlib
import os
import time

from absl import flags

from ofa_tf.common import cli

_BLOCKS = flags.DEFINE_integer("blocks", 500, "how many are measured", lower_bound=1)
_DISTINCT = flags.DEFINE_integer("distinct", 40, "how many different models there are among them", lower_bound=1)
_FROM_NOTHING = flags.DEFINE_bool("from_nothing", False, "convert, too")
_SPACE = flags.DEFINE_string("space", "ofa_cifar_m", "whose table is built from nothing")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Measures and prints."""
    del argv
    from ofa_tf.common import write_json

    result = _table_from_nothing() if _FROM_NOTHING.value else _many_blocks()
    result["load_average"] = os.getloadavg()[0]
    print(
        f"{result['blocks']} blocks in {result['seconds']:.1f} s, of which {result['seconds_running']:.1f} s are runs: "
        f"{result['overhead_seconds_per_block']:.3f} s a block besides, "
        f"{result['processor_seconds_per_block']:.3f} s of a processor (load {result['load_average']:.1f})"
    )
    if _OUTPUT.value:
        write_json(_OUTPUT.value, result)


@contextlib.contextmanager
def _phone():
    """A folder, a session to be entered, and the phone that it is on."""
    import pathlib
    import tempfile

    from ofa_tf.devices.benchmark_model import BenchmarkOptions, find_binary
    from ofa_tf.devices.phone import Phone
    from tests.phone.adb_server import AdbServer
    from tests.phone.loopback_phone import LoopbackPhone

    with (
        AdbServer() as server,
        LoopbackPhone() as phone,
        server.connected(phone),
        tempfile.TemporaryDirectory() as name,
    ):
        folder = pathlib.Path(name)
        binary = find_binary(phone.abi, phone.write_tool(folder / "benchmark_model"))
        yield folder, Phone(server.adb.device(phone.serial), binary, BenchmarkOptions()), phone


def _many_blocks() -> dict:
    from ofa_tf import spaces
    from ofa_tf.devices.block_models import model_bytes
    from ofa_tf.spaces.population import distinct_blocks

    space = spaces.get("ofa_tiny")
    distinct = [model_bytes([block], "int8") for block in distinct_blocks(space)[: _DISTINCT.value]]
    models = [(f"block {index}", distinct[index % len(distinct)]) for index in range(_BLOCKS.value)]
    with _phone() as (_, phone, _):
        start, processor_start = time.perf_counter(), _processor_seconds()
        with phone as session:
            measured = session.measure(models)
        seconds, processor = time.perf_counter() - start, _processor_seconds() - processor_start
    outputs = [measurement.facts for measurement in measured if measurement.latency is not None]
    running = sum(it["count"] * it["mean_ms"] / 1e3 + session.options.warmup_seconds for it in outputs)
    return {
        "blocks": len(outputs),
        "failed": len(measured) - len(outputs),
        "seconds": seconds,
        "seconds_running": running,
        "overhead_seconds_per_block": (seconds - running) / len(models),
        "asked_seconds_per_block": 0.15,
        "processor_seconds_per_block": processor / len(models),
    }


def _table_from_nothing() -> dict:
    from ofa_tf import spaces
    from ofa_tf.devices.block_models import ModelCache

    with _phone() as (folder, phone, loopback):
        start, processor_start = time.perf_counter(), _processor_seconds()
        with phone as session:
            cache, path = ModelCache(folder / "models"), folder / "table.json"
            table = session.build_table(spaces.get(_SPACE.value), "int8", path, cache=cache, progress=False)
        seconds, processor = time.perf_counter() - start, _processor_seconds() - processor_start
        models_run = len(loopback.models_run())
    blocks = len(table.blocks)
    options = session.options
    running = blocks * (options.warmup_seconds + options.min_seconds)
    return {
        "space": _SPACE.value,
        "blocks": blocks,
        "models_run": models_run,
        "drift": table.versions["drift"],
        "seconds": seconds,
        "seconds_running": running,
        "overhead_seconds_per_block": (seconds - running) / blocks,
        "asked_seconds_per_block": 1.0,
        "processor_seconds_per_block": processor / blocks,
    }


def _processor_seconds() -> float:
    """Of this process and the phone's commands; not of the process that runs the models, which has not ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
