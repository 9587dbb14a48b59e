"""The steps of tools.specialize, from targets to their files and the report."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from ofa_tf import zoo
from ofa_tf.common import InputError, OfaError
from ofa_tf.devices import HOST, host
from ofa_tf.predictors import AccuracyPredictor, LatencyTable
from ofa_tf.report import write_specialization
from ofa_tf.spaces import Space
from ofa_tf.specialize import (
    Job,
    Opened,
    Target,
    TargetResult,
    Workshop,
    finished,
    learn_accuracies,
    learn_latencies,
    source_of,
    specialize_all,
)

from .device_measuring import Devices
from .opening import open_source
from .output_lock import output_lock
from .pipeline import measure_ms, say
from .predictors import open_accuracy_predictor

# What tools.fit_accuracy_predictor and the demo call it.
_PREDICTORS = ("predictor.npz", "accuracy_predictor.npz")


@dataclasses.dataclass(frozen=True)
class Opening:
    """Opens a `Workshop`, here or in another process.

    Args:
        source: of the supernet, see `opening.open_source`.
        predictor: as `--predictor` names it, None for the supernet's own.
    """

    source: Mapping[str, str | None]
    predictor: str | None

    def __call__(self) -> Workshop:
        has_source = self.source["run_dir"] is not None or self.source["supernet"] is not None
        opened = open_source(**self.source) if has_source else None
        known: dict[str, AccuracyPredictor] = {}

        def predictor(target: Target) -> AccuracyPredictor:
            text = target.predictor or self.predictor or self._own()
            if text not in known:
                known[text] = open_accuracy_predictor(text)
            return known[text]

        return Workshop(opened, predictor)

    def _own(self) -> str:
        run_dir, supernet = self.source["run_dir"], self.source["supernet"]
        if supernet in zoo.accuracy_predictor_names():
            return supernet
        for name in _PREDICTORS if run_dir is not None else ():
            if (pathlib.Path(run_dir) / name).exists():
                return str(pathlib.Path(run_dir) / name)
        collect = (
            f"python -m tools.collect_accuracy --run_dir={run_dir}" if run_dir else "python -m tools.collect_accuracy"
        )
        raise InputError(
            f"--predictor: none given, and {run_dir or supernet or 'a missing --supernet'} has none; make one: "
            f"{collect}, then python -m tools.fit_accuracy_predictor"
        )


def specialize_into(
    output: pathlib.Path,
    targets: Sequence[Target],
    opening: Opening,
    *,
    workers: int = 1,
    table_rounds: int,
    learn: bool = False,
    baselines: Sequence[str] = (),
    co2_lb_per_hour: float | None = None,
) -> list[TargetResult]:
    """Does every target that is not done yet, and writes the report.

    Args:
        output: the folder of everything that is written.
        targets: with different names.
        opening: of the supernet and predictors.
        workers: processes that work at once.
        table_rounds: of this machine's tables.
        learn: whether measurements flow back into tables and accuracy pairs.
        baselines: names of `ofa_tf.devices.baselines` that this machine is measured with, for the report.
        co2_lb_per_hour: pounds of CO2 for each device hour, for the report; a published factor unless given.

    Raises:
        OfaError: some target failed, or nothing could be learned; everything is written before.
    """
    with output_lock(output):
        workshop = opening()
        if all(_space(target, workshop) is None for target in targets):
            # A mistake that is no single target's: its line is the command's answer.
            workshop.predictor(targets[0])
        devices = Devices(output / "tables", rounds=table_rounds)
        jobs = [_job(target, output, workshop, devices) for target in targets]
        source = source_of(workshop.opened)
        done = {
            job.target.name: found
            for job in jobs
            if (found := finished(job, source, _predictor_digest(job.target, workshop)))
        }
        left = [job for job in jobs if job.target.name not in done]
        if done:
            say(f"{len(done)} of {len(jobs)} targets are finished already")
        devices.build_tables(_wanted(left, workshop))

        def on_result(job: Job, result: TargetResult) -> None:
            done[job.target.name] = result
            say(f"[{len(done)}/{len(jobs)}] {summary(result)}")

        # One target is not worth a process that opens everything once more.
        alone = len(left) <= 1
        specialize_all(
            left,
            (lambda: workshop) if alone else opening,
            table_of=devices.table,
            measure=devices.measure,
            place_of=devices.place,
            workers=0 if alone else workers,
            on_result=on_result,
            say=lambda job, text: say(f"    {job.target.name}: {text}"),
        )
        results = [done[target.name] for target in targets]
        if baselines:
            _measure_baselines(output / "baselines.json", results, workshop, baselines)
        run = workshop.opened.run if workshop.opened else None
        page = write_specialization(
            output,
            machine=host.describe(),
            predictor_of=workshop.predictor,
            table_of=devices.table,
            results=results,
            run_directory=run and run.path,
            notes=_notes(workshop),
            co2_lb_per_hour=co2_lb_per_hour,
            say=say,
        )
        unlearned = None
        if learn:
            try:
                _learn(output, results, workshop, devices)
            except OfaError as error:
                # After the results, which are there.
                unlearned = error
    for result in results:
        print(summary(result))
        if result.command:
            print(f"    its weights are not here: {result.command}")
    print(f"report: {page}")
    failed = [result for result in results if result.status == "failed"]
    if failed:
        names = ", ".join(result.target.name for result in failed)
        raise OfaError(
            f"{len(failed)} of {len(results)} targets failed: {names}; {page} says why, "
            f"the same command tries them again" + (f"; --learn: {unlearned}" if unlearned else "")
        )
    if unlearned:
        raise unlearned
    return results


def _measure_baselines(
    path: pathlib.Path, results: Sequence[TargetResult], workshop: Workshop, names: Sequence[str]
) -> None:
    """Known networks on this machine, as targets' networks are measured here."""
    from ofa_tf.devices.baselines import measure_baselines

    on_host = [it.target for it in results if it.target.device == HOST and "latency_ms" in it.target.limits]
    spaces = [(target, space) for target in on_host if (space := _space(target, workshop))]
    for side, precision, threads in sorted({(max(s.resolutions), t.precision, t.threads) for t, s in spaces}):
        try:
            measure_baselines(
                path, names, resolution=side, precision=precision, threads=threads, measure=measure_ms, say=say
            )
        except OfaError as error:
            say(f"{precision}: no baselines in the report: {error}")


