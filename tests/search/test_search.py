"""Searches find the best there is, stay inside every limit, and say what can be reached where nothing is."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.predictors import AccuracyPredictor, BlockLatency, LatencyCorrection, LatencyTable
from ofa_tf.search import Budget, Constraint, evolutionary_search, pareto_search, random_search
from ofa_tf.search.evolution import SeenRows
from ofa_tf.spaces import costs, population
from ofa_tf.spaces.costs import FILE_SIZES, ActivationMemory
from ofa_tf.spaces.population import feature_count
from tests.space_strategies import SHARED_WIDTH

TINY = spaces.get("ofa_tiny")
PUBLISHED = spaces.get("ofa_mbv3_d234_e346_k357_w1.0")
CORRECTION = LatencyCorrection(scale=1.1, offset_ms=0.2, networks=9, mape_before=9.0, mape_after=2.0)


def untrained(space, hidden=(64, 64), seed=0) -> AccuracyPredictor:
    """A predictor with random weights: a landscape with many hills."""
    rng = np.random.default_rng(seed)
    widths = (feature_count(space), *hidden, 1)
    layers = tuple(
        ((rng.standard_normal((a, b)) * np.sqrt(2 / a)).astype(np.float32), np.full(b, 0.1, np.float32))
        for a, b in itertools.pairwise(widths)
    )
    return AccuracyPredictor(space, layers)


def additive(space, seed=0) -> AccuracyPredictor:
    """A predictor whose best architecture can be known: a sum over choices."""
    weights = np.random.default_rng(seed).random((feature_count(space), 1)).astype(np.float32)
    return AccuracyPredictor(space, ((weights, np.zeros(1, np.float32)),))


def latencies(space, correction=None) -> LatencyTable:
    """A table in which time does not follow size."""
    times = {block.key: 0.02 + costs.macs(block) / 1e7 for block in population.distinct_blocks(space)}
    times = {key: time * (1 + 0.4 * np.sin(len(key) * 3.7 + index)) for index, (key, time) in enumerate(times.items())}
    blocks = {key: BlockLatency(time, time, 0.0, 50) for key, time in times.items()}
    return LatencyTable("host", "int8", 1, "form", blocks=blocks, correction=correction)


TABLES = {space.name: latencies(space, CORRECTION) for space in (TINY, SHARED_WIDTH)}


def costs_of(space, constraint, arch) -> float:
    """A constrained cost, counted architecture by architecture."""
    if constraint.kind == "latency_ms":
        return constraint.predictor.predict(space, [arch])[0]
    if constraint.kind == "macs":
        return space.count_macs(arch)
    params = space.count_params(arch)
    if constraint.kind == "params":
        return params
    size = FILE_SIZES[constraint.precision]
    return sum(map(size.block_bytes, space.blocks(arch))) + size.constant


@st.composite
def limits(draw) -> tuple[spaces.Space, list[Constraint]]:
    """One to three constraints that one architecture keeps at least, often hardly any other."""
    space = draw(st.sampled_from([TINY, SHARED_WIDTH]))
    slack = draw(st.sampled_from([1.0, 1.0001, 1.1, 2.0, 1e6]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inside = draw(st.sampled_from([space.smallest(), space.sample(rng)]))
    made = [
        Constraint("latency_ms", 1, predictor=TABLES[space.name]),
        Constraint("macs", 1),
        Constraint("params", 1),
        Constraint("model_bytes", 1, precision="float16"),
    ]
    chosen = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique_by=lambda c: c.kind))
    if inside != space.smallest():
        # The smallest architecture keeps them all in any case; with one constraint less, so does the random one.
        slack = max(slack, 1.1)
    return space, [
        dataclasses.replace(c, limit=slack * max(costs_of(space, c, inside), costs_of(space, c, space.smallest())))
        for c in chosen
    ]


@settings(max_examples=25)
@given(limits(), st.integers(0, 1000))
def test_nothing_outside_a_limit_is_ever_returned(case, seed):
    """However tight: limits at exactly what the smallest architecture takes are kept, not refused."""
    space, constraints = case
    predictor = untrained(space, (16,))
    result = evolutionary_search(space, predictor, constraints, population=20, generations=25, seed=seed)
    drawn = random_search(space, constraints, 5, seed=seed)
    for candidate in (*result.candidates, *drawn):
        assert space.canonical(candidate.arch) == candidate.arch
        for constraint in constraints:
            cost = costs_of(space, constraint, candidate.arch)
            assert cost <= constraint.limit
            assert candidate.costs[constraint.kind] == cost


def test_it_finds_the_best_of_all_architectures():
    """A space small enough to evaluate whole, under a limit that binds."""
    space = SHARED_WIDTH
    rows = population.random_rows(space, np.random.default_rng(0), 40_000)
    rows = np.unique(rows, axis=0)
    predictor = untrained(space)
    constraint = Constraint("macs", 6e5)
    table = constraint.compile(space)
    inside = rows[population.evaluate(table, rows) <= constraint.limit]
    best = predictor.predict_rows(space, inside).max()
    result = evolutionary_search(space, predictor, constraint, generations=100)
    assert 0.02 < len(inside) / len(rows) < 0.8, "the limit must bind"
    assert result.predicted_top1 >= best - 1e-6


def test_it_solves_what_can_be_solved_exactly():
    """Without limits, the best of an additive predictor is the best choice everywhere."""
    predictor = additive(PUBLISHED)
    result = evolutionary_search(PUBLISHED, predictor, [], generations=200)
    weights = predictor.layers[0][0][:, 0]
    best = weights[:120].reshape(40, 3).max(axis=1).sum() + weights[120:].max()
    assert result.predicted_top1 == pytest.approx(best, rel=0.002)


def test_search_beats_random_search():
    predictor = untrained(PUBLISHED, (100, 100))
    limit = Constraint("macs", 150e6)
    result = evolutionary_search(PUBLISHED, predictor, limit, generations=60)
    drawn = random_search(PUBLISHED, limit, 1000, accuracy_predictor=predictor)
    assert len({candidate.arch for candidate in drawn}) == 1000
    accuracies = [candidate.predicted_top1 for candidate in drawn]
    assert accuracies == sorted(accuracies, reverse=True)
    assert result.predicted_top1 > accuracies[0] + 2 * np.std(accuracies)


def test_result_is_repeatable_sorted_and_distinct():
    predictor, limit = untrained(TINY), Constraint("params", 1.5 * TINY.count_params(TINY.smallest()))
    first, again, other = (
        evolutionary_search(TINY, predictor, [limit], population=30, generations=40, seed=seed) for seed in (3, 3, 4)
    )
    assert first == again
    assert first.history != other.history
    accuracies = [candidate.predicted_top1 for candidate in first.candidates]
    assert accuracies == sorted(accuracies, reverse=True)
    assert len({candidate.arch for candidate in first.candidates}) == len(first.candidates) == 30
    assert first.top(3) == list(first.candidates[:3])
    assert (first.arch, first.predicted_top1) == (first.top(1)[0].arch, accuracies[0])
    np.testing.assert_allclose(
        predictor.predict(TINY, [candidate.arch for candidate in first.candidates]), accuracies, rtol=1e-5
    )
    assert list(first.history) == sorted(first.history)
    assert first.history[-1] == accuracies[0]


def test_no_architecture_is_evaluated_twice():
    asked = []

    class Recording:
        resolutions = TINY.resolutions

        def predict_rows(self, space, rows):
            asked.extend(map(tuple, rows.tolist()))
            return untrained(TINY).predict_rows(space, rows)

    result = evolutionary_search(TINY, Recording(), Constraint("macs", 2e6), population=30, generations=60)
    assert len(asked) == len(set(asked)) == result.evaluated


@pytest.mark.parametrize("kind", ["latency_ms", "macs", "params", "model_bytes"])
def test_a_limit_below_everything_names_the_smallest_value_and_that_value_works(kind):
    """What the error says can be typed back as it stands."""
    predictor = TABLES[TINY.name] if kind == "latency_ms" else None
    constraint = Constraint(kind, 1e-3, predictor=predictor)
    for search in (
        lambda limit: evolutionary_search(TINY, untrained(TINY), limit, generations=5),
        lambda limit: random_search(TINY, limit, 3),
    ):
        with pytest.raises(InputError, match=kind) as caught:
            search(constraint)
        assert "\n" not in str(caught.value)
        smallest = float(re.search(r"has ([\d.]+);", str(caught.value)).group(1))
        assert search(dataclasses.replace(constraint, limit=smallest))
        with pytest.raises(InputError, match=kind):
            search(dataclasses.replace(constraint, limit=0.9999 * smallest))


def test_limits_that_only_exclude_each_other_name_the_one_to_raise():
    """A slow small block against a fast large one: each limit can be kept, both cannot."""
    space = TINY
    by_params = {block.key: costs.params(block) for block in population.distinct_blocks(space)}
    blocks = {key: BlockLatency(1e3 / params, 1, 0, 50) for key, params in by_params.items()}
    slow_when_small = LatencyTable("host", "int8", 1, "form", blocks=blocks)
    fastest = Budget.compile(space, [Constraint("latency_ms", 1e9, predictor=slow_when_small)])
    fast_ms = fastest.costs(fastest.anchor[None])[0, 0]
    few = space.count_params(space.smallest())
    both = [Constraint("latency_ms", 1.01 * fast_ms, predictor=slow_when_small), Constraint("params", 1.01 * few)]
    for constraint in both:
        assert Budget.compile(space, constraint).inside(Budget.compile(space, constraint).anchor[None]).all()
    with pytest.raises(InputError, match=r"no architecture.*raise the limit of (latency_ms|params)"):
        evolutionary_search(space, untrained(space), both)


def test_joint_limits_are_met_where_neither_smallest_architecture_meets_both():
    """One limit asks for little work, the other is kept best by large blocks: the compromise must be found."""
    space = SHARED_WIDTH
    params = population.cost_table(space, costs.params).values
    slow_when_small = population.CostTable(space, params.max() - params)

    class Fixed:
        def compile(self, space, resolutions=None):
            return slow_when_small

    rows = population.random_rows(space, np.random.default_rng(0), 5000)
    values = population.evaluate_all([slow_when_small, population.cost_table(space, costs.macs)], rows)
    ratio = values / values.min(axis=0)
    latency_ms, macs = 1.1 * values[ratio.max(axis=1).argmin()]
    constraints = [Constraint("latency_ms", latency_ms, predictor=Fixed()), Constraint("macs", macs)]
    budget = Budget.compile(space, constraints)
    assert budget.inside(budget.anchor[None]).all()
    for alone in constraints:
        assert not budget.inside(Budget.compile(space, alone).anchor[None]).any(), "the limits must be in conflict"


def test_resolutions_default_to_those_the_predictor_knows():
    known = TINY.replace(resolutions=(24, 40))
    predictor = additive(known)
    found = evolutionary_search(TINY, predictor, [], population=20, generations=10)
    assert {candidate.arch.r for candidate in found.candidates} <= {24, 40}
    found = evolutionary_search(TINY, predictor, [], population=20, generations=10, resolutions=[24])
    assert {candidate.arch.r for candidate in found.candidates} == {24}
    for resolutions, message in (([32], "32"), ([33], "33"), ([], "none is given")):
        with pytest.raises(InputError, match=message):
            evolutionary_search(TINY, predictor, [], generations=2, resolutions=resolutions)
    with pytest.raises(InputError, match="knows resolutions"):
        evolutionary_search(TINY.replace(resolutions=(16,)), predictor, [])


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: Constraint("flops", 1), "'flops'"),
        (lambda: Constraint("macs", 0), "above 0"),
        (lambda: Constraint("macs", float("nan")), "nan"),
        (lambda: Constraint("macs", "9"), "'9'"),
        (lambda: Constraint("latency_ms", 9), "takes a predictor"),
        (lambda: Constraint("macs", 9, predictor=TABLES[TINY.name]), "takes no predictor"),
        (lambda: Constraint("model_bytes", 9, precision="int4"), "'int4'"),
        (lambda: evolutionary_search(TINY, additive(TINY), [], population=1), "population is 1"),
        (lambda: evolutionary_search(TINY, additive(TINY), [], generations=-1), "generations is -1"),
        (lambda: evolutionary_search(TINY, additive(TINY), [], mutation_ratio=1.5), "mutation_ratio is 1.5"),
        (lambda: evolutionary_search(PUBLISHED, additive(TINY), [], resolutions=(128,)), "ofa_tiny"),
        (lambda: evolutionary_search(TINY, additive(TINY), [Constraint("macs", 9e9)] * 2), "macs is given twice"),
        (lambda: random_search(TINY, [], 0), "count is 0"),
    ],
)
def test_bad_arguments_are_one_line_of_error(make, found):
    with pytest.raises(InputError, match=found) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_limits_of_peak_memory():
    """The figure of each candidate is exact and inside, beside other limits too; the smallest one named works."""
    space = spaces.get("ofa_mbv3_d234_e346_k357_w0.5").replace(resolutions=(96, 128))
    predictor = untrained(space, (8,))
    memory = ActivationMemory("int8")
    middle = memory.network_bytes(space.blocks(space.arch(e=3, r=128)))
    constraints = [Constraint("macs", 40e6), Constraint("peak_memory_bytes", middle, memory=memory)]
    for limits in (constraints, constraints[::-1], constraints[1:]):
        result = evolutionary_search(space, predictor, limits, population=20, generations=20)
        for candidate in [*result.candidates, *random_search(space, limits, 5)]:
            assert candidate.costs["peak_memory_bytes"] == memory.network_bytes(space.blocks(candidate.arch)) <= middle
    with pytest.raises(InputError, match="peak_memory_bytes of at most 1000 cannot be kept") as caught:
        evolutionary_search(space, predictor, Constraint("peak_memory_bytes", 1000, memory=memory))
    smallest = float(re.search(r" has ([\d.e+]+);", str(caught.value))[1])
    evolutionary_search(space, predictor, Constraint("peak_memory_bytes", smallest, memory=memory), generations=2)
    with pytest.raises(InputError, match="peak_memory_bytes takes a memory"):
        Constraint("peak_memory_bytes", 1000)


def test_model_bytes_fall_with_the_precision():
    """A whole network's file, larger than its parameters alone."""
    row = population.encode(TINY, [TINY.largest()])
    sizes = {}
    for precision in ("float32", "float16", "int8"):
        sizes[precision] = population.evaluate(Constraint("model_bytes", 1e9, precision=precision).compile(TINY), row)[
            0
        ]
    assert sizes["float32"] > sizes["float16"] > sizes["int8"] > TINY.count_params(TINY.largest())


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_seen_rows_are_given_once_in_order(seed, batches):
    """Against a plain set."""
    rng = np.random.default_rng(seed)
    seen, known = SeenRows(rng, 3), set()
    for _ in range(batches):
        rows = rng.integers(0, 4, (12, 3), dtype=np.int32)
        count = int(rng.integers(0, 13)) if rng.random() < 0.5 else None
        expected = [row for row in dict.fromkeys(map(tuple, rows.tolist())) if row not in known][:count]
        known |= set(expected)
        assert list(map(tuple, seen.new(rows, count).tolist())) == expected


