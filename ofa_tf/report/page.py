"""The page of a specialization: one file that opens anywhere, offline."""

import base64
import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jinja2

from ofa_tf.common import InputError, read_json_lines, write_json, write_text
from ofa_tf.predictors import AccuracyPredictor
from ofa_tf.report import style, text
from ofa_tf.report.architecture_drawing import architecture_drawing, architecture_legend, drawing_pieces
from ofa_tf.report.data import DeviceResults, PageData, gather, load_results
from ofa_tf.report.design_cost import (
    CO2_LB_PER_HOUR,
    PUBLISHED_COSTS,
    PUBLISHED_NOTE,
    DesignCost,
    cost_of_run,
    design_cost_plot,
    published_cost_plot,
)
from ofa_tf.report.front_plot import FrontMark, front_plot, front_swatch
from ofa_tf.report.latency_plot import latency_plot
from ofa_tf.report.text import COST_KINDS, accuracies, measured_cost, percent, predicted_cost
from ofa_tf.report.training_plot import TrainingCurve, training_plot
from ofa_tf.search.constraint import LatencyPredictor

if TYPE_CHECKING:
    from ofa_tf.specialize import Target, TargetResult

_FOLDER = pathlib.Path(__file__).parent
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# What a target can come to, with what the page says of it.
STATUSES = {
    "verified": "a file that was checked on images and measured on its device, inside every limit",
    "exported": "a file that was checked on images; a figure is only predicted, as its device or runtime is not here",
    "architecture": "an architecture with its predicted figures; the weights of its space are not here",
    "failed": "no result that keeps its limits; the reason stands below it",
}
# Numbers of targets whose cost is told in the table; the plot shows up to 40.
_COUNTS = (1, 5, 10, 20, 40)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_GROUPS = {
    "target": "target, by its number",
    "searched": "front of the search",
    "random": "random sub-network",
    "baseline": "for comparison",
    "timed": "for comparison, cost only",
}


def write_specialization(
    output_directory: str | os.PathLike,
    *,
    machine: Mapping[str, str],
    predictor_of: "Callable[[Target], AccuracyPredictor]",
    table_of: "Callable[[Target], LatencyPredictor | None]",
    results: "Sequence[TargetResult] | None" = None,
    others: "Sequence[TargetResult]" = (),
    run_directory: str | os.PathLike | None = None,
    images: str | None = None,
    title: str = "One supernet, specialized",
    notes: Mapping[str, Any] | None = None,
    co2_lb_per_hour: float | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> pathlib.Path:
    """Writes `report.html`, and `report.json` with what it shows, beside the results of a specialization.

    Targets are grouped by device, precision, threads, predictor and the kind of their limit; for each group the front
    of its space is searched anew.

    Args:
        output_directory: with `targets/NAME/result.json` and the files beside it, and with `baselines.json` where
            `ofa_tf.devices.baselines.measure_baselines` wrote one.
        machine: what `ofa_tf.devices.host.describe()` says of the machine that the results were made on.
        predictor_of: the accuracy predictor of a target, and so its space; a group without one is left out and told.
        table_of: what predicts the latency of a target; None where its latency is not limited.
        results: in the order of the page; those in the folder, by name, unless given.
        others: further sub-networks of the same devices, in the results' form. Those with a measured accuracy stand in
            the front in place of random ones; those with a predicted and a measured latency check the latency table.
        run_directory: of the supernet's training, for its curve (`metrics.jsonl`) and the design cost
            (`timing.jsonl`).
        images: what accuracies were measured on, in words; so many validation images unless given.
        title: the page's heading.
        notes: where everything comes from, by name: command, supernet, seeds.
        co2_lb_per_hour: pounds of CO2 for each device hour, the method's published factor unless given.
        say: told what could not be drawn, and why.

    Returns:
        The page.

    Raises:
        InputError: there is no result, one contradicts itself or its space, or a log of the run is damaged.
        OfaError: no group has a predictor.

    Example:
        write_specialization("OUT", machine=host.describe(), predictor_of=lambda target: predictor,
                             table_of=lambda target: LatencyTable.load("OUT/tables/host.json"))
    """
    folder = pathlib.Path(output_directory)
    results = load_results(folder) if results is None else results
    versions = [f"{name} {value}" for name, value in machine.items() if name not in ("cpu", "cores", "os")]
    notes = {
        "date": datetime.date.today().isoformat(),
        **(notes or {}),
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['os']}",
        "versions": ", ".join(versions),
        "time": f"{sum(result.seconds for result in results):.0f} s for {len(results)} targets",
    }
    run = None if run_directory is None else pathlib.Path(run_directory)
    if run is not None and not run.is_dir():
        raise InputError(f"{run}: no such run, expected a directory of tools.train; check the path")
    specialization = PageData(
        folder,
        title,
        gather(folder, results, machine, predictor_of, table_of, others, images, say),
        read_json_lines(run / "metrics.jsonl") if run and (run / "metrics.jsonl").exists() else (),
        cost_of_run(run, results, machine, co2_lb_per_hour),
        notes,
    )
    page = render(specialization)
    write_json(folder / "report.json", specialization.to_dict())
    write_text(folder / "report.html", page)
    return folder / "report.html"


