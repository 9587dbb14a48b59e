"""`Variation`: how a search makes new architectures of old ones."""

import dataclasses
from typing import Any

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.search.budget import Budget
from ofa_tf.spaces.population import active_columns, canonical_rows


def check_whole(name: str, value: Any, low: int) -> None:
    """Raises `InputError` unless a search's argument is a whole number of at least so much."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise InputError(f"search: {name} is {value!r}, expected a whole number of at least {low}")


@dataclasses.dataclass(frozen=True)
class Variation:
    """Mutation and crossover.

    Args:
        mutation_probability: of each choice of a mutated child; a pair draws it anew for each child, uniformly on a
            logarithmic scale between the two (small steps and leaps).
        mutation_ratio: share of children that are mutations; the rest are crossovers.

    Raises:
        InputError: one is not in 0..1.

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
        """One child of each pair of parents, inside the limits or not.

        Args:
            budget: of the search.
            rng: the source of randomness.
            first: int (P, G + 1); a mutation is made of the first parent only.
            second: int (P, G + 1).

        Returns:
            int32 (P, G + 1), canonical.
        """
        space = budget.space
        random = budget.random(rng, len(first), canonical=False)
        mutated = rng.random(len(first)) < self.mutation_ratio
        low, high = self._probabilities
        probability = low if low == high else np.exp(rng.uniform(np.log(low), np.log(high), len(first)))
        swapped = rng.random(first.shape) < np.where(mutated, probability, 0.5)[:, None]
        # The choices of blocks that the parent skips are as good as random.
        first = np.where(active_columns(space, first), first, random)
        other = np.where(mutated[:, None], random, second)
        return canonical_rows(space, np.where(swapped, other, first))
