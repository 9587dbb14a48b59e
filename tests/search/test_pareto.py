"""The whole front in one run: nothing on it is beaten, every limit is kept, and it reaches what single runs reach."""

import csv
import json

import numpy as np
import pytest

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.predictors import AccuracyPredictor, BlockLatency, LatencyCorrection, LatencyTable
from ofa_tf.search import Candidate, Constraint, ParetoFront, evolutionary_search, pareto_search, random_search
from ofa_tf.spaces import Arch, costs
from ofa_tf.spaces.population import distinct_blocks

SPACE = spaces.get("ofa_tiny")


@pytest.fixture(scope="module", name="predictor")
def _predictor():
    """Accuracy that grows with MACs, less and less; a little noise, so that equal MACs are not equally good."""
    rng = np.random.default_rng(0)
    archs = [SPACE.sample(rng) for _ in range(300)]
    macs = np.array([SPACE.count_macs(arch) for arch in archs])
    accuracies = 0.5 + 0.4 * (macs / macs.max()) ** 0.3 + 0.003 * rng.normal(size=len(archs))
    return AccuracyPredictor.fit(SPACE, archs, np.clip(accuracies, 0, 1), hidden=(64, 64), epochs=40, holdout=0)


@pytest.fixture(scope="module", name="front")
def _front(predictor):
    constraint = Constraint("macs", 3e6)
    return pareto_search(SPACE, predictor, constraint, children=200, generations=400)


def test_no_point_beats_another_and_all_keep_the_limit(front, predictor):
    """Costs and accuracies ascend together, and are those that the predictors give."""
    macs = [candidate.costs["macs"] for candidate in front.candidates]
    accuracies = [candidate.predicted_top1 for candidate in front.candidates]
    assert macs == sorted(set(macs))
    assert accuracies == sorted(set(accuracies))
    assert max(macs) <= 3e6
    assert len(macs) > 20
    archs = [candidate.arch for candidate in front.candidates]
    assert macs == [SPACE.count_macs(arch) for arch in archs]
    np.testing.assert_allclose(accuracies, predictor.predict(SPACE, archs), rtol=1e-6)


@pytest.mark.parametrize("limit", [5e5, 1e6, 2e6, 3e6])
def test_it_reaches_what_single_runs_reach(front, predictor, limit):
    """Within 0.1 points at every limit, in one run."""
    single = evolutionary_search(SPACE, predictor, Constraint("macs", limit), population=50, generations=100)
    assert front.best(limit).predicted_top1 >= single.predicted_top1 - 1e-3
    assert front.best(limit).costs["macs"] <= limit


def test_equal_seeds_give_equal_fronts(predictor):
    """And another limit is kept beside the axis."""
    constraints = [Constraint("macs", 2e6), Constraint("params", 60_000)]
    first, second = (
        pareto_search(SPACE, predictor, constraints, cells=8, children=50, generations=10, seed=3) for _ in range(2)
    )
    assert first == second
    assert all(candidate.costs["params"] <= 60_000 for candidate in first.candidates)


def test_what_cannot_be_searched(predictor):
    """No constraint, an unreachable one, a useless argument: one line each."""
    with pytest.raises(InputError, match="no constraint given"):
        pareto_search(SPACE, predictor, [])
    with pytest.raises(InputError, match="cannot be kept, the smallest architecture"):
        pareto_search(SPACE, predictor, Constraint("macs", 1))
    with pytest.raises(InputError, match="cells is 0"):
        pareto_search(SPACE, predictor, Constraint("macs", 3e6), cells=0)
    with pytest.raises(InputError, match="mutation_probability is"):
        pareto_search(SPACE, predictor, Constraint("macs", 3e6), mutation_probability=(0.5, 0.1))


def test_the_only_architecture_inside_is_a_front(predictor):
    """A limit that exactly one architecture keeps."""
    smallest = float(SPACE.count_macs(SPACE.smallest()))
    front = pareto_search(SPACE, predictor, Constraint("macs", smallest), cells=4, children=20, generations=2)
    assert [candidate.arch for candidate in front.candidates] == [SPACE.smallest()]
    with pytest.raises(InputError, match="the front begins at"):
        front.best(smallest - 1)


def test_a_device_whose_smallest_networks_are_predicted_to_take_less_than_nothing(predictor):
    """A line that was fitted to larger networks: the axis has a beginning, and the front its points."""
    blocks = {block.key: BlockLatency(costs.macs(block) / 1e5, None, 0.0, 10) for block in distinct_blocks(SPACE)}
    table = LatencyTable("host", "int8", 1, "form", blocks=blocks)
    smallest, largest = table.predict(SPACE, [SPACE.smallest(), SPACE.largest()])
    line = LatencyCorrection(1.0, -2 * float(smallest), 9, 1.0, 1.0)
    constraint = Constraint("latency_ms", float(largest), predictor=table.with_correction(line))
    front = pareto_search(SPACE, predictor, constraint, children=50, generations=40)
    assert len(front.candidates) > 20


def test_files(front, tmp_path):
    """JSON comes back equal; CSV holds the same; a damaged file is named."""
    path = tmp_path / "front.json"
    front.save(path)
    assert ParetoFront.load(path) == front
    front.save_csv(tmp_path / "front.csv")
    with (tmp_path / "front.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [Arch.from_json(line["arch"]) for line in lines] == [point.arch for point in front.candidates]
    assert [float(line["macs"]) for line in lines] == [point.costs["macs"] for point in front.candidates]
    value = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**value, "points": value["points"][::-1]}), encoding="utf-8")
    assert ParetoFront.load(path) == front, "in whatever order"
    infinite = [{**value["points"][0], "macs": float("nan")}]
    damage = {"format": "x"}, {"points": []}, {"points": [{}]}, {"points": 3}, {"kind": "latency_ms"}
    for change in (*damage, {"points": infinite}):
        path.write_text(json.dumps({**value, **change}), encoding="utf-8")
        with pytest.raises(InputError, match=r"front\.json: "):
            ParetoFront.load(path)


def test_the_front_of_given_candidates():
    """What is beaten is dropped, also at equal cost."""
    arch = SPACE.smallest()
    given = [Candidate(arch, top1, {"macs": cost}) for top1, cost in ((0.5, 2), (0.6, 2), (0.4, 1), (0.3, 1.5))]
    assert [(c.predicted_top1, c.costs["macs"]) for c in ParetoFront.of(given, "macs").candidates] == [
        (0.4, 1),
        (0.6, 2),
    ]
    for useless in ([], random_search(SPACE, Constraint("macs", 1e9), 2)):
        with pytest.raises(InputError, match="pareto front: "):
            ParetoFront.of(useless, "macs")
