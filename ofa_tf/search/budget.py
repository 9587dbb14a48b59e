"""`Budget`: the constraints of a search, compiled for one space, and what keeps them all."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.search.constraint import Constraint
from ofa_tf.spaces import Arch, Space
from ofa_tf.spaces.population import (
    CostTable,
    canonical_rows,
    decode,
    encode,
    evaluate_all,
    layout,
    random_rows,
    resolution_indices,
)

_Factor = tuple[tuple[int, ...], np.ndarray]


def minimum_row(
    space: Space, values: np.ndarray, resolution_indices: np.ndarray, *, largest: bool = False
) -> np.ndarray:
    """The architecture whose blocks cost least together, or whose largest costs least: int32 (G + 1,), canonical.

    The cost is a sum, or the largest, of functions of few genes each, so the genes can be minimised away one after the
    other (variable elimination, as in dynamic programming). This is exact for any table, also a measured one in which
    a larger block happens to be faster, and for genes that several positions share. `values` are as in
    `CostTable.values`, finite at the given resolutions and, where the largest counts, not below zero.
    """
    combine = functools.partial(functools.reduce, np.maximum if largest else np.add)
    factors = _factors(space, values, resolution_indices)
    chosen: list[tuple[int, tuple[int, ...], np.ndarray]] = []
    remaining = {column for scope, _ in factors for column in scope}
    while remaining:
        # The gene whose elimination leaves the smallest table goes first.
        neighbours = {c: {other for scope, _ in factors if c in scope for other in scope} for c in remaining}
        column = min(sorted(remaining), key=lambda c: len(neighbours[c]))
        scope = (*sorted(neighbours[column] - {column}), column)
        joined = combine(_aligned(factor, scope) for factor in factors if column in factor[0])
        chosen.append((column, scope[:-1], joined.argmin(axis=-2)))
        factors = [factor for factor in factors if column not in factor[0]]
        factors.append((scope[:-1], joined.min(axis=-2)))
        remaining.discard(column)
    total = combine(table for _, table in factors)
    row = np.zeros(len(space.genes) + 1, np.int32)
    size = int(np.argmin(total))
    for column, scope, best in reversed(chosen):
        row[column] = best[(*row[list(scope)], size)]
    row[-1] = resolution_indices[size]
    return canonical_rows(space, row[None])[0]


def _factors(space: Space, values: np.ndarray, resolution_indices: np.ndarray) -> list[_Factor]:
    """Each position's cost as a table over the genes it depends on, its depth included; the resolution comes last."""
    plan = layout(space)
    factors = []
    for index, position in enumerate(space.positions):
        shape, start = plan.shapes[index], plan.offsets[index]
        table = values[start : start + np.prod(shape)].reshape(shape)[..., resolution_indices]
        scope = plan.columns[index][:-1]
        if position.depth is not None:
            depth = int(plan.depth_columns[index])
            runs = np.arange(plan.counts[depth]) >= plan.depth_thresholds[index]
            if depth not in scope:
                scope, table = (*scope, depth), np.repeat(table[..., None, :], len(runs), axis=-2)
            along = [1] * table.ndim
            along[scope.index(depth)] = len(runs)
            table = np.where(runs.reshape(along), table, 0.0)
        factors.append((scope, table))
    return factors


def _aligned(factor: _Factor, scope: tuple[int, ...]) -> np.ndarray:
    """The factor's table with its axes in the order of `scope`, and an axis of length 1 for each gene it lacks."""
    own, table = factor
    order = [column for column in scope if column in own]
    table = table.transpose(*(own.index(column) for column in order), table.ndim - 1)
    return table.reshape([table.shape[order.index(c)] if c in order else 1 for c in scope] + [table.shape[-1]])


# What is spent on an architecture that keeps several limits at once, before they count as incompatible.
_JOINT_STEPS = 60
_JOINT_GENERATIONS = 200
_JOINT_POOL = 200


# The same for the peak memory, of which tables tell lower bounds.
_ANCHOR_STEPS, _ANCHOR_POOL, _ANCHOR_TRIED = 30, 64, 4


