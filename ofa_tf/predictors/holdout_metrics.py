"""How well predictions rank and hit what was measured."""

from collections.abc import Sequence

import numpy as np


def holdout_metrics(predicted: Sequence[float], measured: Sequence[float]) -> dict[str, float]:
    """Rank correlations and error of predictions for architectures that were not fitted on.

    Args:
        predicted: (N,) values, N at least 2.
        measured: (N,) values.

    Returns:
        "kendall_tau", "spearman" (both 0 where one side is constant), "rmse" (in the unit of the values), "count".
    """
    # Takes most of a second to import, and only fitting needs it.
    from scipy import stats

    predicted, measured = np.asarray(predicted, np.float64), np.asarray(measured, np.float64)
    constant = np.ptp(predicted) == 0 or np.ptp(measured) == 0
    return {
        "kendall_tau": 0.0 if constant else float(stats.kendalltau(predicted, measured).statistic),
        "spearman": 0.0 if constant else float(stats.spearmanr(predicted, measured).statistic),
        "rmse": float(np.sqrt(np.mean((predicted - measured) ** 2))),
        "count": len(predicted),
    }
