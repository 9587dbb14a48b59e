"""What a network costs, kind by kind: names, units, and where the figures of a network stand."""

import dataclasses
import math

from ofa_tf.report.report_model import ReportModel
from ofa_tf.report.report_point import ReportPoint


@dataclasses.dataclass(frozen=True)
class CostKind:
    """How people read one kind of cost.

    Args:
        label: its name inside a sentence.
        unit: the unit that it is shown in.
        scale: how many of its own units one of these is.
        axis: the label of an axis.
        of: what has it, where the unit alone does not tell.
    """

    label: str
    unit: str
    scale: float
    axis: str
    of: str = ""

    def format(self, value: float, *, exact: bool = False) -> str:
        """A value with its unit, in four digits; as it was given where it is `exact` (a limit).

        Example:
            COST_KINDS["latency_ms"].format(24.7302)  # "24.73 ms"
        """
        shown = value / self.scale
        if exact:
            text = f"{shown:,.6f}".rstrip("0").rstrip(".")
        else:
            decimals = 1 if shown <= 0 else min(max(3 - math.floor(math.log10(shown)), 0), 5)
            text = f"{shown:,.{decimals}f}"
        return f"{text} {self.unit}"


# The kinds of limits that `search.Constraint` knows, in the order in which they are told.
COST_KINDS = {
    "latency_ms": CostKind("latency", "ms", 1, "latency in ms"),
    "macs": CostKind("multiply-accumulates", "M MACs", 1e6, "million multiply-accumulates"),
    "params": CostKind("parameters", "M params", 1e6, "million parameters"),
    "model_bytes": CostKind("file size", "KB", 1e3, "file size in KB", "file"),
    "peak_memory_bytes": CostKind("peak memory", "KB", 1e3, "peak activation memory in KB", "memory"),
}


def predicted_cost(item: ReportModel | ReportPoint, kind: str) -> float | None:
    """What was predicted of a network before it was made; None where nothing was."""
    if kind == "latency_ms":
        return _finite(item.predicted_ms)
    if kind == "macs" and isinstance(item, ReportModel):
        return item.macs
    return _finite(item.costs.get(kind))


def measured_cost(item: ReportModel | ReportPoint, kind: str) -> float | None:
    """What a network turned out to cost; None where it was not measured."""
    if kind == "latency_ms":
        return _finite(item.measured_ms)
    if kind == "model_bytes":
        return _finite(getattr(item, "model_bytes", None))
    if kind == "peak_memory_bytes":
        return _finite(getattr(item, "measured_peak_memory_bytes", None))
    # Counted, and so known exactly.
    return predicted_cost(item, kind)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
