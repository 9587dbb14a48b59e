"""What a page shows: the results of a specialization, device by device, beside the front of their space."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ofa_tf.common import InputError, OfaError, read_json
from ofa_tf.predictors import AccuracyPredictor
from ofa_tf.report.design_cost import DesignCost
from ofa_tf.report.text import COST_KINDS, accuracies, broken_limits, measured_cost, predicted_cost
from ofa_tf.search import Candidate, pareto_search, random_search
from ofa_tf.search.constraint import LatencyPredictor, constraints_of
from ofa_tf.spaces import Space

if TYPE_CHECKING:
    from ofa_tf.specialize import Target, TargetResult

# A front for the eye; and how far beyond the largest limit it goes.
_GENERATIONS, _POINTS, _BEYOND = 200, 40, 1.1
_RANDOM = 40
_HOST = "host"
_MOBILENETS = "TensorFlow's MobileNet page (tensorflow/models, research/slim/nets/mobilenet)"
_OFA_TUTORIAL = "tutorial of the published Once-for-All code, on a Samsung Note10"


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A network that is no sub-network of the space.

    Args:
        name: for example "MobileNetV3-Large".
        cost: in the unit of the front's kind of cost, in milliseconds where that is "latency_ms".
        top1: its accuracy, 0..1; None where it was only timed.
        source: where the figures come from: a publication, or what measured it.
        images: what its accuracy was measured on, where that is not what the front's networks were measured on; such a
            baseline is listed, and only its cost is drawn.

    Example:
        Baseline("MobileNetV3-Large", 22.0, 0.752, "measured on this machine")
    """

    name: str
    cost: float
    top1: float | None = None
    source: str = ""
    images: str = ""

    @property
    def comparable(self) -> bool:
        """Whether its accuracy may stand in the front's plot."""
        return self.top1 is not None and not self.images


def _published(source: str, *rows: tuple[str, float, float]) -> tuple[Baseline, ...]:
    return tuple(Baseline(name, cost, top1, source) for name, cost, top1 in rows)


# ImageNet top-1 by the device that the cost was measured on, in milliseconds.
PUBLISHED_BASELINES = {
    "note10": _published(
        _OFA_TUTORIAL,
        ("MobileNetV3-Large, width 0.75", 15.3, 0.733),
        ("MobileNetV3-Large", 22.0, 0.752),
        ("MobileNetV3-Large, width 1.25", 31.0, 0.766),
        ("ProxylessNAS", 26.0, 0.746),
        ("ProxylessNAS, larger", 45.0, 0.767),
    ),
    "pixel1": _published(
        f"{_MOBILENETS}: TFLite, float",
        ("MobileNetV3-Large", 51.0, 0.752),
        ("MobileNetV3-Small", 15.8, 0.675),
    ),
}


@dataclasses.dataclass(frozen=True)
class DeviceResults:
    """The targets of one device that limit one kind of cost, and the networks that they are seen against.

    `images` says in words what accuracies were measured on, `kind` is the cost of the front's horizontal axis, and
    `latency_pairs` are (predicted, measured) milliseconds of whole networks.
    """

    name: str
    description: str
    images: str
    space: Space
    results: "Sequence[TargetResult]"
    kind: str = "latency_ms"
    searched: Sequence[Candidate] = ()
    random: "Sequence[Candidate | TargetResult]" = ()
    baselines: Sequence[Baseline] = ()
    latency_pairs: Sequence[tuple[float, float]] = ()

    def __post_init__(self):
        for result in self.results:
            _check(result)
        for network in (*self.results, *self.searched, *self.random):
            if network.arch is not None:
                self.space.canonical(network.arch)


