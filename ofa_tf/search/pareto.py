"""Search for a whole front of accuracy against one cost, in one run."""

import collections
import csv
import dataclasses
import io
import numbers
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import threadpoolctl

from ofa_tf.common import InputError, RecordFormat, brief, write_text
from ofa_tf.common.config import check_whole, is_number
from ofa_tf.search.budget import Budget, Candidate, candidates
from ofa_tf.search.constraint import Constraint
from ofa_tf.search.evolution import AccuracyScorer, SeenRows, Variation, islands_of, search_resolutions
from ofa_tf.spaces import Arch, Space

FORMAT = RecordFormat("ofa_tf pareto front", "make one with tools.search --front")


@dataclasses.dataclass(frozen=True)
class ParetoFront:
    """Architectures none of which is beaten in both accuracy and cost, the cheapest first.

    Args:
        candidates: both cost and predicted accuracy ascend.
        kind: the cost, a kind of `Constraint` ("latency_ms").
        evaluated: how many different architectures were given to the accuracy predictor.

    Example:
        front = ParetoFront.load("front.json")
        front.best(25).arch
    """

    candidates: tuple[Candidate, ...]
    kind: str
    evaluated: int = 0

    @staticmethod
    def of(found: Sequence[Candidate], kind: str, evaluated: int = 0) -> "ParetoFront":
        """The front of any candidates that carry the cost and a prediction; `InputError` where there is none, or one
        lacks them."""
        for candidate in found:
            if candidate.predicted_top1 is None or kind not in candidate.costs:
                raise InputError(
                    f"pareto front: a candidate without {brief(repr(kind))} or predicted top-1, expected both"
                )
        if not found:
            raise InputError("pareto front: no candidates, expected at least one")
        front: list[Candidate] = []
        for candidate in sorted(found, key=lambda c: (c.costs[kind], -c.predicted_top1)):
            if not front or candidate.predicted_top1 > front[-1].predicted_top1:
                front.append(candidate)
        return ParetoFront(tuple(front), kind, evaluated)

    def best(self, limit: float) -> Candidate:
        """The most accurate architecture whose cost is at most `limit`.

        Raises:
            InputError: none is; the message names the smallest cost of the front.
        """
        inside = [candidate for candidate in self.candidates if candidate.costs[self.kind] <= limit]
        if not inside:
            smallest = self.candidates[0].costs[self.kind]
            raise InputError(f"pareto front: {self.kind} of at most {limit:g}: the front begins at {smallest:.6g}")
        return inside[-1]

    def save(self, path: str | os.PathLike) -> None:
        """Writes the front as JSON, atomically."""
        points = [
            {"arch": candidate.arch.to_dict(), "predicted_top1": candidate.predicted_top1, **candidate.costs}
            for candidate in self.candidates
        ]
        FORMAT.save(path, {"kind": self.kind, "evaluated": self.evaluated, "points": points})

    def save_csv(self, path: str | os.PathLike) -> None:
        """Writes a line per architecture: its costs, its predicted top-1, and the architecture as JSON."""
        kinds = list(self.candidates[0].costs)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*kinds, "predicted_top1", "arch"])
        for candidate in self.candidates:
            costs = [candidate.costs[kind] for kind in kinds]
            writer.writerow([*costs, candidate.predicted_top1, candidate.arch.to_json()])
        write_text(path, text.getvalue())

    @staticmethod
    def load(path: str | os.PathLike) -> "ParetoFront":
        """Reads what `save` wrote.

        Raises:
            InputError: the file is missing, damaged, of a newer format, or something else.
        """
        fields = FORMAT.load(path)
        with FORMAT.reading(path):
            points = []
            for point in fields["points"]:
                costs = dict(point)
                arch, top1 = Arch.from_json(costs.pop("arch")), float(costs.pop("predicted_top1"))
                points.append(Candidate(arch, top1, {kind: float(cost) for kind, cost in costs.items()}))
            numbers_of = [number for point in points for number in (point.predicted_top1, *point.costs.values())]
            if not all(is_number(number) for number in numbers_of):
                raise InputError("has a point with figures that are no numbers")
            # Whoever changed the file may have changed the order.
            return ParetoFront.of(points, fields["kind"], int(fields["evaluated"]))


