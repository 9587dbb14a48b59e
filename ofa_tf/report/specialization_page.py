"""What the page of a specialization is filled with."""

import base64
import dataclasses
import hashlib
import json
import pathlib
import urllib.parse
from typing import Any

from ofa_tf.report import style
from ofa_tf.report.architecture_drawing import architecture_drawing, architecture_legend
from ofa_tf.report.comparison_table import percent
from ofa_tf.report.cost_kinds import COST_KINDS, CostKind
from ofa_tf.report.design_cost import CO2_LB_PER_HOUR, DesignCost
from ofa_tf.report.design_cost_plot import design_cost_plot, published_cost_plot
from ofa_tf.report.drawing_shelf import DrawingShelf
from ofa_tf.report.front_plot import FrontMark, front_plot, front_swatch
from ofa_tf.report.latency_errors import LatencyErrors
from ofa_tf.report.latency_plot import latency_plot
from ofa_tf.report.network_facts import architecture_facts, figures
from ofa_tf.report.place import Place
from ofa_tf.report.published_costs import PUBLISHED_COSTS, PUBLISHED_NOTE
from ofa_tf.report.report_baseline import ReportBaseline
from ofa_tf.report.report_device import ReportDevice
from ofa_tf.report.report_model import ReportModel
from ofa_tf.report.report_point import ReportPoint
from ofa_tf.report.report_target import STATUSES
from ofa_tf.report.specialization_report import SpecializationReport
from ofa_tf.report.target_table import COLUMNS, OVER_BUDGET_NOTE, TargetRow, target_rows

SCRIPT = pathlib.Path(__file__).with_name("specialization.js")
# Targets whose cost is told in the table; the plot shows N up to 40.
COUNTS = (1, 5, 10, 20, 40)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_GROUPS = {
    "target": "target, by its number",
    "searched": "front of the search",
    "random": "random sub-network",
    "baseline": "for comparison",
    "timed": "for comparison, cost only",
}


@dataclasses.dataclass(frozen=True)
class DeviceSection:
    """What the page shows of a device, ready to be written down."""

    device: ReportDevice
    kind: CostKind
    place: int
    rows: list[TargetRow]
    plot: str
    legend: list[tuple[str, str]]
    hollow: bool
    baselines: list[tuple[str, ReportBaseline, str]]
    latency_plot: str
    latency_errors: LatencyErrors

    @property
    def drawn(self) -> list[TargetRow]:
        """The rows that have an architecture."""
        return [row for row in self.rows if row.target.model]


def specialization_context(report: SpecializationReport) -> dict[str, Any]:
    """The variables of `specialization.html`."""
    script = SCRIPT.read_text(encoding="utf-8")
    shelf, points = DrawingShelf(), []
    rows = target_rows(report.targets)
    sections = [
        _section(place, device, [row for row in rows if row.target.device == device.name], points, shelf)
        for place, device in enumerate(report.devices)
    ]
    return {
        "script": script,
        # The only script that the browser may run; nothing may be loaded.
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "statuses": [(name, sum(row.target.status == name for row in rows), text) for name, text in STATUSES.items()],
        "table": COLUMNS,
        "over_budget_note": OVER_BUDGET_NOTE if any(target.broken for target in report.targets) else "",
        "sections": sections,
        "data": _script_data({"points": points, "pieces": shelf.pieces}),
        "drawing": lambda device, model: style.themed(architecture_drawing(device.space, model.arch)),
        "legend": _legend(report),
        "link": link,
        **_cost_context(report.cost),
    }


def _legend(report: SpecializationReport) -> list[tuple[str, str]]:
    """The marks of all spaces' drawings, each once."""
    found = dict.fromkeys(item for device in report.devices for item in architecture_legend(device.space))
    return [(style.themed(mark), text) for mark, text in found]


def _script_data(value: Any) -> str:
    """JSON inside a script element, which only a `<` could end."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c")


def link(path: str) -> str:
    """A relative path as an address: it can neither leave for another scheme nor end the attribute."""
    return urllib.parse.quote(path, safe="/")


def _cost_context(cost: DesignCost | None) -> dict[str, Any]:
    if cost is None:
        return {}
    ways = [
        ("once-for-all: trained once, then N specializations", cost.once_for_all),
        ("N trainings, as if finding the networks cost nothing", cost.separate_training),
        ("N searches and trainings", cost.separate),
    ]
    return {
        "counts": COUNTS,
        "cost_plots": [
            style.themed(design_cost_plot(cost, style.NARROW)),
            style.themed(published_cost_plot(style.NARROW)),
        ],
        "cost_rows": [(name, [hours(count) for count in COUNTS]) for name, hours in ways if hours(1) is not None],
        "published": [(method, [method.gpu_hours(count) for count in COUNTS]) for method in PUBLISHED_COSTS],
        "published_co2": CO2_LB_PER_HOUR,
        "sources": list(dict.fromkeys(method.source for method in PUBLISHED_COSTS)),
        "published_note": PUBLISHED_NOTE,
        "break_even": cost.break_even(),
        "break_even_training": cost.break_even(search=False),
        "amount": _amount,
        "duration": _duration,
    }


def _amount(value: float) -> str:
    """A number as people read it, in three digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1e-4 or value == 0 else f"{value:.0e}"


