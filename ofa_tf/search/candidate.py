"""`Candidate`: one architecture that a search proposes."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.search.budget import Budget
from ofa_tf.search.constraint import Constraint
from ofa_tf.spaces import Arch
from ofa_tf.spaces.population import decode


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An architecture inside every limit of its search.

    Args:
        arch: the architecture.
        predicted_accuracy: top-1 as predicted, 0..1; None where no predictor was given.
        costs: its predicted cost for each constraint, by kind.
    """

    arch: Arch
    predicted_accuracy: float | None
    costs: Mapping[str, float]


class NothingExact(InputError):
    """What was found keeps the limits only in the tables' lower bounds.

    Args:
        constraints: the limits.
        closest: exact costs of what came closest, by kind.
        bounds: its costs by the tables.
    """

    def __init__(self, constraints: Sequence[Constraint], closest: Mapping[str, float], bounds: Mapping[str, float]):
        self.closest, self.bounds = closest, bounds
        limits = ", ".join(
            f"{constraint.kind} {closest[constraint.kind]:.10g} of {constraint.limit:.10g}"
            for constraint in constraints
            if constraint.kind in closest
        )
        super().__init__(
            f"constraints: nothing that was found keeps all of them, the closest has {limits}; raise the limit to that"
        )


def candidates(
    budget: Budget,
    rows: np.ndarray,
    accuracies: Sequence[float | None],
    constraints: Sequence[Constraint] | None = None,
) -> list[Candidate]:
    """Rows of a search as candidates, in their order.

    Args:
        budget: of the search.
        rows: int (P, G + 1).
        accuracies: predicted, one per row.
        constraints: what candidates keep exactly, the budget's unless given.

    Raises:
        NothingExact: none of them does.
    """
    constraints = budget.constraints if constraints is None else constraints
    kinds = [constraint.kind for constraint in constraints]
    found, closest = [], (np.inf, {}, {})
    for arch, accuracy, bounds in zip(decode(budget.space, rows), accuracies, budget.costs(rows).tolist(), strict=True):
        costs = {}
        for constraint, bound in zip(constraints, bounds, strict=True):
            exact = constraint.exact(budget.space, arch)
            costs[constraint.kind] = bound if exact is None else float(exact)
        share = max((costs[constraint.kind] / constraint.limit for constraint in constraints), default=0.0)
        if share <= 1:
            found.append(Candidate(arch, None if accuracy is None else float(accuracy), costs))
        closest = min(closest, (share, costs, dict(zip(kinds, bounds, strict=True))), key=lambda each: each[0])
    if not found:
        raise NothingExact(constraints, *closest[1:])
    return found
