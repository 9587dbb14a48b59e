"""The report of tools.specialize, from the results of its targets."""

import datetime
import os
import pathlib
from collections.abc import Sequence

from ofa_tf.common import OfaError, read_json, write_json
from ofa_tf.devices import HOST, host
from ofa_tf.predictors import PairsFile
from ofa_tf.report import (
    PUBLISHED_BASELINES,
    DesignCost,
    ReportBaseline,
    ReportDevice,
    ReportModel,
    ReportPoint,
    ReportTarget,
    SpecializationReport,
    write_report,
)
from ofa_tf.search import Candidate, pareto_search, random_search
from ofa_tf.search.constraint import KINDS, constraints_of
from ofa_tf.specialize import MODEL, Specialization, Target, TargetResult
from ofa_tf.specialize.work import say
from ofa_tf.training import RunDirectory

# A front for the eye; and how far beyond the largest limit it goes.
_GENERATIONS, _POINTS, _BEYOND = 200, 40, 1.1
_RANDOM = 40


def write_page(
    done: Specialization, baselines: Sequence[str] = (), co2_lb_per_hour: float | None = None
) -> pathlib.Path:
    """Writes `report.html`, and `report.json` with what it shows.

    Args:
        done: the targets' results, and with what they were made.
        baselines: names of known networks that this machine is measured with.
        co2_lb_per_hour: pounds of CO2 for each device hour, the method's published factor unless given.

    Returns:
        The page.
    """
    output, results = done.output, done.results
    groups: dict[str, list[TargetResult]] = {}
    for result in results:
        groups.setdefault(_device_name(result), []).append(result)
    shown, targets = [], []
    for name, group in groups.items():
        device = _device(done, name, group, baselines)
        if device is None:
            # Nothing is known of its space, so there is nothing to draw.
            say(f"{name}: not in the report: {group[0].reason}")
            continue
        shown.append(device)
        targets += [_target(name, result) for result in group]
    if not targets:
        raise OfaError("; ".join(f"{result.target.name}: {result.reason}" for result in results))
    run = done.opened.run if done.opened else None
    report = SpecializationReport(
        "One supernet, specialized",
        targets,
        shown,
        metrics=run.read_log("metrics") if run else (),
        cost=design_cost(run, results, co2_lb_per_hour),
        notes=_notes(done),
    )
    write_json(output / "report.json", report.to_dict())
    write_report(output / "report.html", report)
    return output / "report.html"


def _device_name(result: TargetResult) -> str:
    target = result.target
    device = "this machine" if target.device == HOST else target.device
    threads = "" if target.threads == 1 else f", {target.threads} threads"
    # Targets of another predictor may be of another space.
    other = "" if target.predictor is None else f", predictor {pathlib.Path(target.predictor).name}"
    return f"{device}, {target.precision}{threads}{other}"


