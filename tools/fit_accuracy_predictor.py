"""Fits the accuracy predictor to collected pairs, and reports its errors on pairs it was not fitted to.

python -m tools.fit_accuracy_predictor --pairs=RUN/accuracy.jsonl --output=RUN/predictor.npz
"""

import json

from absl import flags

from ofa_tf.common import cli

_PAIRS = flags.DEFINE_string("pairs", None, "the file of tools.collect_accuracy", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "the predictor's .npz file", required=True)
_SPLIT = flags.DEFINE_string("split", None, "of the pairs to fit to; the file's only one unless given")
_SEED = flags.DEFINE_integer("seed", 0, "of the fit and of the choice of held-out pairs", lower_bound=0)


def main(argv):
    """Fits."""
    del argv
    from ofa_tf.common import InputError, check_writable
    from ofa_tf.predictors import AccuracyPredictor, PairsFile
    from ofa_tf.predictors.accuracy_predictor import MIN_PAIRS

    check_writable(_OUTPUT.value)
    pairs = PairsFile(_PAIRS.value)
    archs, accuracies = pairs.ordered_accuracies(_SPLIT.value)
    _, measured = pairs.accuracies(_SPLIT.value)
    if len(archs) < MIN_PAIRS:
        raise InputError(f"{_PAIRS.value}: holds {len(archs)} pairs, expected at least {MIN_PAIRS}; collect more")
    predictor = AccuracyPredictor.fit(
        pairs.space, archs, accuracies, seed=_SEED.value, provenance={"source": _PAIRS.value}, measured=measured
    )
    predictor.save(_OUTPUT.value)
    print(json.dumps({"output": _OUTPUT.value, **predictor.metrics}))


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
