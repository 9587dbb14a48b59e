"""The whole path on real images, in one process: train, measure this machine, search, export, report.

    python -m tools.demo
    python -m tools.demo --notraining

Begins with a supernet that ships: fits a classifier to a few photos, measures this machine, searches, calibrates and
exports an int8 TFLite file, and classifies photos with it, all without training (`--notraining` ends here). Then trains
a once-for-all network of the tiny space on scikit-learn's handwritten digits by progressive shrinking, collects
accuracies and fits their predictor, and specializes at three latency budgets of this machine; each result is compared
with random sub-networks on test images that no decision saw. Ends with `report.html` in the run directory. An
interrupted demo continues where it stopped.
"""

import pathlib
import time

from absl import flags

from ofa_tf.common import cli
from ofa_tf.configs import FIELDS

_RUN_DIR = flags.DEFINE_string("run_dir", "runs/demo", "where everything is written")
_CONFIG = cli.define_config("ofa_tf/configs/digits.py", "the experiment", FIELDS)
_PAIRS = flags.DEFINE_integer("pairs", 160, "sub-networks measured for the accuracy predictor", lower_bound=20)
_SEED = flags.DEFINE_integer("seed", 0, "of search and random choices", lower_bound=0)
_TRAINING = flags.DEFINE_bool("training", True, "whether the part that trains follows")


def main(argv):
    """Runs the demo."""
    del argv
    began = time.monotonic()
    from .demonstration import demonstrate, specialize_shipped

    specialize_shipped(pathlib.Path(_RUN_DIR.value) / "shipped", _SEED.value)
    if not _TRAINING.value:
        return
    demonstrate(_RUN_DIR.value, _CONFIG.value.to_dict(), pairs=_PAIRS.value, seed=_SEED.value)
    print(f"the demo took {time.monotonic() - began:.0f} s")


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
