"""Accuracy against any cost: fronts and published points in one picture."""

import dataclasses
from collections.abc import Sequence

from ofa_tf.report import style

_LOOKS = (
    ("D", style.VERMILLION),
    ("s", style.BLUE),
    ("^", style.GREEN),
    ("o", style.ORANGE),
    ("v", style.PURPLE),
    ("P", style.SKY),
)
# With more points than this, marks run into each other and a line says it better.
_MOST_MARKS = 40


@dataclasses.dataclass(frozen=True)
class TradeoffSeries:
    """What is drawn in one colour and joined by a line.

    Args:
        label: for the legend.
        points: (cost, top-1 in percent), in the order in which they are joined.
    """

    label: str
    points: tuple[tuple[float, float], ...]


def tradeoff_plot(series: Sequence[TradeoffSeries], *, name: str, cost_label: str) -> str:
    """An SVG of top-1 accuracy against a cost.

    Args:
        series: at most six, told apart by colour and mark.
        name: unique in the page that the plot stands in.
        cost_label: of the horizontal axis, with the unit.

    Example:
        points = tuple((c.costs["latency_ms"], 100 * c.predicted_top1) for c in front.candidates)
        tradeoff_plot([TradeoffSeries("this supernet", points)], name="front", cost_label="latency in ms")
    """
    if len(series) > len(_LOOKS):
        raise ValueError(f"{len(series)} series, at most {len(_LOOKS)} can be told apart")
    with style.drawing(name):
        figure, (axes,) = style.new_axes()
        for (marker, colour), line in zip(_LOOKS, series, strict=False):
            axes.plot(
                [cost for cost, _ in line.points],
                [percent for _, percent in line.points],
                color=colour,
                marker=marker if len(line.points) <= _MOST_MARKS else "",
                markersize=6,
                markeredgecolor="white",
                linewidth=1.4,
                label=line.label,
            )
        axes.set_xlabel(cost_label)
        axes.set_ylabel("top-1 accuracy in %")
        axes.margins(x=0.06, y=0.08)
        figure.legend(loc="outside lower center", ncols=min(3, len(series)))
        count = sum(len(line.points) for line in series)
        return style.to_svg(figure, name, f"Top-1 accuracy against {cost_label}: {count} points in {len(series)} lines")
