"""The table of models: one source for the page and for the terminal."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from ofa_tf.report.report_model import ReportModel

MISSING = "-"
OVER_BUDGET = "*"
OVER_BUDGET_NOTE = f"{OVER_BUDGET} measured slower than its budget"


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        heading: with the unit.
        explanation: what the numbers are and where they come from, one plain clause.
        cells: one text per model, without the unit.
    """

    heading: str
    explanation: str
    cells: tuple[str, ...]


def comparison_table(models: Sequence[ReportModel]) -> tuple[Column, ...]:
    """The columns, the models' names first; what is missing is a dash, and a broken budget carries a star."""
    return (
        Column("model", "the budget it was searched for, or what it is", tuple(model.name for model in models)),
        *(
            Column(heading, explanation, tuple(map(cell, models)))
            for heading, explanation, cell in _columns(_milliseconds_format(models))
        ),
    )


def format_table(models: Sequence[ReportModel]) -> str:
    """The table as aligned plain text for a terminal.

    Args:
        models: in the order of the rows.

    Returns:
        Lines without a final newline; numbers are aligned on the right.

    Example:
        print(format_table(report.models))
    """
    columns = comparison_table(models)
    padded = [_aligned(column.cells) for column in columns]
    widths = [max(map(len, (column.heading, *cells))) for column, cells in zip(columns, padded, strict=True)]
    lines = [[column.heading for column in columns], ["-" * width for width in widths]]
    lines += [list(row) for row in zip(*padded, strict=True)]
    aligned = [
        "  ".join(
            text.rjust(width) if place else text.ljust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join(aligned + [OVER_BUDGET_NOTE] * any(model.over_budget for model in models))


def _aligned(cells: Sequence[str]) -> list[str]:
    """With a blank where other cells have a star, so that digits stay below digits."""
    starred = any(cell.endswith(OVER_BUDGET) for cell in cells)
    return [cell if cell.endswith(OVER_BUDGET) or not starred else cell + " " for cell in cells]


def _columns(milliseconds: Callable[[float | None], str]) -> tuple[tuple[str, str, Callable[[ReportModel], str]], ...]:
    return (
        ("budget ms", "the latency that the search was allowed", lambda model: milliseconds(model.budget_ms)),
        ("predicted ms", "what the latency table says of it", lambda model: milliseconds(model.predicted_ms)),
        (
            "measured ms",
            "median latency of one image through its int8 file on the device",
            lambda model: milliseconds(model.measured_ms) + OVER_BUDGET * model.over_budget,
        ),
        ("predicted top-1 %", "what the accuracy predictor says of it", lambda model: percent(model.predicted_top1)),
        ("Keras top-1 %", "accuracy of its float32 Keras model", lambda model: percent(model.keras_top1)),
        ("int8 top-1 %", "accuracy of its int8 file on the same images", lambda model: percent(model.tflite_top1)),
        ("million MACs", "multiply-accumulates for one image", lambda model: f"{model.macs / 1e6:,.2f}"),
        (
            "int8 KB",
            "size of its int8 file (1 KB is 1,000 bytes)",
            lambda model: MISSING if model.model_bytes is None else f"{model.model_bytes / 1e3:,.1f}",
        ),
    )


def percent(share: float | None) -> str:
    """A share of 0..1 in percent, to a tenth."""
    return MISSING if share is None or not math.isfinite(share) else f"{share * 100:.1f}"


def _milliseconds_format(models: Sequence[ReportModel]) -> Callable[[float | None], str]:
    """One number of decimals for all latencies: three digits of the smallest, so that columns can be compared."""
    known = [ms for model in models for ms in (model.budget_ms, model.predicted_ms, model.measured_ms) if _usable(ms)]
    decimals = min(max(2 - math.floor(math.log10(min(known))), 1), 4) if known else 1
    return lambda ms: f"{ms:,.{decimals}f}" if _usable(ms) else MISSING


def _usable(ms: float | None) -> bool:
    return ms is not None and math.isfinite(ms) and ms > 0