def test_every_limit_of_peak_memory_that_can_be_kept_is_kept():
    """Tables give lower bounds of the peak: what is found below them alone is over the limit, here at every second."""
    space = spaces.get("ofa_mbv3_d234_e346_k357_w0.5")
    memory = ActivationMemory("int8", "fused-same")
    smallest = memory.network_bytes(space.blocks(dataclasses.replace(space.smallest(), r=96)))
    predictor = untrained(space)
    for limit in (smallest, smallest + 2000, 94_700, 133_000, 260_000):
        constraint = Constraint("peak_memory_bytes", limit, memory=memory)
        found = evolutionary_search(space, predictor, constraint, population=40, generations=20, resolutions=(96, 128))
        assert found.candidates
        for candidate in found.candidates:
            peak = memory.network_bytes(space.blocks(candidate.arch))
            assert peak == candidate.costs["peak_memory_bytes"] <= limit
    # As many as were asked for, though every second draw below the bounds is over the limit.
    for limit in (94_700, 133_000):
        constraint = Constraint("peak_memory_bytes", limit, memory=memory)
        assert len(random_search(space, constraint, 5, resolutions=(96, 128))) == 5
    with pytest.raises(InputError, match="peak_memory_bytes"):
        evolutionary_search(
            space, predictor, Constraint("peak_memory_bytes", smallest - 1, memory=memory), resolutions=(96, 128)
        )


