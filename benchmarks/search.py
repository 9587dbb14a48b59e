"""Search against the reference: the published predictor and Note10 table, eight limits, five seeds each.

    python -m benchmarks.search --official=DIR --output=benchmarks/results/search.json

For each limit: the best and the worst predicted top-1 of the seeds, the reference's, and the seconds of a run; then the
front of one Pareto run (five seeds) at the same limits. The published predictor is a PyTorch file: torch must be
installed. Where pymoo is installed, its NSGA-II is given the same problem and the same number of evaluations.
"""

import time

from absl import flags

from ofa_tf.common import cli

_OFFICIAL = flags.DEFINE_string(
    "official", None, "the folder with ofa/acc_predictor.pth and ofa/note10/", required=True
)
_SEEDS = flags.DEFINE_integer("seeds", 5, "runs for each limit", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

RESOLUTIONS = (160, 176, 192, 208, 224)
# Best predicted top-1 of the authors' own search (package `ofa`): 100 architectures, 500 generations.
REFERENCE = {15: 0.7854, 20: 0.8065, 25: 0.8181, 30: 0.8244, 35: 0.8313, 40: 0.8391, 50: 0.8444, 60: 0.8503}


def main(argv):
    """Runs and prints."""
    del argv
    import pathlib

    import numpy as np

    from ofa_tf import interop
    from ofa_tf.common import write_json
    from ofa_tf.search import Constraint, evolutionary_search, pareto_search

    folder = pathlib.Path(_OFFICIAL.value) / "ofa"
    predictor = interop.load_ofa_accuracy_predictor(folder / "acc_predictor.pth")
    table = interop.load_ofa_latency_table(folder / "note10")
    space = predictor.space
    single = {}
    for limit, reference in REFERENCE.items():
        runs, seconds = [], []
        for seed in range(_SEEDS.value):
            began = time.perf_counter()
            constraint = Constraint("latency_ms", limit, predictor=table)
            result = evolutionary_search(space, predictor, constraint, seed=seed, resolutions=RESOLUTIONS)
            seconds.append(time.perf_counter() - began)
            runs.append(result.predicted_top1)
        single[limit] = {
            "reference": reference,
            "best": max(runs),
            "median": float(np.median(runs)),
            "worst": min(runs),
            "median_seconds": float(np.median(seconds)),
        }
        print(f"{limit:3d} ms", {key: round(value, 4) for key, value in single[limit].items()}, flush=True)
    highest = Constraint("latency_ms", max(REFERENCE), predictor=table)
    fronts = []
    for seed in range(_SEEDS.value):
        began = time.perf_counter()
        front = pareto_search(space, predictor, highest, seed=seed, resolutions=RESOLUTIONS)
        fronts.append(_compared(front, single) | {"seconds": time.perf_counter() - began, "evaluated": front.evaluated})
        print("front", fronts[-1], flush=True)
    result = {
        "single": single,
        "median_seconds": float(np.median([line["median_seconds"] for line in single.values()])),
        "fronts": fronts,
        "nsga2": _nsga2(space, predictor, table, single, fronts[0]["evaluated"]),
    }
    print("median run", round(result["median_seconds"], 2), "s; NSGA-II", result["nsga2"])
    if _OUTPUT.value:
        write_json(_OUTPUT.value, result)


def _compared(front, single) -> dict:
    """How far the front lies below the single runs at the same limits, in points (negative: above)."""
    found = {limit: front.best(limit).predicted_top1 for limit in single}
    return {
        "points_below_best": {limit: 100 * (single[limit]["best"] - found[limit]) for limit in single},
        "worst_below_best": max(100 * (single[limit]["best"] - found[limit]) for limit in single),
        "worst_below_median": max(100 * (single[limit]["median"] - found[limit]) for limit in single),
    }


def _nsga2(space, predictor, table, single, evaluations: int):
    """pymoo's NSGA-II on the same rows, or why it was not run."""
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.ux import UniformCrossover
        from pymoo.operators.mutation.pm import PolynomialMutation
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.optimize import minimize
    except ImportError:
        return "pymoo is not installed"
    import numpy as np

    from ofa_tf.search import Candidate, ParetoFront
    from ofa_tf.spaces.population import canonical_rows, decode, evaluate

    small = space.replace(resolutions=RESOLUTIONS)
    costs = table.compile(small)
    highest = [*(len(gene.choices) - 1 for gene in small.genes), len(RESOLUTIONS) - 1]

    class _Problem(Problem):
        def __init__(self):
            super().__init__(n_var=len(highest), n_obj=2, n_ieq_constr=1, xl=0, xu=np.array(highest), vtype=int)

        def _evaluate(self, x, out):
            rows = canonical_rows(small, x.astype(np.int32))
            latency = evaluate(costs, rows)
            out["F"] = np.stack([-predictor.predict_rows(small, rows), latency], axis=1)
            out["G"] = latency[:, None] - max(single)

    population = 400
    algorithm = NSGA2(
        pop_size=population,
        sampling=IntegerRandomSampling(),
        crossover=UniformCrossover(repair=RoundingRepair()),
        mutation=PolynomialMutation(prob=1.0, eta=3, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    began = time.perf_counter()
    found = minimize(_Problem(), algorithm, ("n_gen", evaluations // population), seed=1, verbose=False)
    seconds = time.perf_counter() - began
    rows = canonical_rows(small, np.atleast_2d(found.X).astype(np.int32))
    latencies, accuracies = evaluate(costs, rows).tolist(), predictor.predict_rows(small, rows).tolist()
    points = zip(decode(small, rows), accuracies, latencies, strict=True)
    front = ParetoFront.of([Candidate(arch, top1, {"latency_ms": ms}) for arch, top1, ms in points], "latency_ms")
    if front.candidates[0].costs["latency_ms"] > min(single):
        return {"seconds": seconds, "front_begins_at_ms": front.candidates[0].costs["latency_ms"]}
    return _compared(front, single) | {"seconds": seconds, "evaluated": evaluations}


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
