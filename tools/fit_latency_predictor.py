"""Fits a latency predictor on measured networks, for devices where the latencies of blocks do not add up.

    python -m tools.fit_latency_predictor --pairs=pairs.jsonl --space=ofa_mbv3_d234_e346_k357_w1.0 \\
        --device="v100, batch 64" --output=v100_64.npz

Each line of the pairs is an object with the architecture (under "arch", or ks, e, d, w and r themselves) and
"latency_ms", a number, or an object of numbers by setting, of which `--setting` names one. 500 pairs are enough for a
space of 20 blocks. The output serves wherever a latency table does (`tools.search --latency_table=v100_64.npz`); it
answers for the resolutions that occur among the pairs. The errors that are printed were measured on a fifth of the
pairs, by a predictor that was fitted on the others.
"""

import json

from absl import flags

from ofa_tf.common import cli

_PAIRS = flags.DEFINE_string("pairs", None, "JSON lines of architectures and latencies", required=True)
_SPACE = flags.DEFINE_string("space", None, "the architectures' space, by name or as a .json file", required=True)
_NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "outputs of the classifier; the space's unless given")
_SETTING = flags.DEFINE_string("setting", None, "which of the latencies, where a line has several")
_COUNT = flags.DEFINE_integer("count", None, "use so many pairs, drawn at random; all unless given", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "of the draw and of the held-out pairs", lower_bound=0)
_DEVICE = flags.DEFINE_string("device", None, "what was measured, in words; the setting unless given")
_OUTPUT = flags.DEFINE_string("output", None, "the .npz file", required=True)


def main(argv):
    """Fits."""
    del argv
    import os

    import numpy as np

    from ofa_tf import spaces
    from ofa_tf.common import InputError, check_writable
    from ofa_tf.predictors import LatencyRegression, read_latency_pairs

    if not _OUTPUT.value.endswith(".npz"):
        # What reads it tells it from a table by that.
        raise InputError(f"--output={_OUTPUT.value}: expected a name that ends with .npz")
    check_writable(_OUTPUT.value)
    space = spaces.get(_SPACE.value, _NUM_CLASSES.value)
    archs, latencies_ms = read_latency_pairs(_PAIRS.value, space, setting=_SETTING.value)
    if _COUNT.value is not None:
        kept = np.random.default_rng(_SEED.value).permutation(len(archs))[: _COUNT.value]
        archs, latencies_ms = [archs[place] for place in kept], latencies_ms[kept]
    device = _DEVICE.value or _SETTING.value or os.path.basename(_PAIRS.value)
    source = {"source": os.path.basename(_PAIRS.value), "setting": _SETTING.value}
    regression = LatencyRegression.fit(space, archs, latencies_ms, device=device, seed=_SEED.value, provenance=source)
    regression.save(_OUTPUT.value)
    print(json.dumps({"device": device, "pairs": len(archs), **regression.metrics}))


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