@dataclasses.dataclass(frozen=True, eq=False)
class Budget:
    """Made by `Budget.compile`.

    Args:
        space: the space.
        constraints: what it keeps.
        tables: their costs.
        resolutions: image sides in pixels that are allowed.
        anchor: int32 (G + 1,), an architecture that keeps all limits, a small one.
    """

    space: Space
    constraints: tuple[Constraint, ...]
    tables: tuple[CostTable, ...]
    resolutions: tuple[int, ...]
    anchor: np.ndarray

    @staticmethod
    def compile(
        space: Space, constraints: Sequence[Constraint] | Constraint, resolutions: Sequence[int] | None = None
    ) -> "Budget":
        """Evaluates the constraints' tables and finds an architecture that keeps all of them.

        Raises:
            InputError: there is none; the message names the smallest value that can be reached.
        """
        constraints = (constraints,) if isinstance(constraints, Constraint) else tuple(constraints)
        kinds = [constraint.kind for constraint in constraints]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise InputError(f"constraints: {kind} is given twice; give each kind once")
        sizes = resolution_indices(space, resolutions)
        resolutions = tuple(space.resolutions[size] for size in sizes)
        tables = tuple(constraint.compile(space, resolutions) for constraint in constraints)
        if not tables:
            anchor = np.zeros((1, len(space.genes) + 1), np.int32)
            anchor[:, -1] = sizes[0]
            return Budget(space, constraints, tables, resolutions, anchor[0])
        smallest = [minimum_row(space, table.values, sizes, largest=table.largest) for table in tables]
        for constraint, table, row in zip(constraints, tables, smallest, strict=True):
            alone = Budget(space, (constraint,), (table,), resolutions, row)
            reachable = alone.smallest_costs()[0]
            if reachable > constraint.limit:
                raise InputError(
                    f"constraint: {constraint.kind} of at most {constraint.limit:g} cannot be kept, the smallest "
                    f"architecture of space {space.name} at resolutions {_span(resolutions)} has "
                    f"{_rounded_up(reachable)}; raise the limit to that or allow smaller resolutions"
                )
        limits = np.array([constraint.limit for constraint in constraints])
        anchor = _joint(space, *_without_largest(tables, limits), sizes)
        budget = Budget(space, constraints, tables, resolutions, anchor).with_exact_anchor()
        costs = budget.exact_costs(budget.anchor[None])[0]
        if (costs > limits).any():
            found = list(zip(kinds, map(_rounded_up, costs), limits, costs > limits, strict=True))
            others = ", ".join(f"{kind} {cost} of {limit:g}" for kind, cost, limit, _ in found)
            to_raise = " and ".join(f"{kind} to {cost}" for kind, cost, _, over in found if over)
            raise InputError(
                f"constraints: each can be kept alone but no architecture of space {space.name} was found that keeps "
                f"all ({others}); raise the limit of {to_raise}"
            )
        return budget

    def costs(self, rows: np.ndarray) -> np.ndarray:
        """The constrained costs: float64 (P, constraints)."""
        return evaluate_all(self.tables, rows)

    def inside(self, rows: np.ndarray) -> np.ndarray:
        """Which rows keep all limits, as far as their tables tell: bool (P,)."""
        return (self.costs(rows) <= self.limits).all(axis=1)

    @functools.cached_property
    def limits(self) -> np.ndarray:
        """Those of the constraints: float64 (constraints,)."""
        return np.array([constraint.limit for constraint in self.constraints])

    @functools.cached_property
    def is_exact(self) -> bool:
        """Whether all tables tell the cost; that of the peak memory tells a lower bound."""
        return all(constraint.memory is None for constraint in self.constraints)

    def exact_costs(self, rows: np.ndarray) -> np.ndarray:
        """The constrained costs, also where a table gives a lower bound, which is slow: float64 (P, constraints)."""
        costs = self.costs(rows)
        for column, constraint in enumerate(self.constraints):
            if constraint.memory is not None:
                costs[:, column] = [constraint.exact(self.space, arch) for arch in decode(self.space, rows)]
        return costs

    def keeps(self, row: np.ndarray) -> bool:
        """Whether one row keeps all limits exactly."""
        return bool((self.exact_costs(row[None]) <= self.limits).all())

    def with_exact_anchor(self) -> "Budget":
        """The budget with an anchor that keeps all limits exactly, or comes closest of what was found.

        The smallest largest block does not always make the smallest peak: others are tried, beside the best so far.
        """
        if self.is_exact or self.keeps(self.anchor):
            return self
        ends = encode(self.space, [dataclasses.replace(self.space.smallest(), r=r) for r in self.resolutions])
        tried = [(self._excess(row), row) for row in (self.anchor, *ends)]
        share, best = min(tried, key=lambda each: each[0])
        rng = np.random.default_rng(0)
        for _ in range(_ANCHOR_STEPS):
            if share <= 1:
                break
            random = self.random(rng, _ANCHOR_POOL, canonical=False)
            near = canonical_rows(self.space, np.where(rng.random(random.shape) < 0.1, random, best))
            bounds = (self.costs(near) / self.limits).max(axis=1)
            for row in near[bounds < share][:_ANCHOR_TRIED]:
                if (found := self._excess(row)) < share:
                    share, best = found, row
        return dataclasses.replace(self, anchor=best)

    def smallest_costs(self) -> np.ndarray:
        """The costs of its exact anchor: of one constraint that it cannot keep, the smallest value that was found."""
        budget = self.with_exact_anchor()
        return budget.exact_costs(budget.anchor[None])[0]

    def _excess(self, row: np.ndarray) -> float:
        return float((self.exact_costs(row[None]) / self.limits).max())

    def random(self, rng: np.random.Generator, count: int, *, canonical: bool = True) -> np.ndarray:
        """Random rows of the allowed resolutions, inside the limits or not."""
        return random_rows(self.space, rng, count, self.resolutions, canonical=canonical)

    def shrunk(self, rng: np.random.Generator, rows: np.ndarray, share: np.ndarray | float) -> np.ndarray:
        """The rows with a random share (0..1) of the choices taken from the anchor: 1 gives the anchor itself.

        Args:
            rng: the source of randomness.
            rows: int (P, G + 1).
            share: per row, float (P,), or one for all.
        """
        taken = rng.random(rows.shape) < np.broadcast_to(share, len(rows))[:, None]
        return canonical_rows(self.space, np.where(taken, self.anchor, rows))


