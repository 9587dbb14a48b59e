"""Device hours over the number of targets: trained once, against trained for each."""

from collections.abc import Callable, Sequence

from matplotlib.ticker import FuncFormatter, NullFormatter

from ofa_tf.report import style
from ofa_tf.report.design_cost import DesignCost
from ofa_tf.report.published_costs import PUBLISHED_COSTS

TARGETS = range(1, 41)
NAME, PUBLISHED_NAME = "design-cost", "published-cost"
_LOOKS = (
    (style.VERMILLION, "-"),
    (style.BLUE, "--"),
    (style.GREEN, "-."),
    (style.ORANGE, (0, (1, 1))),
    (style.PURPLE, (0, (5, 1))),
    (style.SKY, (0, (3, 1, 1, 1))),
    (style.MUTED, (0, (1, 2))),
)
Line = tuple[str, Callable[[int], float | None]]


def design_cost_plot(cost: DesignCost, width: float = style.WIDTH) -> str:
    """An SVG of a run's device hours for 1 to 40 targets."""
    lines: list[Line] = [
        ("once-for-all", cost.once_for_all),
        ("N trainings", cost.separate_training),
        ("N searches and trainings", cost.separate),
    ]
    return _plot(NAME, [line for line in lines if line[1](1) is not None], "device hours, as recorded", width)


def published_cost_plot(width: float = style.WIDTH) -> str:
    """An SVG of what other methods were published to cost for 1 to 40 targets."""
    lines = [(method.name, method.gpu_hours) for method in reversed(PUBLISHED_COSTS)]
    return _plot(PUBLISHED_NAME, lines, "GPU hours, as published", width)


def _plot(name: str, lines: Sequence[Line], axis: str, width: float) -> str:
    with style.drawing(name):
        rows = (len(lines) + 1) // 2
        figure, (axes,) = style.new_axes(height=3.4 + 0.2 * rows, width=width)
        for (colour, dashes), (label, hours) in zip(_LOOKS, lines, strict=False):
            axes.plot(
                TARGETS, [hours(count) for count in TARGETS], color=colour, linestyle=dashes, linewidth=1.6, label=label
            )
        axes.set(yscale="log", xlabel="targets, N", ylabel=axis, xlim=(1, TARGETS[-1]), xticks=(1, 10, 20, 30, 40))
        # matplotlib's own labels of a logarithmic axis are formulas, which `style` does not set.
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        figure.legend(loc="outside lower center", ncols=2)
        names = ", ".join(label for label, _ in lines)
        return style.to_svg(figure, name, f"{axis} for 1 to {TARGETS[-1]} targets: {names}")
