"""Fits the accuracy predictor that ships for the published w1.0 space, and says how good it is.

    python -m benchmarks.shipped_predictor --pairs=ofa_mbv3_w1.0_imagenet_top1.jsonl \\
        --output=ofa_tf/zoo/accuracy_predictors/ofa_mbv3_d234_e346_k357_w1.0.npz

The pairs are sub-networks of the published supernet with measured ImageNet top-1 (percent) at 224 pixels. Five-fold:
every pair is predicted by a predictor that was fitted on the other four fifths. Figures go to
benchmarks/results/shipped_predictor.json.
"""

import pathlib

from absl import flags

from ofa_tf.common import cli

_PAIRS = flags.DEFINE_string("pairs", None, "JSON lines with ks, e, d, r and top1 in percent", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "the .npz to ship; only the figures unless given")
_RESULT = flags.DEFINE_string("result", "benchmarks/results/shipped_predictor.json", "the figures")

SPACE = "ofa_mbv3_d234_e346_k357_w1.0"
FOLDS = 5
# 400 units, as published, fit no better (0.087 points) and make the file twice as large.
HIDDEN = (256, 256, 256)
SOURCE = "sub-networks of the published w1.0 supernet, ImageNet top-1 from the search logs of DyNAS-T (Apache-2.0)"


def main(argv):
    """Fits."""
    del argv
    import numpy as np

    from ofa_tf import spaces
    from ofa_tf.common import file_sha256, read_json_lines, write_json
    from ofa_tf.predictors import AccuracyPredictor, holdout_metrics
    from ofa_tf.spaces import Arch

    lines = read_json_lines(_PAIRS.value, "pairs")
    space = spaces.get(SPACE)
    archs = [space.canonical(Arch.from_json({key: line[key] for key in ("ks", "e", "d", "r")})) for line in lines]
    accuracies = np.array([line["top1"] for line in lines]) / 100
    order = np.random.default_rng(0).permutation(len(archs))
    predicted = np.zeros(len(archs))
    for fold in range(FOLDS):
        rest = np.setdiff1d(order, order[fold::FOLDS])
        predictor = AccuracyPredictor.fit(
            space, [archs[place] for place in rest], accuracies[rest], hidden=HIDDEN, holdout=0, costs=False
        )
        predicted[order[fold::FOLDS]] = predictor.predict(space, [archs[place] for place in order[fold::FOLDS]])
    metrics = holdout_metrics(predicted, accuracies) | {"folds": FOLDS}
    predictor = AccuracyPredictor.fit(space, archs, accuracies, hidden=HIDDEN, holdout=0, costs=False)
    result = {
        "rmse_points": metrics["rmse"] * 100,
        "kendall_tau": metrics["kendall_tau"],
        "pairs": len(archs),
        "folds": FOLDS,
        "top1_percent": [accuracies.min() * 100, accuracies.max() * 100],
        "resolutions": list(predictor.resolutions),
    }
    if _OUTPUT.value:
        AccuracyPredictor(
            predictor.space,
            predictor.layers,
            metrics,
            predictor.provenance
            | {
                "source": SOURCE,
                "sha256": file_sha256(_PAIRS.value),
                "command": "python -m benchmarks.shipped_predictor",
            },
            trusted=(float(accuracies.min()), float(accuracies.max())),
        ).save(_OUTPUT.value)
        result["bytes"] = pathlib.Path(_OUTPUT.value).stat().st_size
    write_json(_RESULT.value, result)
    print(result)


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
