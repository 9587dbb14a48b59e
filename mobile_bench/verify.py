"""Measures whole networks and reports how well a latency table predicts them.

    python -m mobile_bench.verify --table=host_int8.json --space=ofa_tiny --output=verification.json
    python -m mobile_bench.verify --table=phone_int8.json --space=ofa_tiny --arch=arch.json --correct=8 \\
        --output=verification.json

They run where the table was measured: on this machine, or on the phone whose serial it has; --device says by what that
one is reached now. Random ones are compared, and those of --arch, for example what tools.search found.
Writes the JSON file, and beside it a plot of predicted against measured latencies (.png). With --correct=8, eight other
networks are measured too, a line from sums of blocks to networks is fitted on them, and the table is written anew with
this correction inside; the comparison uses it.
"""

import pathlib

from absl import flags

from ofa_tf.common import cli
from ofa_tf.devices import device_flags

_TABLE = flags.DEFINE_string("table", None, "the latency table, from mobile_bench.build_latency_table", required=True)
_DEVICE = flags.DEFINE_string("device", None, "'host', a phone's serial, ssh:USER@HOST; the table's unless given")
_SPACE = flags.DEFINE_string("space", None, "the space it was measured for, by name or as a .json file", required=True)
_NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "outputs of the classifier; the space's own unless given")
_NETWORKS = flags.DEFINE_integer("networks", 30, "how many random networks are compared", lower_bound=0)
_ARCH = flags.DEFINE_list("arch", [], "JSON files of architectures that are compared, too")
_CORRECT = flags.DEFINE_integer("correct", 0, "how many others the correction is fitted on, 0 for none", lower_bound=0)
_RUNS = flags.DEFINE_integer("runs", 50, "on a phone, at least this many runs a round are timed", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 0.1, "and for at least this many seconds, at most 60", 0.0, 60.0)
_SEED = flags.DEFINE_integer("seed", 0, "of the networks that are drawn")
_OUTPUT = flags.DEFINE_string("output", None, "the result to write (.json)", required=True)


def main(argv):
    del argv
    from ofa_tf import spaces
    from ofa_tf.common import InputError, check_writable, write_json
    from ofa_tf.predictors.latency_table import LatencyTable
    from ofa_tf.spaces import Arch

    output = pathlib.Path(_OUTPUT.value)
    picture = output.with_suffix(".png")
    if output == picture:
        raise InputError(f"--output={output}: is what the plot is called; give a name that ends in .json")
    check_writable(output)
    space = spaces.get(_SPACE.value, _NUM_CLASSES.value)
    table = LatencyTable.load(_TABLE.value)
    if _CORRECT.value:
        check_writable(_TABLE.value)
    archs = [Arch.load(path) for path in _ARCH.value]

    from ofa_tf.devices.verification import plot, verify_table

    name = table.device if _DEVICE.value is None else _DEVICE.value
    opened = device_flags.open_device(name, threads=table.threads, runs=_RUNS.value, seconds=_SECONDS.value)
    with opened as device:
        verification, corrected = verify_table(
            table, space, device, networks=_NETWORKS.value, correct=_CORRECT.value, archs=archs, path=_TABLE.value,
            seed=_SEED.value,
        )  # fmt: skip
    # First of all: whatever becomes of the files, it was measured.
    print(verification.summary(), flush=True)
    if _CORRECT.value:
        corrected.save(_TABLE.value)
    write_json(output, verification.to_dict())
    plot(verification, picture, f"{space.name}, {table.precision}")


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
