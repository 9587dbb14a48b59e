"""Predicted against measured latency."""

from collections.abc import Sequence

from ofa_tf.report import style
from ofa_tf.report.latency_errors import LatencyErrors
from ofa_tf.report.report_model import ReportModel

NAME = "latency"


def latency_plot(
    pairs: Sequence[tuple[float, float]],
    models: Sequence[ReportModel] = (),
    *,
    name: str = NAME,
    width: float = style.WIDTH,
) -> str:
    """An SVG of predicted against measured latency, with the diagonal on which they are equal.

    Args:
        pairs: (predicted, measured) in milliseconds; the errors in the title are theirs alone, and those of the models
            where there are no pairs.
        models: drawn beside them where both latencies are known.
        name: unique in the page that the plot stands in.
        width: in inches.
    """
    chosen = [
        (model.predicted_ms, model.measured_ms)
        for model in models
        if model.predicted_ms is not None and model.measured_ms is not None
    ]
    errors = LatencyErrors.of(pairs or chosen)
    with style.drawing(name):
        figure, (axes,) = style.new_axes(height=5.2 * width / style.WIDTH, width=width)
        ends = [value for pair in (*pairs, *chosen) for value in pair] or [0.0, 1.0]
        margin = 0.06 * ((max(ends) - min(ends)) or max(ends) or 1)
        low, high = min(ends) - margin, max(ends) + margin
        axes.plot([low, high], [low, high], color=style.MUTED, linewidth=1, label="predicted = measured", zorder=1)
        for points, label, marker, colour in (
            (pairs, "random network", "o", style.BLUE),
            (chosen, "model of the table", "D", style.VERMILLION),
        ):
            if points:
                predicted, measured = zip(*points, strict=True)
                axes.plot(
                    measured, predicted, linestyle="none", marker=marker, markersize=6.5, color=colour, label=label,
                    markeredgecolor="white", markeredgewidth=0.8,
                )  # fmt: skip
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="measured latency in ms")
        axes.set_ylabel("predicted latency in ms")
        axes.set_title(error_text(errors))
        axes.legend(loc="upper left")
        return style.to_svg(figure, name, f"Predicted against measured latency: {error_text(errors)}")


def error_text(errors: LatencyErrors) -> str:
    """The errors in words: the plot's title."""
    if errors.mape is None:
        return "no network was measured to check the predictions"
    rank = "" if errors.spearman is None else f", Spearman {errors.spearman:.3f}"
    return f"{errors.count} networks: MAPE {errors.mape:.1f} %{rank}"