def render(specialization: PageData) -> str:
    """The page as HTML: everything inline, nothing loaded, one script of its own without which it is whole."""
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    rows = [_Row.of(number, result, specialization) for number, result in enumerate(specialization.results, start=1)]
    sections, points, pieces, first = [], [], {}, 0
    for index, device in enumerate(specialization.devices):
        own = rows[first : first + len(device.results)]
        first += len(own)
        sections.append(_section(index, device, own, points, pieces))
    legends = dict.fromkeys(mark for device in specialization.devices for mark in architecture_legend(device.space))
    curve = TrainingCurve.from_metrics(specialization.metrics) if specialization.metrics else None
    return _TEMPLATES.get_template("page.html").render(
        title=specialization.title,
        notes=specialization.notes,
        script=script,
        # The only script that the browser may run; nothing may be loaded.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        statuses=[(name, sum(row.result.status == name for row in rows), told) for name, told in STATUSES.items()],
        table=text.COLUMNS,
        over_budget_note=text.OVER_BUDGET_NOTE if any(text.broken_limits(row.result) for row in rows) else "",
        sections=sections,
        data=_script_data({"points": points, "pieces": list(pieces)}),
        drawing=lambda space, arch: style.themed(architecture_drawing(space, arch)),
        legend=[(style.themed(mark), told) for mark, told in legends],
        link=_link,
        curve=curve,
        training_plot=style.themed(training_plot(curve)) if curve else "",
        percent=percent,
        count=text.count,
        amount=text.amount,
        duration=text.duration,
        **_cost_context(specialization.cost),
    )


