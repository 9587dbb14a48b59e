"""Accuracy against cost: the front of a device, whose marks can be pointed at, and plain lines for other pages."""

import dataclasses
import math
import sys
from collections.abc import Sequence
from xml.etree import ElementTree

from ofa_tf.report import style
from ofa_tf.report.text import COST_KINDS

WIDTH, HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 24, 46
# The room of one letter or digit of a label, in the plot's own unit.
_LETTER, _LETTER_HEIGHT = 7, 10
# From this ratio of the largest to the smallest cost on, the axis is logarithmic.
_LOGARITHMIC = 6
_SHAPES = {
    "random": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0Z",
    "searched": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
    "baseline": "M-5 -5H5V5H-5Z",
    "target": "M0 -7L7 0L0 7L-7 0Z",
    # Only timed: it stands on the axis.
    "timed": "M0 -9L5 0H-5Z",
}

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
class FrontMark:
    """A mark of the plot: hollow unless measured, labelled with a few letters, `number` in the list of selectable ones.

    The group is "random", "searched", "baseline", "target", or "timed" for what has a cost only; `name` is read aloud.
    """

    group: str
    cost: float
    percent: float
    measured: bool
    name: str
    label: str = ""
    number: int = 0


def front_plot(marks: Sequence[FrontMark], limits: Sequence[float], *, kind: str, name: str) -> str:
    """An SVG of top-1 accuracy against a cost, made for the page's script and whole without it; later marks on top."""
    scale = COST_KINDS[kind].scale
    root = ElementTree.Element(
        "svg", {"class": "front", "viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "listbox", "aria-label": name}
    )
    across = _Axis.over(
        [*(mark.cost / scale for mark in marks), *(limit / scale for limit in limits)], logarithmic=True
    )
    up = _Axis.over([mark.percent for mark in marks if mark.group != "timed"])

    def x(cost: float) -> float:
        return _LEFT + across.share(cost / scale) * (WIDTH - _LEFT - _RIGHT)

    def y(percent: float) -> float:
        return HEIGHT - _BOTTOM - up.share(percent) * (HEIGHT - _TOP - _BOTTOM)

    frame = ElementTree.SubElement(root, "g", {"aria-hidden": "true"})
    for tick in up.ticks(8):
        _line(frame, "grid", _LEFT, y(tick), WIDTH - _RIGHT, y(tick))
        _text(frame, "tick", _LEFT - 7, y(tick) + 4, f"{tick:g}", "end")
    for tick in across.ticks(8):
        left = x(tick * scale)
        _line(frame, "grid", left, _TOP, left, HEIGHT - _BOTTOM)
        _text(frame, "tick", left, HEIGHT - _BOTTOM + 18, f"{tick:,g}", "middle")
    _text(frame, "label", WIDTH - _RIGHT, HEIGHT - 6, COST_KINDS[kind].axis, "end")
    _text(frame, "label", 0, 13, "top-1 accuracy in %", "start")
    for limit in limits:
        _line(frame, "limit", x(limit), _TOP, x(limit), HEIGHT - _BOTTOM)
    searched = sorted((mark for mark in marks if mark.group == "searched"), key=lambda mark: mark.cost)
    found = [f"{x(mark.cost):.1f} {y(mark.percent):.1f}" for mark in searched]
    if len(found) > 1:
        ElementTree.SubElement(frame, "path", {"class": "joined", "d": f"M{'L'.join(found)}"})
    spots = [(x(mark.cost), HEIGHT - _BOTTOM if mark.group == "timed" else y(mark.percent)) for mark in marks]
    labels = _label_offsets([mark.label for mark in marks], spots)
    for mark, spot, offset in zip(marks, spots, labels, strict=True):
        _draw(root, mark, *spot, offset)
    return ElementTree.tostring(root, encoding="unicode")


def front_swatch(group: str, measured: bool = True) -> str:
    """A mark by itself, for the legend."""
    root = ElementTree.Element("svg", {"class": "front", "viewBox": "-10 -10 20 20", "width": "20", "height": "20"})
    ElementTree.SubElement(root, "path", {"class": _classes(group, measured), "d": _SHAPES[group]})
    return ElementTree.tostring(root, encoding="unicode")


def _classes(group: str, measured: bool) -> str:
    return f"mark {group}" + " predicted" * (not measured)


def _draw(root: ElementTree.Element, mark: FrontMark, x: float, y: float, label: tuple[float, float]) -> None:
    group = ElementTree.SubElement(
        root,
        "g",
        {
            "class": _classes(mark.group, mark.measured),
            "transform": f"translate({x:.1f} {y:.1f})",
            "role": "option",
            "aria-selected": "false",
            "aria-label": mark.name,
            "data-number": str(mark.number),
        },
    )
    ElementTree.SubElement(group, "path", {"d": _SHAPES[mark.group]})
    if mark.label:
        _text(group, "number", *label, mark.label, "middle")


def _label_offsets(labels: Sequence[str], spots: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where each label stands from its mark: inside, off other labels, and off as many marks as possible."""
    taken: list[tuple[float, float, float, float]] = []
    offsets = []
    for label, (x, y) in zip(labels, spots, strict=True):
        half = _LETTER * len(label) / 2
        beside = 8 + half
        choices = []
        for dx, dy in ((0, -10), (0, 20), (beside, 4), (-beside, 4), (beside, -9), (-beside, -9), (0, -23), (0, 33)):
            box = left, right, top, bottom = x + dx - half, x + dx + half, y + dy - _LETTER_HEIGHT, y + dy
            outside = left < _LEFT or right > WIDTH or top < 0 or bottom > HEIGHT - _BOTTOM
            covered = sum(
                left < other[1] and other[0] < right and top < other[3] and other[2] < bottom for other in taken
            )
            hidden = sum(left - 4 < across < right + 4 and top - 4 < down < bottom + 4 for across, down in spots)
            choices.append((outside, covered, hidden, len(choices), box, (dx, dy)))
        *_, box, offset = min(choices)
        offsets.append(offset)
        if label:
            taken.append(box)
    return offsets


@dataclasses.dataclass(frozen=True)
class _Axis:
    """A range of values on a line of length 1."""

    low: float
    high: float
    logarithmic: bool

    @staticmethod
    def over(values: Sequence[float], logarithmic: bool = False) -> "_Axis":
        """An axis that holds all values with some room; logarithmic only where that is allowed and called for."""
        low, high = min(values, default=0.0), max(values, default=1.0)
        if logarithmic and low > 0 and high / low > _LOGARITHMIC:
            room = (high / low) ** 0.06
            return _Axis(low / room, high * room, True)
        # The smallest of numbers have no six hundredths.
        room = max(0.06 * ((high - low) or abs(high) or 1), sys.float_info.min)
        return _Axis(low - room, high + room, False)

    def share(self, value: float) -> float:
        """Where a value stands, 0..1."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[float]:
        """Round values inside, at most so many."""
        if self.logarithmic:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in ((1, 2, 5), (1, 3), (1,)):
                found = [float(f"{step}e{power}") for power in powers for step in steps]
                found = [tick for tick in found if self.low <= tick <= self.high]
                if len(found) <= most:
                    return found
            return found[:: math.ceil(len(found) / most)]
        power = math.floor(math.log10((self.high - self.low) / most))
        # 1, 2 and 5 times a power of ten; the last is always large enough.
        step = next(s for s in (float(f"{m}e{power}") for m in (1, 2, 5, 10)) if (self.high - self.low) / s <= most)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [round(count * step, max(-power, 0)) for count in range(first, last + 1)]


def _line(parent: ElementTree.Element, name: str, x1: float, y1: float, x2: float, y2: float) -> None:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    ElementTree.SubElement(parent, "line", {"class": name, **{key: f"{value:.1f}" for key, value in ends.items()}})


def _text(parent: ElementTree.Element, name: str, x: float, y: float, text: str, anchor: str) -> None:
    attributes = {"class": name, "x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    ElementTree.SubElement(parent, "text", attributes).text = text


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
        style.legend_below(figure, min(3, len(series)))
        count = sum(len(line.points) for line in series)
        return style.to_svg(figure, name, f"Top-1 accuracy against {cost_label}: {count} points in {len(series)} lines")
