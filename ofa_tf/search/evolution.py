"""Evolutionary search over predictors, vectorised over the population."""

import dataclasses
import itertools
import numbers
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import threadpoolctl

from ofa_tf.common import InputError
from ofa_tf.common.config import check_whole
from ofa_tf.search.budget import Budget, Candidate, candidates
from ofa_tf.search.constraint import Constraint
from ofa_tf.spaces import Arch, Space
from ofa_tf.spaces.population import active_columns, canonical_rows


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The best architectures inside the limits.

    Args:
        candidates: distinct architectures, the best predicted accuracy first; at most the population.
        history: the best predicted accuracy so far, 0..1, after each initial population and each generation.
        evaluated: how many different architectures were given to the accuracy predictor.

    Example:
        result = evolutionary_search(space, predictor, [Constraint("macs", 200e6)])
        result.arch, result.predicted_top1, result.costs["macs"]
    """

    candidates: tuple[Candidate, ...]
    history: tuple[float, ...]
    evaluated: int

    @property
    def arch(self) -> Arch:
        """The best architecture."""
        return self.candidates[0].arch

    @property
    def predicted_top1(self) -> float:
        """Its top-1 as predicted, 0..1."""
        return self.candidates[0].predicted_top1

    @property
    def costs(self) -> Mapping[str, float]:
        """Its predicted cost for each constraint, by kind."""
        return self.candidates[0].costs

    def top(self, count: int) -> list[Candidate]:
        """The best `count` different architectures, fewer where the search found fewer."""
        return list(self.candidates[:count])


class SeenRows:
    """A growing set of rows, kept as 64-bit hashes."""

    def __init__(self, rng: np.random.Generator, columns: int):
        # Odd factors are invertible modulo 2^64: rows that differ in one column never collide.
        self._factors = rng.integers(1 << 63, size=columns, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._hashes: set[int] = set()

    def new(self, rows: np.ndarray, count: int | None = None) -> np.ndarray:
        """The first `count` (all for None) of the rows that were never given before, each once.

        They count as seen from now on; what exceeds `count` does not.
        """
        # Several times faster than sorted arrays for the few hundred rows of a generation.
        indices = []
        for index, row_hash in enumerate((rows.astype(np.uint64) @ self._factors).tolist()):
            if len(indices) == count:
                break
            if row_hash not in self._hashes:
                self._hashes.add(row_hash)
                indices.append(index)
        return rows[np.array(indices, int)]


@dataclasses.dataclass(frozen=True)
class Variation:
    """Mutation and crossover.

    A pair of mutation probabilities draws one for each child, uniformly on a logarithmic scale between the two (small
    steps and leaps).

    Source: Cai et al., section 3.4.
    """

    mutation_probability: float | tuple[float, float] = 0.1
    mutation_ratio: float = 0.5

    def __post_init__(self):
        if not 0 <= self.mutation_ratio <= 1:
            raise InputError(f"search: mutation_ratio is {self.mutation_ratio!r}, expected a number from 0 to 1")
        low, high = self._probabilities
        if not (0 <= low <= high <= 1 and (low > 0 or low == high)):
            raise InputError(
                f"search: mutation_probability is {self.mutation_probability!r}, expected a number from 0 to 1, or two "
                f"ascending ones above 0"
            )

    @property
    def _probabilities(self) -> tuple[float, float]:
        given = self.mutation_probability
        return given if isinstance(given, tuple) else (given, given)

    def children(self, budget: Budget, rng: np.random.Generator, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """One child of each pair of parents, inside the limits or not; a mutation is made of the first parent only."""
        space = budget.space
        random = budget.random(rng, len(first), canonical=False)
        mutated = rng.random(len(first)) < self.mutation_ratio
        low, high = self._probabilities
        probability = low if low == high else np.exp(rng.uniform(np.log(low), np.log(high), len(first)))
        swapped = rng.random(first.shape) < np.where(mutated, probability, 0.5)[:, None]
        # The choices of blocks that the parent skips are as good as random. (Of the second one, too: they are the
        # smallest here, which was as good at four limits with six seeds each.)
        first = np.where(active_columns(space, first), first, random)
        other = np.where(mutated[:, None], random, second)
        return canonical_rows(space, np.where(swapped, other, first))


# Children are made in surplus: those outside the limits or seen before are dropped.
_SURPLUS = 3
# Generations without a single new architecture inside the limits, after which there is none left within reach.
_PATIENCE = 20
_INITIAL_BATCHES = 10
# A single population settles in the first good valley it finds. So most generations are spent on some that know nothing
# of each other, and the last third on the best of all: with the official predictor and Note10 table, 30 runs at five
# limits, this raised the worst results from 0.12 points below the published search's to above all of them.
_ISLANDS = 4
_ISLANDS_SHARE = 0.64
_ISLAND_MIN_GENERATIONS = 10


def islands_of(generations: int, most: int) -> tuple[int, int]:
    """How many populations evolve apart at first, at most so many, and for how many of the generations each."""
    islands = max(1, min(_ISLANDS, generations // _ISLAND_MIN_GENERATIONS, most))
    return islands, int(generations * _ISLANDS_SHARE / islands) if islands > 1 else 0


class AccuracyScorer(Protocol):
    """What a search needs of an accuracy predictor: `AccuracyPredictor` has it."""

    resolutions: tuple[int, ...]

    def predict_rows(self, space: Space, rows: np.ndarray) -> np.ndarray:
        """Top-1 of the rows' architectures, float (P,)."""


