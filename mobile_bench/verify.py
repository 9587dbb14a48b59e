"""Measures random whole networks and says how well a latency table predicts them.

    python -m mobile_bench.verify --table=host_int8.json --space=ofa_tiny --output=verification.json

Writes the JSON file, and beside it a plot of predicted against measured latencies (.png). With --correct=8, eight other
networks are measured too, a line from sums of blocks to networks is fitted on them, and the table is written anew with
this correction inside; the comparison uses it.
"""

import pathlib

from absl import flags

from ofa_tf.common import cli

_TABLE = flags.DEFINE_string("table", None, "the latency table, from mobile_bench.build_latency_table", required=True)
_SPACE = flags.DEFINE_string("space", None, "name of the space it was measured for", required=True)
_NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "outputs of the classifier; the space's own unless given")
_NETWORKS = flags.DEFINE_integer("networks", 30, "how many networks are compared", lower_bound=2)
_CORRECT = flags.DEFINE_integer("correct", 0, "how many others the correction is fitted on, 0 for none", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 0, "of the networks that are drawn")
_OUTPUT = flags.DEFINE_string("output", None, "the result to write (.json)", required=True)


def main(argv):
    del argv
    from ofa_tf import spaces
    from ofa_tf.common import write_json
    from ofa_tf.predictors.latency_table import LatencyTable

    space = spaces.get(_SPACE.value, _NUM_CLASSES.value)
    table = LatencyTable.load(_TABLE.value)

    from mobile_bench.verification import plot, verify_table

    verification, corrected = verify_table(
        table, space, networks=_NETWORKS.value, correct=_CORRECT.value, seed=_SEED.value
    )
    if _CORRECT.value:
        corrected.save(_TABLE.value)
    write_json(_OUTPUT.value, verification.to_dict())
    plot(verification, pathlib.Path(_OUTPUT.value).with_suffix(".png"), f"{space.name}, {table.precision}")
    print(verification.summary())


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