def _device(done: Specialization, name: str, group: list[TargetResult], baselines: Sequence[str]):
    try:
        predictor = done.predictor_of(group[0].target)
    except OfaError:
        return None
    space, target = predictor.space, group[0].target
    kinds = [kind for kind in ("latency_ms", "peak_memory_bytes", *KINDS) for it in group if kind in it.target.limits]
    kind = kinds[0]
    limit = _BEYOND * max(it.target.limits[kind] for it in group if kind in it.target.limits)
    searched, random = [], []
    try:
        table = next(done.devices.table(it.target) for it in group if kind in it.target.limits)
        constraints = constraints_of({kind: limit}, table=table, precision=target.precision, form=target.form)
        sides = None
        if all(it.target.resolutions for it in group):
            wished = sorted({side for it in group for side in it.target.resolutions})
            # A target with a side that does not exist has failed; the front is that of the others.
            sides = [side for side in wished if side in space.resolutions and side in predictor.resolutions] or wished
        front = pareto_search(space, predictor, constraints, generations=_GENERATIONS, resolutions=sides).candidates
        searched = [_point(candidate) for candidate in front[:: max(1, len(front) // _POINTS)]]
        drawn = random_search(space, constraints, _RANDOM, accuracy_predictor=predictor, resolutions=sides)
        random = [_point(candidate) for candidate in drawn]
    except OfaError as error:
        # No table, or a limit below everything: the targets say so themselves.
        say(f"{name}: no front in the report: {error}")
    known: Sequence[ReportBaseline] = ()
    if kind == "latency_ms" and target.device == HOST and baselines:
        try:
            known = _baselines(done, baselines, target, max(space.resolutions))
        except OfaError as error:
            say(f"{name}: no baselines in the report: {error}")
    elif kind == "latency_ms" and target.device in PUBLISHED_BASELINES and space.num_classes == 1000:
        known = PUBLISHED_BASELINES[target.device]
    return ReportDevice(
        name,
        f"{host.describe()['cpu']}, {target.threads} thread, ai_edge_litert" if target.device == HOST else name,
        _split(group),
        space,
        searched,
        random,
        known,
        [
            (made["predicted"]["latency_ms"], made["measured"]["latency_ms"])
            for it in group
            for made in it.rounds
            if "latency_ms" in made["measured"] and "latency_ms" in made["predicted"]
        ],
        kind,
    )


def _split(group: Sequence[TargetResult]) -> str:
    """The images that the accuracies of a device's targets are of."""
    counts = sorted({result.images for result in group if result.images})
    if not counts:
        return "as the accuracy predictor says"
    least, most = f"{counts[0]:,}", f"{counts[-1]:,}"
    return f"{least} hold-out images" if least == most else f"{least} to {most} hold-out images"


def _point(candidate: Candidate) -> ReportPoint:
    costs = dict(candidate.costs)
    return ReportPoint(candidate.arch, costs.get("latency_ms"), predicted_top1=candidate.predicted_top1, costs=costs)


def _target(device: str, result: TargetResult) -> ReportTarget:
    target, model, file = result.target, None, ""
    if result.arch is not None:
        peak = result.measured.get("peak_memory_bytes")
        size = result.measured.get("model_bytes")
        model = ReportModel(
            target.name,
            result.arch,
            int(result.predicted["macs"]),
            predicted_ms=result.predicted.get("latency_ms"),
            measured_ms=result.measured.get("latency_ms"),
            predicted_top1=result.predicted_top1,
            keras_top1=result.keras_top1,
            tflite_top1=result.tflite_top1,
            model_bytes=None if size is None else int(size),
            costs={kind: value for kind, value in result.predicted.items() if kind not in ("macs", "latency_ms")},
            measured_peak_memory_bytes=None if peak is None else int(peak),
        )
        if size is not None:
            file = f"targets/{target.folder_name}/{MODEL}"
    return ReportTarget(
        target.name,
        device,
        target.precision,
        target.limits,
        result.status,
        model,
        result.reason,
        result.command,
        file,
        str(pathlib.PurePosixPath(file).with_suffix(".md")) if file else "",
        result.seconds,
    )


def _baselines(done: Specialization, names: Sequence[str], target: Target, resolution: int) -> list[ReportBaseline]:
    """Known networks on this machine, each measured once for an output folder."""
    from ofa_tf.devices.baselines import baseline_file

    path = done.output / "baselines.json"
    kept = read_json(path, "baselines") if path.exists() else {}
    found = []
    for name in names:
        key = f"{name}, {resolution} pixels, {target.precision}, {target.threads} threads"
        if key not in kept:
            say(f"baseline {key}")
            file = baseline_file(name, resolution, target.precision)
            kept[key] = file.to_dict(done.devices.measure_ms(target, file.path))
            write_json(path, kept)
        figures = kept[key]
        top1 = figures["published_top1"]
        found.append(
            ReportBaseline(
                f"{name}, {resolution} pixels",
                figures["latency_ms"],
                None if top1 is None else top1 / 100,
                "measured on this machine, 1,000 classes, random weights",
                "" if top1 is None else f"ImageNet's validation set, as published: {figures['source']}",
            )
        )
    return found


def design_cost(
    run: RunDirectory | None, results: Sequence[TargetResult], co2_lb_per_hour: float | None = None
) -> DesignCost | None:
    """The cost from the times that a run and its targets recorded, None where one of the two has none."""
    timing = run.read_log("timing") if run else []
    seconds = [result.seconds for result in results if result.tflite_top1 is not None]
    if not timing or not seconds:
        return None
    pairs = run.path / "accuracy.jsonl"
    own = {"co2_lb_per_hour": co2_lb_per_hour, "co2_source": "given with --co2_lb_per_hour"}
    return DesignCost.from_timing(
        timing,
        seconds,
        hardware=f"{os.cpu_count()} cores of {host.describe()['cpu']}",
        candidates=len(PairsFile(pairs)) if pairs.exists() else 0,
        **({} if co2_lb_per_hour is None else own),
    )


def _notes(done: Specialization) -> dict[str, str]:
    notes = {
        "date": datetime.date.today().isoformat(),
        "command": "python -m tools.specialize",
        "decisions": "candidates are chosen on the hold-out, on which files are checked, too; the test images are not "
        "looked at",
    }
    if done.opened is not None:
        notes["supernet"] = ", ".join(f"{name} {value}" for name, value in done.opened.provenance.items())
    versions = {name: text for name, text in host.describe().items() if name not in ("cpu", "cores", "os")}
    notes["versions"] = ", ".join(f"{name} {text}" for name, text in versions.items())
    notes["time"] = f"{sum(result.seconds for result in done.results):.0f} s for {len(done.results)} targets"
    return notes
