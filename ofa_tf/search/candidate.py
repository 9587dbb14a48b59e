"""`Candidate`: one architecture that a search proposes."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.search.budget import Budget
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


def candidates(budget: Budget, rows: np.ndarray, accuracies: Sequence[float | None]) -> list[Candidate]:
    """Rows of a search as candidates, in their order.

    Raises:
        InputError: none of them keeps the limits exactly, only in the tables' lower bounds.
    """
    found = []
    for arch, accuracy, bounds in zip(decode(budget.space, rows), accuracies, budget.costs(rows).tolist(), strict=True):
        costs = {}
        for constraint, bound in zip(budget.constraints, bounds, strict=True):
            exact = constraint.exact(budget.space, arch)
            costs[constraint.kind] = bound if exact is None else float(exact)
        if all(costs[constraint.kind] <= constraint.limit for constraint in budget.constraints):
            found.append(Candidate(arch, None if accuracy is None else float(accuracy), costs))
    if not found:
        kinds = ", ".join(f"{constraint.kind} of {constraint.limit:g}" for constraint in budget.constraints)
        raise InputError(
            f"constraints: nothing that was found keeps all of them exactly ({kinds}); raise a limit a little"
        )
    return found
