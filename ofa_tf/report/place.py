"""`Place`: where a network stands in a plot of accuracy against cost."""

import dataclasses
import math

from ofa_tf.report.cost_kinds import measured_cost, predicted_cost
from ofa_tf.report.report_model import ReportModel
from ofa_tf.report.report_point import ReportPoint


@dataclasses.dataclass(frozen=True)
class Place:
    """Cost in its kind's own unit, top-1 in percent, and whether both were measured."""

    cost: float
    percent: float
    measured: bool

    @staticmethod
    def of(item: ReportModel | ReportPoint, kind: str = "latency_ms") -> "Place | None":
        """The measured values, else the predicted ones; None where there are neither."""
        measured = measured_cost(item, kind)
        cost = predicted_cost(item, kind) if measured is None else measured
        top1 = item.predicted_top1 if item.keras_top1 is None else item.keras_top1
        if cost is None or top1 is None or not math.isfinite(top1):
            return None
        return Place(cost, top1 * 100, measured is not None and item.keras_top1 is not None)
