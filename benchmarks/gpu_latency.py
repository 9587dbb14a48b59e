"""How well a latency predictor fitted on measured networks does, on four GPUs at three batch sizes.

    python -m benchmarks.gpu_latency --pairs=ofa_mbv3_gpu_latency_ms.jsonl \\
        --output=benchmarks/results/gpu_latency.json

For each setting: fitted on 500 pairs, the mean error in percent on all the others, for five draws of the 500.
"""

from absl import flags

from ofa_tf.common import cli

_PAIRS = flags.DEFINE_string("pairs", None, "JSON lines of architectures and latencies by setting", required=True)
_COUNT = flags.DEFINE_integer("count", 500, "pairs to fit on", lower_bound=20)
_SEEDS = flags.DEFINE_integer("seeds", 5, "draws of the pairs", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

SPACE = "ofa_mbv3_d234_e346_k357_w1.0"


def main(argv):
    """Fits and prints."""
    del argv
    import numpy as np

    from ofa_tf import spaces
    from ofa_tf.common import read_json_lines, write_json
    from ofa_tf.predictors import (
        LatencyRegression,
        holdout_metrics,
        mean_absolute_percentage_error,
        read_latency_pairs,
    )

    space = spaces.get(SPACE)
    settings = read_json_lines(_PAIRS.value, "latency pairs")[0]["latency_ms"]
    result = {}
    for setting in settings:
        archs, latencies_ms = read_latency_pairs(_PAIRS.value, space, setting=setting)
        errors, ranks = [], []
        for seed in range(_SEEDS.value):
            order = np.random.default_rng(seed).permutation(len(archs))
            used, left = order[: _COUNT.value], order[_COUNT.value :]
            fitted = LatencyRegression.fit(
                space, [archs[i] for i in used], latencies_ms[used], device=setting, holdout=0
            )
            predicted = fitted.predict(space, [archs[i] for i in left])
            errors.append(mean_absolute_percentage_error(predicted, latencies_ms[left]))
            ranks.append(holdout_metrics(predicted, latencies_ms[left])["kendall_tau"])
        result[setting] = {
            "mean_error_percent": float(np.mean(errors)),
            "worst_draw_percent": max(errors),
            "kendall_tau": float(np.mean(ranks)),
        }
        print(f"{setting:14s} {np.mean(errors):6.2f}% (worst draw {max(errors):.2f}%), tau {np.mean(ranks):.3f}")
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"pairs": _COUNT.value, "draws": _SEEDS.value, "settings": result})


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
