"""`CostScaling`: MACs and parameters as inputs of an accuracy predictor."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ofa_tf.spaces import Space, costs
from ofa_tf.spaces.population import CostTable, cost_table, evaluate_all

_COSTS = (costs.macs, costs.params)
# In units of their standard deviation, next to one-hot inputs: 1 to 4 are equally good.
_WEIGHT = 2.0


@functools.lru_cache(maxsize=8)
def _tables(space: Space) -> tuple[CostTable, ...]:
    return tuple(cost_table(space, cost) for cost in _COSTS)


@dataclasses.dataclass(frozen=True)
class CostScaling:
    """Centres and scales the logarithms of multiply-accumulates and of parameters.

    Args:
        means: of the two logarithms, over the architectures that a predictor was fitted on.
        scales: what each is multiplied by.

    Example:
        scaling = CostScaling.fit(space, rows)
        inputs = scaling.scaled(space, rows)
    """

    means: tuple[float, ...]
    scales: tuple[float, ...]

    @property
    def count(self) -> int:
        """The number of inputs."""
        return len(_COSTS)

    @staticmethod
    def fit(space: Space, rows: np.ndarray) -> "CostScaling":
        """The scaling under which the rows, int (P, G + 1), have a mean of 0 and the wanted spread."""
        logarithms = np.log(evaluate_all(_tables(space), rows))
        spreads = np.maximum(logarithms.std(axis=0), 1e-6)
        return CostScaling(tuple(logarithms.mean(axis=0).tolist()), tuple((_WEIGHT / spreads).tolist()))

    def scaled(self, space: Space, rows: np.ndarray) -> np.ndarray:
        """The inputs for rows of a population: float32 (P, count)."""
        return np.float32((np.log(evaluate_all(_tables(space), rows)) - self.means) * self.scales)

    @staticmethod
    def from_header(fields: Mapping[str, Any] | None) -> "CostScaling | None":
        """Reads what `dataclasses.asdict` made of one; raises `KeyError`, `TypeError` or `ValueError` where
        something is missing."""
        if fields is None:
            return None
        scaling = CostScaling(*(tuple(map(float, fields[name])) for name in ("means", "scales")))
        if (
            not len(scaling.means) == len(scaling.scales) == scaling.count
            or not np.isfinite(dataclasses.astuple(scaling)).all()
        ):
            raise TypeError(f"{scaling.count} finite means and scales of costs")
        return scaling
