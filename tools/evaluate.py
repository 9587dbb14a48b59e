"""Evaluates one sub-network of a trained run, after batch-norm calibration.

    python -m tools.evaluate --run_dir=RUN --arch=largest --split=validation --output=result.json
    python -m tools.evaluate --run_dir=RUN --arch=FILE.json --resolution=160 --data_dir=DIR --split=test
    python -m tools.evaluate --supernet=ofa_mbv3_w1.0.npz --arch=FILE.json --data_dir=imagenet --split=test

DIR holds `train/<class>/`, from which the calibration images come, and for `--split=test` also `test/<class>/` or
`val/<class>/`. Decisions are made on "validation", images that training never sees; "test" is for the final report
only. The result holds top1 and top5 (0..1), images, split and arch.
"""

import functools
import json
import sys

from absl import flags

from ofa_tf.common import cli
from ofa_tf.common.splits import FORMER_SPLITS, split_name

from . import source_flags

_SOURCE = source_flags.define()
_ARCH = flags.DEFINE_string("arch", None, "largest, smallest, native, or an architecture's JSON file", required=True)
_RESOLUTION = flags.DEFINE_integer("resolution", None, "image side in pixels; the architecture's unless given")
_SPLIT = flags.DEFINE_enum(
    "split",
    "validation",
    ["validation", "test", "train", *FORMER_SPLITS],
    "which images; holdout and val are the former names of validation and test",
)
_CALIBRATE = flags.DEFINE_bool(
    "calibrate",
    True,
    "recompute batch-norm statistics, but of a published network as it was; without, accuracy says little",
)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the result; printed in any case")


def main(argv):
    """Evaluates."""
    del argv
    from ofa_tf.common import check_writable, write_json

    from .opening import read_arch

    if _OUTPUT.value:
        check_writable(_OUTPUT.value)
    split = split_name(_SPLIT.value)
    if split != _SPLIT.value:
        print(f"note: --split={_SPLIT.value} is called {split} now", file=sys.stderr)
    opened = _SOURCE.open()
    arch = read_arch(opened.net.space, _ARCH.value, _RESOLUTION.value)
    # As its file will have it: a published network as it was keeps its own statistics.
    evaluate = opened.evaluate if _CALIBRATE.value else functools.partial(opened.evaluator.evaluate, calibrate=False)
    evaluation = evaluate(arch, split=split)
    # First of all: whatever becomes of the file, it was measured.
    print(json.dumps(evaluation.to_dict()), flush=True)
    if _OUTPUT.value:
        write_json(_OUTPUT.value, evaluation.to_dict())


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
