"""The exact minimum of a cost over a whole space."""

import functools

import numpy as np

from ofa_tf.spaces import Space
from ofa_tf.spaces.population import canonical_rows, layout

_Factor = tuple[tuple[int, ...], np.ndarray]


def minimum_row(
    space: Space, values: np.ndarray, resolution_indices: np.ndarray, *, largest: bool = False
) -> np.ndarray:
    """The architecture whose blocks cost least together.

    The cost is a sum, or the largest, of functions of few genes each, so the genes can be minimised away one after the
    other (variable elimination, as in dynamic programming). This is exact for any table, also a measured one in which
    a larger block happens to be faster, and for genes that several positions share.

    Args:
        space: the space.
        values: float64 (variants,), the cost of each block, as in `CostTable.values`; where the largest counts, not
            below zero.
        resolution_indices: int, the resolutions to choose from; `values` must be finite there.
        largest: whether the largest block decides instead of the sum.

    Returns:
        int32 (G + 1,), a canonical row.
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
