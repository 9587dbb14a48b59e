"""The table of targets, as texts."""

import dataclasses

from ofa_tf.report.comparison_table import MISSING, OVER_BUDGET, percent
from ofa_tf.report.cost_kinds import COST_KINDS, measured_cost, predicted_cost
from ofa_tf.report.report_target import ReportTarget

# With a hyphen at which no line ends.
_TOP1 = "top\N{NON-BREAKING HYPHEN}1"
# The columns between the name and the links: heading and explanation.
OVER_BUDGET_NOTE = f"{OVER_BUDGET} measured over its budget"
COLUMNS = (
    ("status", "what the target came to, see above"),
    ("budget", "the largest values that were allowed"),
    ("predicted", "the same costs as predicted; a latency by the device's table"),
    (
        "measured",
        "the same costs as measured through the file on the device; MACs and parameters are counted and so always "
        "known",
    ),
    (f"{_TOP1} predicted", "what the accuracy predictor says, in percent"),
    (f"{_TOP1} float", "of the float32 Keras model, in percent, on the images that its device's section names"),
    (f"{_TOP1} file", "of the file on the same images, in percent"),
    ("file bytes", "the size of the file"),
)


@dataclasses.dataclass(frozen=True)
class TargetRow:
    """A row: for each of `COLUMNS` the lines of its cell; budgets and costs take a line for each kind."""

    target: ReportTarget
    number: int
    cells: tuple[tuple[str, ...], ...]


def target_rows(targets: list[ReportTarget]) -> list[TargetRow]:
    """The rows, numbered from 1."""
    return [TargetRow(target, number, _cells(target)) for number, target in enumerate(targets, start=1)]


def _cells(target: ReportTarget) -> tuple[tuple[str, ...], ...]:
    model = target.model
    kinds = [kind for kind in COST_KINDS if kind in target.limits]
    if model and "latency_ms" not in kinds and predicted_cost(model, "latency_ms") is not None:
        kinds.append("latency_ms")
    budget, predicted, measured = [], [], []
    for kind in kinds:
        cost = COST_KINDS[kind]
        limit = (
            f"{cost.format(target.limits[kind], exact=True)} {cost.of}".strip() if kind in target.limits else MISSING
        )
        budget.append(limit)
        for cells, value, mark in (
            (predicted, model and predicted_cost(model, kind), ""),
            (measured, model and measured_cost(model, kind), OVER_BUDGET * (kind in target.broken)),
        ):
            cells.append(MISSING if value is None else cost.format(value) + mark)
    size = MISSING if model is None or model.model_bytes is None else f"{model.model_bytes:,}"
    top1 = (percent(getattr(model, name, None)) for name in ("predicted_top1", "keras_top1", "tflite_top1"))
    return (
        (target.status,),
        tuple(budget) or (MISSING,),
        tuple(predicted) or (MISSING,),
        tuple(measured) or (MISSING,),
        *((text,) for text in top1),
        (size,),
    )