def _script_data(value: Any) -> str:
    """JSON inside a script element, which only a `<` could end."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def _link(path: str) -> str:
    """A relative path as an address: it can neither leave for another scheme nor end the attribute."""
    return urllib.parse.quote(path, safe="/")


def _cost_context(cost: DesignCost | None) -> dict[str, Any]:
    if cost is None:
        return {"cost": None}
    ways = [
        ("once-for-all: trained once, then N specializations", cost.once_for_all),
        ("N trainings, as if finding the networks cost nothing", cost.separate_training),
        ("N searches and trainings", cost.separate),
    ]
    plots = (design_cost_plot(cost, style.NARROW), published_cost_plot(style.NARROW))
    return {
        "cost": cost,
        "counts": _COUNTS,
        "cost_plots": [style.themed(plot) for plot in plots],
        "cost_rows": [(name, [hours(targets) for targets in _COUNTS]) for name, hours in ways if hours(1) is not None],
        "published": [(method, [method.gpu_hours(targets) for targets in _COUNTS]) for method in PUBLISHED_COSTS],
        "published_co2": CO2_LB_PER_HOUR,
        "sources": list(dict.fromkeys(method.source for method in PUBLISHED_COSTS)),
        "published_note": PUBLISHED_NOTE,
        "break_even": cost.break_even(),
        "break_even_training": cost.break_even(search=False),
    }


@dataclasses.dataclass(frozen=True)
class _Row:
    """A target in the table, with the lines of each cell."""

    number: int
    result: "TargetResult"
    cells: tuple[tuple[str, ...], ...]
    macs: str
    file: str
    card: str

    @staticmethod
    def of(number: int, result: "TargetResult", specialization: PageData) -> "_Row":
        cells = text.table_cells(result)
        macs = dict(zip((heading for heading, _ in text.COLUMNS), cells, strict=True))["million MACs"][0]
        return _Row(number, result, cells, macs, specialization.file(result), specialization.file(result, ".md"))


def _section(
    index: int, device: DeviceResults, rows: list[_Row], points: list[dict[str, Any]], pieces: dict[str, int]
) -> dict[str, Any]:
    """What the page shows of a device; what its script shows is added to `points` and `pieces`."""
    cost_kind, marks = COST_KINDS[device.kind], []

    def add(mark: str, name: str, network: "text.Network", label: str = "", **facts: Any) -> None:
        measured, (predicted_top1, keras_top1, file_top1) = measured_cost(network, device.kind), accuracies(network)
        cost = predicted_cost(network, device.kind) if measured is None else measured
        # The file's, as that of baselines is.
        top1 = next((it for it in (file_top1, keras_top1, predicted_top1) if it is not None), None)
        if cost is None or top1 is None:
            return
        known = measured is not None and (file_top1 is not None or keras_top1 is not None)
        spoken = f"{name}: {cost_kind.format(cost)}, top-1 {percent(top1)} %"
        marks.append(FrontMark(mark, cost, 100 * top1, known, spoken, label, len(points)))
        points.append(
            {
                "group": _GROUPS[mark],
                "name": name,
                "facts": text.figures(device.space, network),
                "arch": text.architecture_facts(device.space, network.arch),
                "drawing": drawing_pieces(device.space, network.arch, pieces),
                **facts,
            }
        )

    for network in device.random:
        add("random", "random sub-network", network)
    for network in device.searched:
        add("searched", "found by the search", network)
    baselines = []
    for number, it in enumerate(device.baselines):
        group, letter, cost = "baseline" if it.comparable else "timed", _LETTERS[number % 26], cost_kind.format(it.cost)
        baselines.append((letter, it, cost))
        spoken = f"{it.name}: {cost}" + (f", top-1 {percent(it.top1)} %" if it.comparable else "")
        marks.append(FrontMark(group, it.cost, 100 * (it.top1 or 0), True, spoken, letter, len(points)))
        facts = [(cost_kind.label, cost)]
        if it.top1 is not None:
            facts.append(("top-1", f"{percent(it.top1)} %" + (f", on {it.images}" if it.images else "")))
        facts += [("source", it.source)] if it.source else []
        points.append({"group": _GROUPS[group], "name": it.name, "facts": facts})
    drawn = [row for row in rows if row.result.arch]
    for row in drawn:
        links = [(label, _link(path)) for label, path in (("file", row.file), ("model card", row.card)) if path]
        add(
            "target", row.result.target.name, row.result, str(row.number),
            group=f"target {row.number}", row=f"target-{row.number}", status=row.result.status,
            reason=row.result.reason, command=row.result.command, links=links,
        )  # fmt: skip
    limits = sorted({row.result.target.limits[device.kind] for row in rows if device.kind in row.result.target.limits})
    what = f"Top-1 accuracy against {cost_kind.axis} on {device.name}: {len(marks)} networks"
    costs = [(predicted_cost(row.result, "latency_ms"), measured_cost(row.result, "latency_ms")) for row in drawn]
    targets = [pair for pair in costs if None not in pair]
    latencies = latency_plot(device.latency_pairs, targets, name=f"latency-{index}", width=style.NARROW)
    return {
        "index": index,
        "device": device,
        "kind": cost_kind,
        "rows": rows,
        "drawn": drawn,
        "plot": front_plot(marks, limits, kind=device.kind, name=what) if marks else "",
        "legend": [
            (front_swatch(group, any(mark.measured for mark in marks if mark.group == group)), told)
            for group, told in _GROUPS.items()
            if any(mark.group == group for mark in marks)
        ],
        "hollow": any(not mark.measured for mark in marks),
        "baselines": baselines,
        "checked": bool(device.latency_pairs),
        "latency_plot": style.themed(latencies) if device.latency_pairs or targets else "",
    }
