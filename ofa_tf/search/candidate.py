"""`Candidate`: one architecture that a search proposes."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

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
    """Rows of a search as candidates, in their order."""
    kinds = [constraint.kind for constraint in budget.constraints]
    costs = budget.costs(rows).tolist()
    return [
        Candidate(arch, None if accuracy is None else float(accuracy), dict(zip(kinds, values, strict=True)))
        for arch, accuracy, values in zip(decode(budget.space, rows), accuracies, costs, strict=True)
    ]
