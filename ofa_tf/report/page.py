"""The report as one file that opens anywhere, offline."""

import os
import pathlib

import jinja2

from ofa_tf.common import write_text
from ofa_tf.report import style
from ofa_tf.report.accuracy_plot import accuracy_plot
from ofa_tf.report.architecture_drawing import architecture_drawing, architecture_legend
from ofa_tf.report.comparison_table import OVER_BUDGET_NOTE, comparison_table, percent
from ofa_tf.report.latency_errors import LatencyErrors
from ofa_tf.report.latency_plot import latency_plot
from ofa_tf.report.report import Report
from ofa_tf.report.specialization_page import specialization_context
from ofa_tf.report.specialization_report import SpecializationReport
from ofa_tf.report.training_curve import TrainingCurve
from ofa_tf.report.training_plot import training_plot

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def render_report(report: Report | SpecializationReport) -> str:
    """The page as HTML text: everything inline, nothing loaded from elsewhere.

    The page of a `SpecializationReport` has one script, of its own, and is whole without it; the other has none.
    """
    curve = TrainingCurve.from_metrics(report.metrics) if report.metrics else None
    common = {
        "report": report,
        "curve": curve,
        "training_plot": style.themed(training_plot(curve)) if curve else "",
        "percent": percent,
        "count": _count,
    }
    if isinstance(report, SpecializationReport):
        context = specialization_context(report)
        return _TEMPLATES.get_template("specialization.html").render(**common, **context)
    return _TEMPLATES.get_template("report.html").render(
        **common,
        columns=comparison_table(report.models),
        over_budget_note=OVER_BUDGET_NOTE if any(model.over_budget for model in report.models) else "",
        accuracy_plot=style.themed(accuracy_plot(report.models, report.random_points)),
        drawings=[(model, style.themed(architecture_drawing(report.space, model.arch))) for model in report.models],
        legend=[(style.themed(mark), text) for mark, text in architecture_legend(report.space)],
        latency_errors=LatencyErrors.of(report.latency_pairs),
        latency_plot=style.themed(latency_plot(report.latency_pairs, report.models)) if report.latency_pairs else "",
    )


def _count(number: int) -> str:
    """A number as people write it, however large."""
    if number < 10**9:
        return f"{number:,}"
    mantissa, exponent = f"{number:.0e}".split("e+")
    return f"about {mantissa} \N{MULTIPLICATION SIGN} 10{exponent.translate(_RAISED)}"


def write_report(path: str | os.PathLike, report: Report | SpecializationReport) -> None:
    """Writes the report as one self-contained HTML file, atomically.

    Args:
        path: usually `report.html` in the run directory.
        report: what it shows.

    Raises:
        InputError: the file cannot be written, or an entry of `report.metrics` lacks a field.

    Example:
        write_report("report.html", report)
    """
    write_text(path, render_report(report))
