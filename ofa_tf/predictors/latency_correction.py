"""`LatencyCorrection`: from the sum of a network's blocks to the latency of the whole network."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ofa_tf.common import InputError, brief

# Relative residuals far beyond this (2%) hardly count, so that one disturbed measurement does not move the line.
_ROBUST_SCALE = 0.02
MIN_NETWORKS = 4


@dataclasses.dataclass(frozen=True)
class LatencyCorrection:
    """`latency_ms = scale * (sum of block medians) + offset_ms`, fitted on measured networks.

    Args:
        scale: above 0.
        offset_ms: in milliseconds.
        networks: how many measured networks it was fitted on.
        mape_before: mean absolute percentage error of the plain sums on them, in percent.
        mape_after: the same with the correction, each network predicted by a fit on the others, in percent.
    """

    scale: float
    offset_ms: float
    networks: int
    mape_before: float
    mape_after: float

    def to_dict(self) -> dict[str, float]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(fields: Any) -> "LatencyCorrection":
        """Reads what `to_dict` wrote; raises `InputError` where that is not a correction."""
        try:
            correction = LatencyCorrection(**fields)
            usable = correction.scale > 0 and math.isfinite(correction.scale) and math.isfinite(correction.offset_ms)
        except TypeError:
            usable = False
        if not usable:
            raise InputError(
                f"found the correction {brief(repr(fields))}, expected scale (above 0), offset_ms and networks"
            )
        return correction


def mean_absolute_percentage_error(predicted: np.ndarray, measured: np.ndarray) -> float:
    """Mean of |predicted - measured| / measured, in percent."""
    return float(np.mean(np.abs(predicted - measured) / measured) * 100)


def fit_correction(predicted_ms: Sequence[float], measured_ms: Sequence[float]) -> LatencyCorrection:
    """Fits a line from block sums to measured networks, on relative errors and robustly.

    Args:
        predicted_ms: sums of block medians of N networks (at least 4), `LatencyTable.predict` without a correction.
        measured_ms: their measured latencies.

    Raises:
        InputError: there are too few, or they are not positive.

    Example:
        correction = fit_correction(table.predict(space, archs), measured_ms)
        table = table.with_correction(correction)
    """
    predicted, measured = np.asarray(predicted_ms, float), np.asarray(measured_ms, float)
    if predicted.shape != measured.shape or predicted.ndim != 1 or len(predicted) < MIN_NETWORKS:
        raise InputError(
            f"latency correction: {predicted.size} predicted and {measured.size} measured networks, "
            f"expected the same number, at least {MIN_NETWORKS}; measure more"
        )
    if not (np.isfinite(predicted).all() and np.isfinite(measured).all()) or min(predicted.min(), measured.min()) <= 0:
        raise InputError("latency correction: a latency is not a positive number; measure again")
    everything = np.arange(len(predicted))
    scale, offset = _fit_line(predicted, measured)
    left_out = []
    for index in everything:
        others = everything != index
        other_scale, other_offset = _fit_line(predicted[others], measured[others])
        left_out.append(other_scale * predicted[index] + other_offset)
    return LatencyCorrection(
        scale=scale,
        offset_ms=offset,
        networks=len(predicted),
        mape_before=mean_absolute_percentage_error(predicted, measured),
        mape_after=mean_absolute_percentage_error(np.array(left_out), measured),
    )


def _fit_line(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    # Takes most of a second to import, and only fitting needs it.
    from scipy import optimize, stats

    # In units of a typical network both unknowns are of order 1, whatever the device's speed.
    ratio, unit = np.median(measured / predicted), np.median(measured)
    if np.ptp(predicted) > 0:
        slope, intercept, *_ = stats.theilslopes(measured, predicted)
    else:
        # Networks that are predicted alike give no line but the one through zero.
        slope, intercept = ratio, 0.0
    # A fixed cost above the fastest network, or a line that predicts less than nothing for it, is a bad fit.
    lowest, highest = np.array([[0.05, -0.9 * measured.min() / unit], [20.0, 0.9 * measured.min() / unit]])
    line = optimize.least_squares(
        lambda x: (x[0] * ratio * predicted + x[1] * unit) / measured - 1,
        x0=np.clip([slope / ratio, intercept / unit], [0.06, 0.99 * lowest[1]], 0.99 * highest),
        bounds=(lowest, highest),
        loss="cauchy",
        f_scale=_ROBUST_SCALE,
    )
    return float(line.x[0] * ratio), float(line.x[1] * unit)