@pytest.mark.parametrize(("form", "side", "limit"), [("fused-same", 64, 34_816), ("fused", 80, 84_864)])
def test_a_limit_of_peak_memory_is_used(form, side, limit):
    """Protects boards from the smallest network: bounds of most architectures here are below the limit, their peaks
    are not. What is found is better than random ones, and so is the end of the front."""
    space = spaces.get("ofa_micro")
    constraint = Constraint("peak_memory_bytes", limit, memory=ActivationMemory("int8", form))
    larger_is_better = _Larger(space)
    options = {"resolutions": (side,)}
    drawn = random_search(space, constraint, 50, accuracy_predictor=larger_is_better, **options)
    found = evolutionary_search(space, larger_is_better, constraint, population=40, generations=60, **options)
    assert found.predicted_top1 > drawn[0].predicted_top1
    front = pareto_search(space, larger_is_better, constraint, cells=4, children=40, generations=60, **options)
    assert front.candidates[-1].predicted_top1 > drawn[0].predicted_top1
    assert max(candidate.costs["peak_memory_bytes"] for candidate in front.candidates) <= limit
    least = Budget.compile(space, [constraint], (side,)).smallest_costs()[0]
    assert front.candidates[0].costs["peak_memory_bytes"] == least, "the front begins where the space does"