# Parents meet within so many neighbouring cells: an architecture of half the cost has little to give.
_NEIGHBOURS = 4
_INITIAL_SHARE = 4
# Where a predictor of latency gives nothing or less to the smallest, the axis begins at the limit over this.
_SPAN = 1000.0


def pareto_search(
    space: Space,
    accuracy_predictor: AccuracyScorer,
    constraints: Sequence[Constraint] | Constraint,
    *,
    cells: int = 64,
    cell_population: int = 8,
    children: int = 400,
    generations: int = 900,
    mutation_probability: float | tuple[float, float] = (0.02, 0.2),
    mutation_ratio: float = 0.5,
    seed: int = 0,
    resolutions: Sequence[int] | None = None,
) -> ParetoFront:
    """Searches the best accuracies over the whole range of a cost at once.

    The range of the first constraint's cost, from the smallest reachable value to its limit, is cut into cells of equal
    ratio. Each cell keeps its best architectures; parents come from all cells alike and meet their neighbours. So no
    part of the front starves, which is what a population that is ranked as a whole must be protected from. The first
    two thirds of the generations are shared among populations that evolve apart.

    Args:
        space: the space.
        accuracy_predictor: fitted on this space.
        constraints: the first one's cost is the front's axis and its limit the end; all limits are kept.
        cells: parts of the range.
        cell_population: architectures that a cell keeps.
        children: new architectures in a generation.
        generations: rounds of children.
        mutation_probability: of each choice of a mutated child, see `Variation`.
        mutation_ratio: share of children that are mutations.
        seed: equal seeds give equal results.
        resolutions: image sides in pixels, those of the space that the predictor knows unless given.

    Raises:
        InputError: no architecture keeps the limits, there is no constraint, or an argument is unusable.

    Example:
        front = pareto_search(space, predictor, Constraint("latency_ms", 60, predictor=table))
        front.best(25).arch
        front.save("front.json")
    """
    for name, value in (("cells", cells), ("cell_population", cell_population), ("children", children)):
        check_whole(f"search: {name}", value, 1, kind=numbers.Integral)
    check_whole("search: generations", generations, 0, kind=numbers.Integral)
    constraints = (constraints,) if isinstance(constraints, Constraint) else tuple(constraints)
    if not constraints:
        raise InputError("pareto search: no constraint given; give one, whose cost becomes the front's axis")
    budget = Budget.compile(space, constraints, search_resolutions(space, accuracy_predictor, resolutions))
    run = _Run(budget, accuracy_predictor, np.random.default_rng(seed), cells, cell_population, children)
    run.variation = Variation(mutation_probability, mutation_ratio)
    # As in `evolutionary_search`, a few populations that know nothing of each other, then the best of all of them.
    islands, island_generations = islands_of(generations, most=children)
    # The products are small: more threads than one wait for each other longer than they work.
    with threadpoolctl.threadpool_limits(1, "blas"):
        found = [run.evolve(run.initial(), island_generations) for _ in range(islands)]
        joined = _Archive(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
        archive = run.kept(joined, known=len(joined.rows))
        archive = run.evolve(archive, generations - islands * island_generations)
    kind = constraints[0].kind
    return ParetoFront.of(candidates(budget, archive.rows, archive.accuracies.tolist()), kind, run.evaluated)


class _Archive(NamedTuple):
    """The best of each cell, the cells ascending."""

    rows: np.ndarray
    accuracies: np.ndarray
    cell: np.ndarray


class _Run:
    """The state of one search: what was seen, and how the axis is cut."""

    variation: Variation

    def __init__(
        self,
        budget: Budget,
        accuracy_predictor: AccuracyScorer,
        rng: np.random.Generator,
        cells: int,
        cell_population: int,
        children: int,
    ):
        self.budget, self.accuracy_predictor, self.rng = budget, accuracy_predictor, rng
        self.cells, self.cell_population, self.children = cells, cell_population, children
        self.seen = SeenRows(rng, len(budget.space.genes) + 1)
        self.evaluated = 0
        limit = budget.constraints[0].limit
        smallest = budget.costs(budget.anchor[None])[0, 0]
        self.lowest = smallest if smallest > 0 else limit / _SPAN
        self.per_cell = max(np.log(limit / self.lowest), 1e-9) / cells

    def initial(self) -> _Archive:
        """The anchor, and rows between random ones and the anchor: they cover the whole axis."""
        count = _INITIAL_SHARE * self.children
        made = self.budget.shrunk(self.rng, self.budget.random(self.rng, count), self.rng.random(count))
        made = np.concatenate([self.budget.anchor[None], made])
        nothing = _Archive(made[:0], np.zeros(0), np.zeros(0, int))
        archive = self.added(nothing, made)
        # The anchor was another population's already where this one has nothing at all.
        return archive if len(archive.rows) else self._scored(self.budget.anchor[None])

    def evolve(self, archive: _Archive, generations: int) -> _Archive:
        """The archive after some generations."""
        for _ in range(generations):
            first, second = _parents(self.rng, archive.cell, self.cells, self.children)
            rows = archive.rows
            archive = self.added(archive, self.variation.children(self.budget, self.rng, rows[first], rows[second]))
        return archive

    def added(self, archive: _Archive, made: np.ndarray) -> _Archive:
        """The archive with those of the rows that keep all limits and were never seen before."""
        new = self._scored(self.seen.new(made[self.budget.inside(made)]))
        joined = _Archive(*(np.concatenate(parts) for parts in zip(archive, new, strict=True)))
        return self.kept(joined, known=len(archive.rows))

    def _scored(self, rows: np.ndarray) -> _Archive:
        self.evaluated += len(rows)
        accuracies = np.asarray(self.accuracy_predictor.predict_rows(self.budget.space, rows))
        return _Archive(rows, accuracies, self._cells_of(self.budget.costs(rows)[:, 0]))

    def _cells_of(self, costs: np.ndarray) -> np.ndarray:
        positions = np.log(np.maximum(costs / self.lowest, 1.0)) / self.per_cell
        return np.minimum(positions.astype(int), self.cells - 1)

    def kept(self, archive: _Archive, known: int) -> _Archive:
        """The most accurate of each cell that keep the limits; the first ones are `known` to keep them."""
        if not self.budget.is_exact:
            archive = self._exact(archive, known)
        order = np.lexsort((-archive.accuracies, archive.cell))
        ordered = archive.cell[order]
        rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
        chosen = order[rank < self.cell_population]
        return _Archive(*(part[chosen] for part in archive))

    def _exact(self, archive: _Archive, known: int) -> _Archive:
        """Those that keep the limits, in the cell of their exact cost, where tables give lower bounds only.

        Of each cell no more are asked than would stay: asking takes longer than predicting.
        """
        filled: collections.Counter[int] = collections.Counter()
        kept, cell = [], archive.cell.copy()
        for index in np.lexsort((-archive.accuracies, archive.cell)):
            place = int(archive.cell[index])
            if filled[place] == self.cell_population:
                continue
            if index >= known:
                costs = self.budget.exact_costs(archive.rows[index : index + 1])
                if (costs > self.budget.limits).any():
                    continue
                cell[index] = self._cells_of(costs[:, 0])[0]
            # What moved to another cell takes no place here; there, `kept` chooses.
            filled[place] += int(cell[index] == place)
            kept.append(index)
        return _Archive(archive.rows[kept], archive.accuracies[kept], cell[kept])


def _parents(rng: np.random.Generator, cell: np.ndarray, cells: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of pairs of parents; `cell` is ascending."""
    occupied = np.unique(cell)
    first = rng.choice(occupied, count)
    second = np.clip(first + rng.integers(-_NEIGHBOURS, _NEIGHBOURS + 1, count), 0, cells - 1)
    # An empty cell's neighbour below serves for it.
    second = occupied[np.searchsorted(occupied, second, side="right").clip(1) - 1]
    starts, ends = np.searchsorted(cell, [first, second]), np.searchsorted(cell, [first, second], side="right")
    return tuple((starts + rng.random((2, count)) * (ends - starts)).astype(int))