def _duration(hours: float) -> str:
    """A time as people say it."""
    if hours >= 1:
        return f"{_amount(hours)} hours"
    return f"{hours * 60:.1f} minutes" if hours * 60 >= 2 else f"{hours * 3600:.0f} seconds"


def _section(
    place: int, device: ReportDevice, rows: list[TargetRow], points: list[dict[str, Any]], shelf: DrawingShelf
) -> DeviceSection:
    marks = []

    def add(group: str, name: str, item: ReportModel | ReportPoint, label: str = "", row: TargetRow | None = None):
        spot = Place.of(item, device.kind)
        if spot is not None:
            spoken = f"{name}: {COST_KINDS[device.kind].format(spot.cost)}, top-1 {spot.percent:.1f} %"
            marks.append(FrontMark(group, spot.cost, spot.percent, spot.measured, spoken, label, len(points)))
            points.append(_point(group, name, device, item, shelf, row))

    for item in device.random:
        add("random", "random sub-network", item)
    for item in device.searched:
        add("searched", "found by the search", item)
    baselines = [
        (_LETTERS[number % len(_LETTERS)], it, COST_KINDS[device.kind].format(it.cost))
        for number, it in enumerate(device.baselines)
    ]
    for letter, it, cost in baselines:
        group = "baseline" if it.comparable else "timed"
        top1 = None if it.top1 is None else percent(it.top1)
        spoken = f"{it.name}: {cost}" + (f", top-1 {top1} %" if it.comparable else "")
        marks.append(FrontMark(group, it.cost, 100 * (it.top1 or 0), True, spoken, letter, len(points)))
        facts = [(COST_KINDS[device.kind].label, cost)]
        facts += [("top-1", f"{top1} %" + (f", on {it.images}" if it.images else ""))] if top1 else []
        facts += [("source", it.source)] if it.source else []
        points.append({"group": _GROUPS[group], "name": it.name, "facts": facts})
    for row in rows:
        if row.target.model:
            add("target", row.target.name, row.target.model, str(row.number), row)
    used = [group for group in _GROUPS if any(mark.group == group for mark in marks)]
    limits = sorted({row.target.limits[device.kind] for row in rows if device.kind in row.target.limits})
    what = f"Top-1 accuracy against {COST_KINDS[device.kind].axis} on {device.name}: {len(marks)} networks"
    models = [row.target.model for row in rows if row.target.model]
    checked = device.latency_pairs or any(None not in (it.predicted_ms, it.measured_ms) for it in models)
    return DeviceSection(
        device,
        COST_KINDS[device.kind],
        place,
        rows,
        front_plot(marks, limits, kind=device.kind, name=what) if marks else "",
        [
            (front_swatch(group, any(mark.measured for mark in marks if mark.group == group)), _GROUPS[group])
            for group in used
        ],
        any(not mark.measured for mark in marks),
        baselines,
        style.themed(latency_plot(device.latency_pairs, models, name=f"latency-{place}", width=style.NARROW))
        if checked
        else "",
        LatencyErrors.of(device.latency_pairs),
    )


def _point(
    group: str,
    name: str,
    device: ReportDevice,
    item: ReportModel | ReportPoint,
    shelf: DrawingShelf,
    row: TargetRow | None,
) -> dict[str, Any]:
    """What the script shows of a network that is pointed at or selected."""
    point = {
        "group": _GROUPS[group],
        "name": name,
        "facts": figures(device.space, item),
        "arch": architecture_facts(device.space, item.arch),
        "drawing": shelf.add(device.space, item.arch),
    }
    if row is None:
        return point
    target = row.target
    links = [(text, link(path)) for text, path in (("file", target.file), ("model card", target.model_card)) if path]
    return {
        **point,
        "group": f"target {row.number}",
        "row": f"target-{row.number}",
        "status": target.status,
        "reason": target.reason,
        "command": target.command,
        "links": links,
    }
