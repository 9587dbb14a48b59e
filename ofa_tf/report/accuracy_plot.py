"""Accuracy against latency: what the search found, among random sub-networks."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes

from ofa_tf.report import style
from ofa_tf.report.labels import place_labels
from ofa_tf.report.place import Place
from ofa_tf.report.report_model import ReportModel
from ofa_tf.report.report_point import ReportPoint

NAME = "accuracy-latency"


def accuracy_plot(models: Sequence[ReportModel], random_points: Sequence[ReportPoint] = ()) -> str:
    """An SVG of top-1 accuracy against latency.

    A point stands where it was measured; where only predictions exist for it, there, and hollow. Models with a budget
    are the searched ones.
    """
    groups = (
        ("random sub-network", "o", style.FAINT, 5, _places(random_points)),
        ("for comparison", "s", style.BLUE, 7, _places(model for model in models if model.budget_ms is None)),
        ("searched", "D", style.VERMILLION, 7, _places(model for model in models if model.budget_ms is not None)),
    )
    with style.drawing(NAME):
        figure, (axes,) = style.new_axes()
        for label, marker, colour, size, places in groups:
            _draw_group(axes, label, marker, colour, size, places)
        _draw_budgets(axes, sorted({model.budget_ms for model in models if model.budget_ms is not None}))
        axes.set_xlabel("latency in ms")
        axes.set_ylabel("top-1 accuracy in %")
        axes.margins(x=0.09, y=0.14)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower center", ncols=3)
        named = [(model.name, place) for model in models if (place := Place.of(model)) is not None]
        background = [(place.cost, place.percent) for place in groups[0][-1]]
        place_labels(
            axes,
            [name for name, _ in named],
            [(place.cost, place.percent) for _, place in named],
            background,
            fontweight="bold",
            bbox={"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 1},
        )
        return style.to_svg(
            figure,
            NAME,
            f"Accuracy against latency of {len(models)} models and {len(random_points)} random sub-networks",
        )


def _places(items: Iterable[ReportModel | ReportPoint]) -> list[Place]:
    return [place for item in items if (place := Place.of(item)) is not None]


def _draw_group(axes: Axes, label: str, marker: str, colour: str, size: float, places: Sequence[Place]) -> None:
    for measured in (True, False):
        chosen = [place for place in places if place.measured == measured]
        if chosen:
            axes.plot(
                [place.cost for place in chosen],
                [place.percent for place in chosen],
                linestyle="none",
                marker=marker,
                markersize=size,
                color=colour,
                markerfacecolor=colour if measured else "white",
                label=label if measured else f"{label} (predicted)",
                # Points at the same place remain countable.
                markeredgewidth=0.8,
                markeredgecolor="white" if measured else colour,
                zorder=3 if size > 5 else 2,
            )


def _draw_budgets(axes: Axes, budgets_ms: Sequence[float]) -> None:
    for budget_ms in budgets_ms:
        axes.axvline(budget_ms, color=style.VERMILLION, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.7, zorder=1)
    if budgets_ms:
        axes.plot([], [], color=style.VERMILLION, linewidth=0.8, linestyle=(0, (4, 3)), label="latency budget")
