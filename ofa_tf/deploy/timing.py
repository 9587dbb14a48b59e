"""`Timing`: what was measured of one model."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Timing:
    """The distribution of the time that one run of a model takes, in milliseconds.

    Args:
        median_ms: the median.
        p95_ms: the 95th percentile.
        std_ms: the standard deviation.
        mean_ms: the mean.
        min_ms: the fastest run.
        count: the number of timed runs.
    """

    median_ms: float
    p95_ms: float
    std_ms: float
    mean_ms: float
    min_ms: float
    count: int

    @staticmethod
    def of(times_ms: Sequence[float]) -> "Timing":
        """Summarizes the times of single runs, in milliseconds."""
        times = np.asarray(times_ms, np.float64)
        return Timing(
            median_ms=float(np.median(times)),
            p95_ms=float(np.percentile(times, 95)),
            std_ms=float(times.std()),
            mean_ms=float(times.mean()),
            min_ms=float(times.min()),
            count=len(times),
        )