def _notes(workshop: Workshop) -> dict[str, str]:
    notes = {
        "command": "python -m tools.specialize",
        "decisions": "candidates are chosen on the hold-out, on which files are checked, too; the test images are not "
        "looked at",
    }
    if workshop.opened is not None:
        notes["supernet"] = ", ".join(f"{name} {value}" for name, value in workshop.opened.provenance.items())
    return notes


def summary(result: TargetResult) -> str:
    """One line for people."""
    words = [f"{result.target.name}: {result.status}"]
    if result.arch is not None:
        limits = result.target.limits.items()
        words.append(", ".join(f"{kind} {_cost(result, kind)} of {limit:g}" for kind, limit in limits))
    if result.tflite_top1 is not None:
        words.append(f"hold-out top-1 {100 * result.tflite_top1:.1f}% on {result.images} images")
    elif result.predicted_top1 is not None:
        words.append(f"predicted top-1 {100 * result.predicted_top1:.1f}%")
    return "; ".join([*words, *filter(None, [result.reason])])


def _cost(result: TargetResult, kind: str) -> str:
    if kind in result.measured:
        return f"{result.measured[kind]:.6g}"
    return f"{result.predicted[kind]:.6g} (predicted)"


def _job(target: Target, output: pathlib.Path, workshop: Workshop, devices: Devices) -> Job:
    space = _space(target, workshop)
    has_weights = space is not None and workshop.opened is not None and workshop.opened.net.space.same_weights(space)
    attached = has_weights and "latency_ms" in target.limits and devices.is_attached(target.device)
    return Job(target, output / "targets" / target.folder_name, attached, has_weights)


def _space(target: Target, workshop: Workshop) -> Space | None:
    """The space that a target is searched in; None where its predictor cannot be had, which its turn will tell."""
    try:
        return workshop.predictor(target).space
    except OfaError:
        return None


def _predictor_digest(target: Target, workshop: Workshop) -> str | None:
    try:
        return workshop.predictor(target).digest
    except OfaError:
        return None


def _wanted(jobs: Sequence[Job], workshop: Workshop):
    """The targets on attached devices, with what their tables are to hold."""
    for job in jobs:
        if job.attached:
            predictor = workshop.predictor(job.target)
            known = [side for side in predictor.space.resolutions if side in predictor.resolutions]
            yield job.target, predictor.space, job.target.resolutions or known


def _learn(output: pathlib.Path, results: Sequence[TargetResult], workshop: Workshop, devices: Devices) -> None:
    groups: dict[pathlib.Path, list[TargetResult]] = {}
    for result in results:
        if "latency_ms" in result.measured and "latency_ms" in result.target.limits:
            groups.setdefault(devices.table_path(result.target), []).append(result)
    for path, group in groups.items():
        target = group[0].target
        table = devices.table(target)
        if not isinstance(table, LatencyTable) or path.suffix != ".json":
            say(f"{path}: is no table of blocks that could be corrected")
            continue
        networks = output / "tables" / f"{path.stem}.networks.jsonl"
        learned = learn_latencies(table, workshop.predictor(target).space, networks, group)
        if learned is table:
            say(f"{path}: its correction stays; {networks} has what was measured")
        else:
            learned.save(path)
            say(
                f"{path}: corrected by {learned.correction.networks} networks, "
                f"error {learned.correction.mape_after:.1f}%"
            )
    if workshop.opened is not None:
        path = pairs_path(output, workshop.opened)
        pairs = learn_accuracies(workshop.opened, path, results)
        say(
            f"{path}: {len(pairs)} pairs; python -m tools.fit_accuracy_predictor --pairs={path} fits the predictor anew"
        )


def pairs_path(output: pathlib.Path, opened: Opened) -> pathlib.Path:
    """The run's own file of accuracy pairs, or one beside the results."""
    return (output if opened.run is None else opened.run.path) / "accuracy.jsonl"