def search_resolutions(space: Space, accuracy_predictor: AccuracyScorer, resolutions: Sequence[int] | None):
    """The image sides to search: those given, or those of the space that the predictor knows."""
    if resolutions is not None:
        return resolutions
    known = [r for r in space.resolutions if r in accuracy_predictor.resolutions]
    if not known:
        raise InputError(
            f"search: the accuracy predictor knows resolutions {accuracy_predictor.resolutions}, "
            f"space {space.name} has {space.resolutions}; fit the predictor on some of these"
        )
    return known


def evolutionary_search(
    space: Space,
    accuracy_predictor: AccuracyScorer,
    constraints: Sequence[Constraint] | Constraint,
    *,
    population: int = 100,
    generations: int = 500,
    parent_ratio: float = 0.25,
    mutation_probability: float = 0.1,
    mutation_ratio: float = 0.5,
    seed: int = 0,
    resolutions: Sequence[int] | None = None,
) -> SearchResult:
    """Searches the architecture with the best predicted accuracy inside the limits.

    Each generation keeps the best `population` architectures, and makes as many children as the parents leave room
    for: a share of mutations, the rest crossovers of two parents. An architecture is never evaluated twice. The first
    two thirds of the generations are shared among a few populations that start and evolve apart; the last third is
    spent on the best of all of them.

    Args:
        space: the space.
        accuracy_predictor: fitted on this space.
        constraints: the limits; none of the candidates is outside any of them.
        population: architectures kept.
        generations: rounds of children.
        parent_ratio: share of the population that has children.
        mutation_probability: of each choice of a mutated child.
        mutation_ratio: share of children that are mutations.
        seed: equal seeds give equal results.
        resolutions: image sides in pixels, those of the space that the predictor knows unless given.

    Raises:
        InputError: no architecture keeps the limits (the message names the smallest reachable value), or an
            argument is unusable.

    Source: Cai et al., section 3.4; the default figures are the published ones.

    Example:
        limit = Constraint("latency_ms", 20, predictor=LatencyTable.load("host_int8.json"))
        evolutionary_search(space, AccuracyPredictor.load("accuracy.npz"), [limit]).arch
    """
    check_whole("search: population", population, 2, kind=numbers.Integral)
    check_whole("search: generations", generations, 0, kind=numbers.Integral)
    variation = Variation(mutation_probability, mutation_ratio)
    if not 0 <= parent_ratio <= 1:
        raise InputError(f"search: parent_ratio is {parent_ratio!r}, expected a number from 0 to 1")
    constraints = (constraints,) if isinstance(constraints, Constraint) else tuple(constraints)
    searched = search_resolutions(space, accuracy_predictor, resolutions)
    parents = max(1, round(population * parent_ratio))

    budget = Budget.compile(space, constraints, searched)
    run = _Run(budget, accuracy_predictor, np.random.default_rng(seed), population, parents, variation)
    rows, accuracies = run.result(generations)
    return SearchResult(tuple(candidates(budget, rows, accuracies.tolist())), tuple(run.history), run.evaluated)


