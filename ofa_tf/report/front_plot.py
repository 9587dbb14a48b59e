"""The front of a device as an SVG whose marks can be pointed at and selected."""

import dataclasses
import math
from collections.abc import Sequence
from xml.etree import ElementTree

from ofa_tf.report.cost_kinds import COST_KINDS

WIDTH, HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 24, 46
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


@dataclasses.dataclass(frozen=True)
class FrontMark:
    """A mark of the plot.

    Args:
        group: "random", "searched", "baseline", "target", or "timed" for what has a cost only.
        cost: in the unit of the plot's kind of cost.
        percent: top-1 in percent; not read where the group is "timed".
        measured: False draws it hollow.
        name: read out where it has the focus.
        label: a few letters above it, "" for none.
        number: of the page's list of what can be selected.
    """

    group: str
    cost: float
    percent: float
    measured: bool
    name: str
    label: str = ""
    number: int = 0


def front_plot(marks: Sequence[FrontMark], limits: Sequence[float], *, kind: str, name: str) -> str:
    """An SVG of top-1 accuracy against a cost, made for the page's script and whole without it.

    Args:
        marks: in the order in which they are drawn; later ones lie on top.
        limits: drawn as upright lines, in the unit of the cost.
        kind: of the cost, a key of `COST_KINDS`.
        name: what it shows, for readers who do not see it.
    """
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
        place = x(tick * scale)
        _line(frame, "grid", place, _TOP, place, HEIGHT - _BOTTOM)
        _text(frame, "tick", place, HEIGHT - _BOTTOM + 18, f"{tick:,g}", "middle")
    _text(frame, "label", WIDTH - _RIGHT, HEIGHT - 6, COST_KINDS[kind].axis, "end")
    _text(frame, "label", 0, 13, "top-1 accuracy in %", "start")
    for limit in limits:
        _line(frame, "limit", x(limit), _TOP, x(limit), HEIGHT - _BOTTOM)
    searched = sorted((mark for mark in marks if mark.group == "searched"), key=lambda mark: mark.cost)
    found = [f"{x(mark.cost):.1f} {y(mark.percent):.1f}" for mark in searched]
    if len(found) > 1:
        ElementTree.SubElement(frame, "path", {"class": "joined", "d": f"M{'L'.join(found)}"})
    for mark in marks:
        height = HEIGHT - _BOTTOM if mark.group == "timed" else y(mark.percent)
        _draw(root, mark, x(mark.cost), height)
    return ElementTree.tostring(root, encoding="unicode")


def front_swatch(group: str, measured: bool = True) -> str:
    """A mark by itself, for the legend."""
    root = ElementTree.Element("svg", {"class": "front", "viewBox": "-10 -10 20 20", "width": "20", "height": "20"})
    ElementTree.SubElement(root, "path", {"class": _classes(group, measured), "d": _SHAPES[group]})
    return ElementTree.tostring(root, encoding="unicode")


def _classes(group: str, measured: bool) -> str:
    return f"mark {group}" + " predicted" * (not measured)


def _draw(root: ElementTree.Element, mark: FrontMark, x: float, y: float) -> None:
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
        # Those at the upper edge have no room above them.
        _text(group, "number", 0, -10 if y > _TOP + 12 else 20, mark.label, "middle")


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
        room = 0.06 * ((high - low) or abs(high) or 1)
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
    places = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    ElementTree.SubElement(parent, "line", {"class": name, **{key: f"{value:.1f}" for key, value in places.items()}})


def _text(parent: ElementTree.Element, name: str, x: float, y: float, text: str, anchor: str) -> None:
    attributes = {"class": name, "x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    ElementTree.SubElement(parent, "text", attributes).text = text