@dataclasses.dataclass(frozen=True)
class PageData:
    """All that a page shows of the results in a folder."""

    folder: pathlib.Path
    title: str
    devices: Sequence[DeviceResults]
    metrics: Sequence[Mapping[str, Any]] = ()
    cost: DesignCost | None = None
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def results(self) -> "list[TargetResult]":
        """Of all devices, in the order of the page."""
        return [result for device in self.devices for result in device.results]

    def file(self, result: "TargetResult", suffix: str = ".tflite") -> str:
        """A target's file as a path relative to the folder, "" where there is none: one of former limits is not its."""
        from ofa_tf.specialize import MODEL

        path = pathlib.PurePosixPath("targets", result.target.folder_name, MODEL).with_suffix(suffix)
        return str(path) if result.tflite_top1 is not None and (self.folder / path).exists() else ""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; rounds and evaluated candidates of a target stand in its own file."""
        return {
            "title": self.title,
            "targets": [
                {**_result_dict(result), "on": device.name, "file": self.file(result)}
                for device in self.devices
                for result in device.results
            ],
            "devices": [_device_dict(device) for device in self.devices],
            "metrics": [dict(line) for line in self.metrics],
            "cost": self.cost and dataclasses.asdict(self.cost),
            "notes": dict(self.notes),
        }


def load_results(folder: str | os.PathLike) -> "list[TargetResult]":
    """The results that a specialization wrote into its folder, by their names."""
    from ofa_tf.specialize import TargetResult

    return [TargetResult.load(path) for path in sorted(pathlib.Path(folder).glob("targets/*/result.json"))]


def gather(
    folder: pathlib.Path,
    results: "Sequence[TargetResult]",
    machine: Mapping[str, str],
    predictor_of: "Callable[[Target], AccuracyPredictor]",
    table_of: "Callable[[Target], LatencyPredictor | None]",
    others: "Sequence[TargetResult]" = (),
    images: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[DeviceResults]:
    """Results by device, with the fronts that they are seen against; arguments as of `write_specialization`."""
    if not results:
        raise InputError(f"{folder}: has no result of a target, expected at least one; specialize one first")
    groups: dict[tuple[str, str | None, str], list[TargetResult]] = {}
    for result in results:
        target = result.target
        groups.setdefault((_device_name(target), target.predictor, _axis(target)), []).append(result)
    devices, unknown = [], []
    for (device_name, named_predictor, kind), group in groups.items():
        name = _group_name(device_name, named_predictor, kind, list(groups))
        try:
            predictor = predictor_of(group[0].target)
        except OfaError as error:
            # Nothing is known of its space, so there is nothing to draw.
            say(f"{name}: not in the report: {error}")
            unknown += [f"{result.target.name}: {result.reason or error}" for result in group]
            continue
        target, space = group[0].target, predictor.space
        searched, random = [], []
        try:
            searched, random = _front(group, kind, predictor, table_of)
        except OfaError as error:
            # No table, or a limit below everything: the targets say so themselves.
            say(f"{name}: no front in the report: {error}")
        asked = device_name, named_predictor
        beside = [
            other
            for other in others
            if (_device_name(other.target), other.target.predictor) == asked and _has_cost(other, kind)
        ]
        threads = f"{target.threads} thread" + "s" * (target.threads > 1)
        devices.append(
            DeviceResults(
                name,
                f"{machine['cpu']}, {threads}, ai_edge_litert" if target.device == _HOST else name,
                images or _images(group),
                space,
                group,
                kind,
                searched,
                # Accuracies that were measured are not mixed with those that are only predicted.
                [other for other in beside if accuracies(other)[1] is not None] or random,
                _baselines(folder, group, space) if kind == "latency_ms" else (),
                _latency_pairs(group, beside if kind == "latency_ms" else ()),
            )
        )
    if not devices:
        raise OfaError("; ".join(unknown))
    return devices


def _has_cost(result: "TargetResult", kind: str) -> bool:
    return predicted_cost(result, kind) is not None or measured_cost(result, kind) is not None


def _device_name(target: "Target") -> str:
    device = "this machine" if target.device == _HOST else target.device
    threads = "" if target.threads == 1 else f", {target.threads} threads"
    return f"{device}, {target.precision}{threads}"


def _axis(target: "Target") -> str:
    """The cost that a target is drawn by: a limited one, or its mark would be missing in the plot."""
    return next(kind for kind in ("latency_ms", "peak_memory_bytes", *COST_KINDS) if kind in target.limits)


def _group_name(device: str, predictor: str | None, kind: str, groups: Sequence[tuple[str, str | None, str]]) -> str:
    """What a group is called: no more than tells it from the others."""
    parts = [device]
    if predictor is not None:
        # Predictors of one name in several folders may be of several spaces.
        names = {other for _, other, _ in groups if other and pathlib.Path(other).name == pathlib.Path(predictor).name}
        parts.append(f"predictor {predictor if len(names) > 1 else pathlib.Path(predictor).name}")
    if len({axis for name, other, axis in groups if (name, other) == (device, predictor)}) > 1:
        parts.append(f"by {COST_KINDS[kind].label}")
    return ", ".join(parts)


def _front(group, kind: str, predictor: AccuracyPredictor, table_of) -> tuple[list[Candidate], list[Candidate]]:
    """The front of a device's space up to its largest limit, thinned out for the eye, and random sub-networks."""
    space, target = predictor.space, group[0].target
    limit = _BEYOND * max(result.target.limits[kind] for result in group)
    table = table_of(target)
    form = target.file_form(table)
    constraints = constraints_of({kind: limit}, table=table, precision=target.precision, form=form)
    sides = None
    if all(result.target.resolutions for result in group):
        wished = sorted({side for result in group for side in result.target.resolutions})
        # A target with a side that does not exist has failed; the front is that of the others.
        sides = [side for side in wished if side in space.resolutions and side in predictor.resolutions] or wished
    front = pareto_search(space, predictor, constraints, generations=_GENERATIONS, resolutions=sides).candidates
    random = random_search(space, constraints, _RANDOM, accuracy_predictor=predictor, resolutions=sides)
    return list(front[:: max(1, len(front) // _POINTS)]), list(random)


def _images(group: "Sequence[TargetResult]") -> str:
    counts = sorted({result.images for result in group if result.images})
    if not counts:
        return "as the accuracy predictor says"
    least, most = f"{counts[0]:,}", f"{counts[-1]:,}"
    return f"{least} validation images" if least == most else f"{least} to {most} validation images"


def _baselines(folder: pathlib.Path, group: "Sequence[TargetResult]", space: Space) -> Sequence[Baseline]:
    """Published ones, or those that were measured on this machine, timed only or fine-tuned on the same images, too."""
    target, data = group[0].target, {result.source.get("data") for result in group}
    if target.device != _HOST:
        return PUBLISHED_BASELINES.get(target.device, ()) if space.num_classes == 1000 else ()
    path = folder / "baselines.json"
    written = f"{target.precision}, {target.threads} threads"
    timed_at = f"{max(space.resolutions)} pixels, {written}"
    found = []
    for key, figures in (_read_baselines(path) if path.exists() else {}).items():
        name, latency_ms = f"{figures['name']}, {figures['resolution']} pixels", figures["latency_ms"]
        if key == f"{figures['name']}, fine-tuned, {written}":
            # Of other images, where the folder was used for those before.
            if not isinstance(figures.get("source"), dict) or figures["source"].get("images") not in data:
                continue
            source = "fine-tuned on the same photos"
            if "test_top1" in figures:
                source += f"; {100 * figures['test_top1']:.1f}% of {figures['test_images']:,} test images"
            found.append(Baseline(name, latency_ms, figures["top1"], source))
        elif key == f"{figures['name']}, {timed_at}":
            source, top1 = "measured on this machine, 1,000 classes, random weights", figures["published_top1"]
            images = "" if top1 is None else f"ImageNet's validation set, as published: {figures.get('source', '')}"
            found.append(Baseline(name, latency_ms, None if top1 is None else top1 / 100, source, images))
    return found


def _read_baselines(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """What `measure_baselines` and `measure_finetuned` wrote."""
    found = read_json(path, "baselines")
    needed = {"name", "resolution", "latency_ms"}
    if not isinstance(found, dict) or not all(
        isinstance(it, dict) and needed | {"top1" if ", fine-tuned, " in key else "published_top1"} <= it.keys()
        for key, it in found.items()
    ):
        raise InputError(f"{path}: not what --baselines writes; delete it, and tools.specialize measures them anew")
    return found


def _latency_pairs(group, beside) -> list[tuple[float, float]]:
    """Of the networks that were measured while targets were searched, or to check the table."""
    made = [(made.get("predicted", {}), made["measured"]) for result in group for made in result.rounds]
    made += [(other.predicted, other.measured) for other in beside]
    return [
        (predicted["latency_ms"], measured["latency_ms"])
        for predicted, measured in made
        if "latency_ms" in predicted and "latency_ms" in measured
    ]


def _check(result: "TargetResult") -> None:
    """Raises `InputError` where a result says of itself what its own figures contradict."""
    problem = ""
    if result.status == "failed" and (not result.reason or "\n" in result.reason):
        problem = "it failed, expected a reason of one line"
    elif result.status == "verified":
        unknown = [kind for kind in result.target.limits if measured_cost(result, kind) is None]
        kinds = broken_limits(result) or unknown
        if kinds:
            what = "not measured in" if kinds is unknown else "measured over its limit of"
            problem = f"it is called verified, but {what} {', '.join(kinds)}"
    if problem:
        raise InputError(f"report: target {result.target.name!r}: {problem}; delete its result.json and remake it")


def _result_dict(result: "TargetResult") -> dict[str, Any]:
    left_out = ("target", "arch", "rounds", "evaluated")
    fields = {
        field.name: getattr(result, field.name) for field in dataclasses.fields(result) if field.name not in left_out
    }
    for name in ("source", "predicted", "measured"):
        fields[name] = dict(fields[name])
    return {"target": result.target.to_config(), "arch": result.arch and result.arch.to_dict(), **fields}


def _device_dict(device: DeviceResults) -> dict[str, Any]:
    def network(item: "Candidate | TargetResult") -> dict[str, Any]:
        costs = {kind: cost for kind in COST_KINDS if (cost := predicted_cost(item, kind)) is not None}
        names = ("predicted_top1", "keras_top1", "tflite_top1")
        return {"arch": item.arch.to_dict(), "costs": costs, **dict(zip(names, accuracies(item), strict=True))}

    return {
        **{name: getattr(device, name) for name in ("name", "description", "images", "kind")},
        "space": device.space.to_config(),
        "searched": [network(item) for item in device.searched],
        "random": [network(item) for item in device.random],
        "baselines": [dataclasses.asdict(baseline) for baseline in device.baselines],
        "latency_pairs": [list(pair) for pair in device.latency_pairs],
    }