class _Run:
    """The state of one search: what was seen, and the best so far."""

    def __init__(
        self,
        budget: Budget,
        accuracy_predictor: AccuracyScorer,
        rng: np.random.Generator,
        population: int,
        parents: int,
        variation: Variation,
    ):
        self.budget, self.accuracy_predictor, self.rng, self.population = budget, accuracy_predictor, rng, population
        self.parents, self.variation = parents, variation
        self.seen = SeenRows(rng, len(budget.space.genes) + 1)
        self.history: list[float] = []
        self.evaluated = 0

    def result(self, generations: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and their accuracies after all generations, the best first."""
        islands, island_generations = islands_of(generations, most=self.population // 2)
        # The products are small: more threads than one wait for each other longer than they work.
        with threadpoolctl.threadpool_limits(1, "blas"):
            found = [self.evolve(*self.initial(), island_generations) for _ in range(islands)]
            share = -(-self.population // islands)
            rows = np.concatenate([rows[:share] for rows, _ in found])
            accuracies = np.concatenate([accuracies[:share] for _, accuracies in found])
            rows, accuracies = self.best(rows, accuracies, known=len(rows))
            return self.evolve(rows, accuracies, generations - islands * island_generations)

    def initial(self) -> tuple[np.ndarray, np.ndarray]:
        """The anchor, and rows between random ones and the anchor: however tight the budget, some are inside."""
        rows = self.seen.new(self.budget.anchor[None])
        for _ in range(_INITIAL_BATCHES):
            made = self.budget.random(self.rng, 4 * self.population)
            made = self.budget.shrunk(self.rng, made, self.rng.random(len(made)))
            new = self.seen.new(made[self.budget.inside(made)], self.population - len(rows))
            rows = np.concatenate([rows, new])
            if len(rows) == self.population:
                break
        rows, accuracies = self.best(rows, self._predicted(rows))
        self._record(accuracies)
        return rows, accuracies

    def evolve(self, rows: np.ndarray, accuracies: np.ndarray, generations: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and their accuracies after some generations, the best first."""
        idle = 0
        for _ in range(generations if len(rows) else 0):
            children = self._children(rows[: self.parents])
            idle = 0 if len(children) else idle + 1
            if len(children):
                rows, accuracies = self.best(
                    np.concatenate([rows, children]),
                    np.concatenate([accuracies, self._predicted(children)]),
                    known=len(rows),
                )
            self._record(accuracies)
            if idle == _PATIENCE:
                break
        return rows, accuracies

    def best(self, rows: np.ndarray, accuracies: np.ndarray, known: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """The most accurate rows that keep the limits; the first ones are `known` to keep them."""
        order = np.argsort(-accuracies, kind="stable")
        if not self.budget.is_exact:
            # Only of those that would stay: asking takes longer than predicting.
            kept = (index for index in order if index < known or self.budget.keeps(rows[index]))
            order = np.array(list(itertools.islice(kept, self.population)), int)
        order = order[: self.population]
        return rows[order], accuracies[order]

    def _predicted(self, rows: np.ndarray) -> np.ndarray:
        self.evaluated += len(rows)
        return np.asarray(self.accuracy_predictor.predict_rows(self.budget.space, rows))

    def _record(self, accuracies: np.ndarray) -> None:
        best = [float(accuracies[0])] if len(accuracies) else []
        self.history.append(max(self.history[-1:] + best))

    def _children(self, parents: np.ndarray) -> np.ndarray:
        """New rows inside the limits, at most as many as the parents leave room for."""
        count = max(1, self.population - self.parents)
        first, second = parents[self.rng.integers(len(parents), size=(2, _SURPLUS * count))]
        made = self.variation.children(self.budget, self.rng, first, second)
        inside = self.budget.inside(made)
        children = self.seen.new(made[inside], count)
        if len(children) < count:
            outside = made[~inside]
            repaired = self.budget.shrunk(self.rng, outside, self.rng.random(len(outside)) ** 2)
            repaired = self.seen.new(repaired[self.budget.inside(repaired)], count - len(children))
            children = np.concatenate([children, repaired])
        return children
