"""Searched sub-networks of a supernet against random ones under the same limits of MACs, on the validation split.

    python -m benchmarks.searched_against_random --run_dir=RUN --pairs=RUN/accuracy.jsonl --output=search.json

A predictor is fitted to the pairs (tools.collect_accuracy). At each limit the searched sub-network with the best
prediction is calibrated and evaluated, and so are --count random ones within the limit. The best of those on the
validation split is a maximum that nobody could choose beforehand without as many evaluations; the one that the
predictor would choose stands beside it.
"""

from absl import flags

from ofa_tf.common import cli
from tools import source_flags

_SOURCE = source_flags.define()
_PAIRS = flags.DEFINE_string("pairs", None, "the file of tools.collect_accuracy", required=True)
_SHARES = flags.DEFINE_list(
    "shares", ["0.25", "0.5", "0.75"], "the limits, between the smallest (0) and the largest sub-network (1), log scale"
)
_COUNT = flags.DEFINE_integer("count", 30, "random sub-networks at each limit", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "of the fit, the search and the random choice", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Searches, draws, evaluates and prints."""
    del argv
    from ofa_tf.common import write_json
    from ofa_tf.predictors import AccuracyPredictor, PairsFile
    from ofa_tf.search import Constraint, evolutionary_search, random_search
    from ofa_tf.specialize import open_source

    opened = open_source(**_SOURCE.values())
    space = opened.net.space
    archs, accuracies = PairsFile(_PAIRS.value).accuracies()
    predictor = AccuracyPredictor.fit(space, archs, accuracies, seed=_SEED.value)
    tau = predictor.metrics["kendall_tau"]
    print(f"predictor of {len(archs)} pairs: Kendall tau {tau:.3f} on the fifth it was not fitted to", flush=True)
    known = set(archs)
    smallest, largest = (space.count_macs(arch) for arch in (space.smallest(), space.largest()))
    rows = []
    for share in map(float, _SHARES.value):
        limit = Constraint("macs", smallest * (largest / smallest) ** share)
        found = evolutionary_search(space, predictor, limit, seed=_SEED.value).top(1)[0]
        drawn = random_search(space, limit, _COUNT.value, accuracy_predictor=predictor, seed=_SEED.value)
        tops = [opened.evaluator.evaluate(each.arch, split="validation").top1 for each in (found, *drawn)]
        rows.append(
            {
                "max_macs": limit.limit,
                "arch": found.arch.to_dict(),
                "macs": found.costs["macs"],
                # A sub-network that the predictor was fitted to is known, not predicted.
                "among_pairs": found.arch in known,
                "predicted_top1": found.predicted_top1,
                "searched_top1": tops[0],
                "random": len(drawn),
                "searched_among_random": found.arch in {each.arch for each in drawn},
                "best_random_top1": max(tops[1:]),
                "predicted_best_random_top1": tops[1],
                "median_random_top1": sorted(tops[1:])[len(drawn) // 2],
            }
        )
        print(
            f"at most {limit.limit / 1e6:.2f} million MACs: searched {100 * tops[0]:.2f}% (predicted "
            f"{100 * found.predicted_top1:.2f}%), best of {len(drawn)} random {100 * max(tops[1:]):.2f}%, the one "
            f"of them that the predictor chooses {100 * tops[1]:.2f}%",
            flush=True,
        )
    if _OUTPUT.value:
        write_json(
            _OUTPUT.value,
            {
                "space": space.name,
                "source": dict(opened.digests),
                "pairs": len(archs),
                "predictor": dict(predictor.metrics),
                "rows": rows,
            },
        )


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
