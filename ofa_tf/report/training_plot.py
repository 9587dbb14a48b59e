"""The training curve by stage."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from ofa_tf.report import style
from ofa_tf.report.training_curve import TrainingCurve

NAME = "training"

# Marks of the sub-networks that training watches; another one takes the next of the spare marks.
_MARKS = {
    "largest": ("^", style.BLUE),
    "smallest": ("v", style.VERMILLION),
    "smallest_ks": ("s", style.GREEN),
    "smallest_d": ("D", style.PURPLE),
    "smallest_e": ("o", style.ORANGE),
}
_SPARE_MARKS = (("P", style.INK), ("X", style.SKY), ("*", style.MUTED))
_WORDS = {
    "smallest_ks": "smallest kernels only",
    "smallest_d": "smallest depth only",
    "smallest_e": "smallest expansion only",
    "smallest_w": "smallest width only",
}


def training_plot(curve: TrainingCurve) -> str:
    """An SVG of accuracy (above) and training loss (below) over the epochs of all stages."""
    with style.drawing(NAME):
        figure, (accuracy, loss) = style.new_axes(rows=2, height=5.6, ratios=(2, 1))
        for place in range(len(curve.stages)):
            for axes, series, scale in ((accuracy, curve.top1[place], 100), (loss, curve.loss[place], 1)):
                # A point for each epoch: a stage of one epoch is no line.
                axes.plot(
                    [epoch for epoch, _ in series], [value * scale for _, value in series], color=style.MUTED,
                    linewidth=1.3, marker=".", markersize=4, zorder=2,
                    label="training images" if axes is accuracy and place == 0 else None,
                )  # fmt: skip
        spare = iter(_SPARE_MARKS * len(curve.evaluations))
        for subnet, points in curve.evaluations.items():
            marker, colour = _MARKS.get(subnet) or next(spare)
            epochs, top1 = zip(*points, strict=True)
            # The corner of a stage's own field is often as good as the largest, and would hide it.
            aside = 0 if subnet in ("largest", "smallest") else 7
            accuracy.plot(
                epochs,
                [value * 100 for value in top1],
                linestyle="none",
                marker=marker,
                color=colour,
                markersize=7,
                markeredgecolor="white",
                markeredgewidth=0.8,
                label=_WORDS.get(subnet, subnet),
                zorder=3,
                transform=offset_copy(accuracy.transData, figure, x=aside, units="points"),
            )
        _fit_accuracy_axis(accuracy, curve)
        _mark_stages((accuracy, loss), curve.stages)
        accuracy.set_ylabel("top-1 accuracy in %")
        loss.set_ylabel("training loss")
        loss.set_xlabel("epoch")
        figure.align_ylabels()
        if accuracy.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower center", ncols=3)
        names = ", ".join(name for name, _, _ in curve.stages)
        return style.to_svg(figure, NAME, f"Accuracy and loss by epoch through the stages {names}")


def _fit_accuracy_axis(axes: Axes, curve: TrainingCurve) -> None:
    """Gives the height to what stages change: the steep first epochs may begin below the axis."""
    training = sorted(value * 100 for series in curve.top1 for _, value in series if math.isfinite(value))
    watched = [value * 100 for points in curve.evaluations.values() for _, value in points]
    values = training[len(training) // 10 :] + watched
    if values:
        margin = 0.08 * (max(values) - min(values)) or 1
        axes.set_ylim(min(values) - margin, max(values) + margin)


def _mark_stages(panels: Sequence[Axes], stages: Sequence[tuple[str, float, float]]) -> None:
    end = max((last for _, _, last in stages), default=1)
    for axes in panels:
        axes.grid(visible=False, axis="x")
        axes.set_xlim(0, end * 1.03)
        for place, (_, first, last) in enumerate(stages):
            if place % 2:
                axes.axvspan(first, last, color=style.GRID, alpha=0.55, linewidth=0, zorder=0)
    top = panels[0]
    # Names of short stages would run into each other: they stand on lines above each other.
    lines = 2 if len(stages) < 4 else 3
    for place, (name, first, last) in enumerate(stages):
        top.annotate(
            name, ((first + last) / 2, 1), (0, 4 + 13 * (place % lines)), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="bottom", color=style.MUTED,
        )  # fmt: skip