class _Larger:
    """An accuracy that grows with the multiply-accumulates."""

    def __init__(self, space):
        self.resolutions, self._macs = space.resolutions, population.cost_table(space, costs.macs)

    def predict_rows(self, space, rows):
        del space
        return 1 - np.exp(-population.evaluate(self._macs, rows) / 1e8)


class _LargerIsFaster:
    """A device on which fewer parameters take longer, so that limits of both are at odds."""

    def compile(self, space, resolutions=None):
        return population.cost_table(space, lambda block: 1e3 / costs.params(block), resolutions=resolutions)


def test_what_is_told_to_raise_is_enough():
    """Protects users of two limits: every one that is over is named, with values that the next search keeps."""
    space = spaces.get("ofa_micro")
    limits, said = {"params": 1.0, "latency_ms": 1e-6}, []
    for _ in range(6):
        constraints = [
            Constraint("params", limits["params"]),
            Constraint("latency_ms", limits["latency_ms"], predictor=_LargerIsFaster()),
        ]
        try:
            budget = Budget.compile(space, constraints)
        except InputError as error:
            said.append(str(error))
            alone = re.search(r"constraint: (\w+) of at most .* has ([\d.]+); raise", said[-1])
            told = [alone.groups()] if alone else re.findall(r"(\w+) to ([\d.]+)", said[-1])
            limits |= {kind: float(value) for kind, value in told}
        else:
            break
    assert any("each can be kept alone" in message for message in said)
    assert (budget.exact_costs(budget.anchor[None])[0] <= list(limits.values())).all()