def _without_largest(tables: Sequence[CostTable], limits: np.ndarray) -> tuple[list[CostTable], np.ndarray]:
    """Limits of the largest block as blocks that cost too much in every other table, or in one where there is none."""
    forbidden = np.zeros(tables[0].values.shape, bool)
    for table, limit in zip(tables, limits, strict=True):
        if table.largest:
            forbidden |= table.scale * table.values + table.offset > limit
    kept = [index for index, table in enumerate(tables) if not table.largest] or [0]
    changed = []
    for table in (tables[index] for index in kept):
        # More than all blocks of any architecture together.
        prohibitive = 2 * len(table.space.positions) * max(np.nanmax(np.abs(table.values)), 1e-9)
        changed.append(dataclasses.replace(table, values=np.where(forbidden, prohibitive, table.values)))
    return changed, limits[kept]


def _joint(space: Space, tables: Sequence[CostTable], limits: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """A row inside all limits, or the one closest to that: weighted sums are minimised, violated limits weigh more."""
    smallest = [minimum_row(space, table.values, sizes, largest=table.largest) for table in tables]
    if len(tables) == 1:
        return smallest[0]
    sums = [dataclasses.replace(table, scale=1.0, offset=0.0) for table in tables]
    targets = np.array([(limit - t.offset) / t.scale for t, limit in zip(tables, limits, strict=True)])
    targets = np.maximum(targets, 1e-12)
    weights = np.full(len(tables), 1 / len(tables))
    rows = list(smallest)
    for step in range(_JOINT_STEPS):
        values = sum(w * t.values / target for w, t, target in zip(weights, sums, targets, strict=True))
        rows.append(minimum_row(space, values, sizes))
        excess = evaluate_all(sums, rows[-1][None])[0] / targets - 1
        if (excess <= 0).all():
            return rows[-1]
        # No row has a smaller weighted excess: where it is above zero, every row exceeds some limit.
        proven = weights @ excess > 0
        if proven:
            break
        weights = weights * np.exp(excess / np.abs(excess).max() / math.sqrt(step + 1))
        weights /= weights.sum()
    pool = np.unique(np.array(rows), axis=0)
    worst = (evaluate_all(sums, pool) / targets).max(axis=1)
    # Weighted sums find only the corners of the trade-off; what lies between them is found from there by mutation.
    rng = np.random.default_rng(0)
    resolutions = tuple(space.resolutions[size] for size in sizes)
    for _ in range(0 if proven else _JOINT_GENERATIONS):
        if worst.min() <= 1:
            break
        parents = pool[rng.integers(len(pool), size=_JOINT_POOL)]
        random = random_rows(space, rng, _JOINT_POOL, resolutions, canonical=False)
        children = canonical_rows(space, np.where(rng.random(parents.shape) < 0.1, random, parents))
        pool = np.unique(np.concatenate([pool, children]), axis=0)
        worst = (evaluate_all(sums, pool) / targets).max(axis=1)
        best = np.argsort(worst, kind="stable")[: _JOINT_POOL // 4]
        pool, worst = pool[best], worst[best]
    return pool[int(np.argmin(worst))]


def _rounded_up(value: float) -> str:
    """At least the value, with six digits, so that the printed limit can be kept."""
    digits = 6 - len(str(int(value)))
    if digits <= 0 or value == int(value):
        return str(math.ceil(value))
    return f"{math.ceil(value * 10**digits) / 10**digits:.{digits}f}"


def _span(resolutions: Sequence[int]) -> str:
    return str(resolutions[0]) if len(resolutions) == 1 else f"{resolutions[0]} to {resolutions[-1]}"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An architecture inside every limit of its search.

    Args:
        arch: the architecture.
        predicted_top1: top-1 as predicted, 0..1; None where no predictor was given.
        costs: its predicted cost for each constraint, by kind.
    """

    arch: Arch
    predicted_top1: float | None
    costs: Mapping[str, float]


def candidates(budget: Budget, rows: np.ndarray, accuracies: Sequence[float | None]) -> list[Candidate]:
    """Rows that keep a budget as candidates with their exact costs, in their order."""
    kinds = [constraint.kind for constraint in budget.constraints]
    found = zip(decode(budget.space, rows), accuracies, budget.exact_costs(rows).tolist(), strict=True)
    return [
        Candidate(arch, None if accuracy is None else float(accuracy), dict(zip(kinds, costs, strict=True)))
        for arch, accuracy, costs in found
    ]
