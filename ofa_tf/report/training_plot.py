"""What `metrics.jsonl` says about a training run, on one axis of epochs, and its picture."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from ofa_tf.common import InputError
from ofa_tf.common.config import is_number
from ofa_tf.report import style

Series = tuple[tuple[float, float], ...]
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
_NAMES = {
    "smallest_ks": "smallest kernels only",
    "smallest_d": "smallest depth only",
    "smallest_e": "smallest expansion only",
    "smallest_w": "smallest width only",
}


@dataclasses.dataclass(frozen=True)
class TrainingCurve:
    """A run's numbers by epochs since the first stage began.

    Args:
        stages: (name, first, last) of each stage in the order of training: the epochs after which it began and ended.
        loss: (epoch, mean training loss) after each epoch, for each stage.
        top1: (epoch, top-1 on the training images as they passed, 0..1), for each stage.
        evaluations: for each watched sub-network, (epoch, calibrated top-1, 0..1).
        images: on how many images and which split the evaluations were made, in words, "" where there are none.

    Example:
        curve = TrainingCurve.from_metrics(read_json_lines("metrics.jsonl"))
    """

    stages: tuple[tuple[str, float, float], ...]
    loss: tuple[Series, ...]
    top1: tuple[Series, ...]
    evaluations: Mapping[str, Series]
    images: str

    @staticmethod
    def from_metrics(metrics: Sequence[Mapping[str, Any]]) -> "TrainingCurve":
        """Reads the lines of `metrics.jsonl`; of a line that was written twice, after a restart, the last one counts.

        Raises:
            InputError: a line lacks a field.
        """
        epochs: dict[str, dict[float, Mapping]] = {}
        evaluations: dict[tuple[str, str, float], Mapping] = {}
        for number, line in enumerate(metrics, start=1):
            try:
                stage, epoch, split = line["stage"], float(line["epoch"]), line["split"]
                figures = [line["top1"], line["images"] if "subnet" in line else line["loss"]]
                # The loss of a run that diverged is no number, but a float.
                if not (is_number(epoch) and all(type(figure) in (int, float) for figure in figures)):
                    raise ValueError(f"numbers, found {[epoch, *figures]}")
                if "subnet" in line:
                    evaluations[line["subnet"], stage, epoch] = line
                elif split == "train":
                    epochs.setdefault(stage, {})[epoch] = line
                else:
                    raise KeyError("subnet")
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"metrics.jsonl: entry {number} lacks {error} or has another form than tools.train writes; "
                    f"expected stage, epoch, split and top1, with a loss or a subnet; leave the entry out"
                ) from error
        names = list(dict.fromkeys([*epochs, *(stage for _, stage, _ in evaluations)]))
        stages, start = [], 0.0
        for name in names:
            seen = [*epochs.get(name, ()), *(epoch for _, stage, epoch in evaluations if stage == name)]
            stages.append((name, start, start + max(seen)))
            start += max(seen)
        starts = {name: first for name, first, _ in stages}
        watched: dict[str, list[tuple[float, float]]] = {}
        for (subnet, stage, epoch), line in evaluations.items():
            watched.setdefault(subnet, []).append((starts[stage] + epoch, line["top1"]))

        def series(field: str) -> tuple[Series, ...]:
            return tuple(
                tuple((starts[name] + epoch, line[field]) for epoch, line in sorted(epochs.get(name, {}).items()))
                for name in names
            )

        sizes = dict.fromkeys(
            f"{line['images']:,} images of the split “{line['split']}”" for line in evaluations.values()
        )
        return TrainingCurve(
            stages=tuple(stages),
            loss=series("loss"),
            top1=series("top1"),
            evaluations={subnet: tuple(sorted(points)) for subnet, points in watched.items()},
            images=" and ".join(sizes),
        )


def training_plot(curve: TrainingCurve) -> str:
    """An SVG of accuracy (above) and training loss (below) over the epochs of all stages.

    Args:
        curve: of a run.

    Returns:
        An `<svg>` element.

    Example:
        training_plot(TrainingCurve.from_metrics(read_json_lines("metrics.jsonl")))
    """
    with style.drawing(NAME):
        figure, (accuracy, loss) = style.new_axes(rows=2, height=5.6, ratios=(2, 1))
        for index in range(len(curve.stages)):
            for axes, series, scale in ((accuracy, curve.top1[index], 100), (loss, curve.loss[index], 1)):
                # A point for each epoch: a stage of one epoch is no line.
                axes.plot(
                    [epoch for epoch, _ in series], [value * scale for _, value in series], color=style.MUTED,
                    linewidth=1.3, marker=".", markersize=4, zorder=2,
                    label="training images" if axes is accuracy and index == 0 else None,
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
                label=_NAMES.get(subnet, subnet),
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
            style.legend_below(figure, 3)
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
        for index, (_, first, last) in enumerate(stages):
            if index % 2:
                axes.axvspan(first, last, color=style.GRID, alpha=0.55, linewidth=0, zorder=0)
    top = panels[0]
    # Names of short stages would run into each other: they stand on lines above each other.
    lines = 2 if len(stages) < 4 else 3
    for index, (name, first, last) in enumerate(stages):
        top.annotate(
            name, ((first + last) / 2, 1), (0, 4 + 13 * (index % lines)), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="bottom", color=style.MUTED,
        )  # fmt: skip
