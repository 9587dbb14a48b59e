"""Predicted against measured latency, and how well they agree."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ofa_tf.predictors import holdout_metrics, mean_absolute_percentage_error
from ofa_tf.report import style

Pairs = Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class LatencyErrors:
    """Of (predicted, measured) pairs: how many, mean absolute percentage error, rank correlation where it is known."""

    count: int
    mape: float | None
    spearman: float | None

    @staticmethod
    def of(pairs: Pairs) -> "LatencyErrors":
        """The errors of pairs; fewer than three can hardly be ranked."""
        if not pairs:
            return LatencyErrors(0, None, None)
        predicted, measured = np.array(pairs, np.float64).T
        spearman = holdout_metrics(predicted, measured)["spearman"] if len(pairs) > 2 else None
        return LatencyErrors(len(pairs), mean_absolute_percentage_error(predicted, measured), spearman)

    def __str__(self):
        if self.mape is None:
            return "no network was measured to check the predictions"
        rank = "" if self.spearman is None else f", Spearman {self.spearman:.3f}"
        return f"{self.count} networks: MAPE {self.mape:.1f} %{rank}"


def latency_plot(pairs: Pairs, targets: Pairs = (), *, name: str = "latency", width: float = style.WIDTH) -> str:
    """An SVG of predicted against measured latency, with the diagonal on which they are equal.

    Args:
        pairs: (predicted, measured) in milliseconds; the errors in the title are theirs alone, and those of the targets
            where there are no pairs.
        targets: the same of networks that are drawn beside them.
        name: unique in the page that the plot stands in.
        width: in inches.

    Returns:
        An `<svg>` element.

    Example:
        latency_plot([(0.20, 0.21), (0.30, 0.29), (0.40, 0.41)])
    """
    errors = LatencyErrors.of(pairs or targets)
    with style.drawing(name):
        figure, (axes,) = style.new_axes(height=5.2 * width / style.WIDTH, width=width)
        ends = [value for pair in (*pairs, *targets) for value in pair] or [0.0, 1.0]
        margin = 0.06 * ((max(ends) - min(ends)) or max(ends) or 1)
        low, high = min(ends) - margin, max(ends) + margin
        axes.plot([low, high], [low, high], color=style.MUTED, linewidth=1, label="predicted = measured", zorder=1)
        for points, label, marker, colour in (
            (pairs, "whole network", "o", style.BLUE),
            (targets, "network of a target", "D", style.VERMILLION),
        ):
            if points:
                predicted, measured = zip(*points, strict=True)
                axes.plot(
                    measured, predicted, linestyle="none", marker=marker, markersize=6.5, color=colour, label=label,
                    markeredgecolor="white", markeredgewidth=0.8,
                )  # fmt: skip
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="measured latency in ms")
        axes.set_ylabel("predicted latency in ms")
        axes.set_title(str(errors))
        axes.legend(loc="upper left")
        return style.to_svg(figure, name, f"Predicted against measured latency: {errors}")
