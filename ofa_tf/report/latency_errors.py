"""How well latencies were predicted, in two numbers."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ofa_tf.predictors import holdout_metrics, mean_absolute_percentage_error


@dataclasses.dataclass(frozen=True)
class LatencyErrors:
    """What pairs of predicted and measured latency say about the predictor.

    Args:
        count: how many pairs.
        mape: mean absolute percentage error, in percent; None without pairs.
        spearman: rank correlation, -1..1; None with fewer than three pairs, which can hardly be ranked.

    Example:
        LatencyErrors.of([(0.20, 0.21), (0.30, 0.29), (0.40, 0.41)])
    """

    count: int
    mape: float | None
    spearman: float | None

    @staticmethod
    def of(pairs: Sequence[tuple[float, float]]) -> "LatencyErrors":
        """The errors of (predicted, measured) pairs."""
        if not pairs:
            return LatencyErrors(0, None, None)
        predicted, measured = np.array(pairs, np.float64).T
        spearman = holdout_metrics(predicted, measured)["spearman"] if len(pairs) > 2 else None
        return LatencyErrors(len(pairs), mean_absolute_percentage_error(predicted, measured), spearman)
