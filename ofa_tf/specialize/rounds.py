"""One target: search, choose on the validation split, export, check, measure, again with stricter limits while over.

A result is all the state there is: it lists the rounds that were made, so that another process, or the same command
given again, goes on from a result's file.
"""

import dataclasses
import hashlib
import importlib.util
import json
import os
import pathlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ofa_tf import interop
from ofa_tf.common import DiskFullError, InputError, OfaError
from ofa_tf.deploy import ExportReport, QuantizationRecipe
from ofa_tf.deploy.micro_runtime import run_micro
from ofa_tf.deploy.qat import check_form
from ofa_tf.predictors import AccuracyPredictor
from ofa_tf.search import Budget, Candidate, evolutionary_search
from ofa_tf.search.budget import candidates as budget_candidates
from ofa_tf.search.constraint import LatencyPredictor, constraints_of
from ofa_tf.search.evolution import search_resolutions
from ofa_tf.spaces import Arch
from ofa_tf.specialize.opened import Opened
from ofa_tf.specialize.subnet_files import export_subnet, finetuned_weights, train_quantized
from ofa_tf.specialize.target import Target
from ofa_tf.specialize.target_result import MODEL, NAMES, PREDICTOR, TargetResult

# A file that is measured over a limit makes the next search stricter by so much at least; so many searches.
ROUNDS, TIGHTER = 5, 0.96
# Neighbours in a search's order differ by a gene, so every fourth is looked at.
EVERY = 4

Say = Callable[[str], None]


def specialize_target(
    target: Target,
    folder: str | os.PathLike,
    *,
    predictor: AccuracyPredictor,
    opened: Opened | None,
    table: LatencyPredictor | None = None,
    previous: TargetResult | None = None,
    say: Say = lambda text: None,
) -> TargetResult:
    """Makes the file of the best sub-network inside a target's limits, all but the measurement on its device.

    The best candidates of a search are calibrated and evaluated on the validation split, of which one is chosen. The
    file is checked on that split, and what needs no device is measured: its bytes, and in the runtime of
    microcontrollers, where that is installed, the peak of its activations. Over a limit, the next search is stricter.

    Args:
        target: what is wanted.
        folder: where the file goes, with its card.
        predictor: of accuracies.
        opened: the supernet and its images. Where it is None, or of another space than the predictor, the target ends
            as an architecture.
        table: predicts the latency, needed where that is limited.
        previous: a result of this target that was over its limits, see `with_latency`: goes on after its rounds.
        say: told what happens.

    Returns:
        What came of it: "verified" where every limit was measured here, "exported" where one is left to be measured,
        "architecture", or, with its last file, "failed" where no round was inside.

    Raises:
        InputError: the target asks for what cannot be, for example a limit below everything there is.
        OfaError: an export failed.

    Example:
        result = specialize_target(target, "out", predictor=predictor, opened=opened, table=table)
        while result.unmeasured:
            result = with_latency(result, measure(result.path))
            if result.over:
                result = specialize_target(target, "out", predictor=predictor, opened=opened, table=table,
                                           previous=result)
    """
    began = time.monotonic()
    if "latency_ms" in target.limits and table is None:
        raise InputError("latency_table: there is none for the limit of latency_ms; give one")
    result = previous
    if opened is None or not opened.net.space.same_weights(predictor.space):
        result = _architecture(target, predictor, table)
    else:
        held_out = len(opened.dataset.split("validation"))
        if previous is None and (target.images or 0) > held_out:
            say(f"only {held_out} validation images, {target.images} were asked for")
        result = _round(target, pathlib.Path(folder), predictor, opened, table, previous, say)
        while result.over and result.status != "failed":
            result = _round(target, pathlib.Path(folder), predictor, opened, table, result, say)
        remove_checkpoints(result, folder)
    return dataclasses.replace(
        result, seconds=time.monotonic() - began + (previous.seconds if previous else 0), folder=os.fspath(folder)
    )


def remove_checkpoints(result: TargetResult, folder: str | os.PathLike) -> None:
    """Removes the states of trainings that nothing goes on from: no round follows."""
    if result.status != "exported":
        for path in pathlib.Path(folder).glob("*.checkpoint.npz"):
            path.unlink()


def with_latency(result: TargetResult, latency_ms: float, say: Say = lambda text: None) -> TargetResult:
    """A result with the latency that its file was measured to have on the device.

    Args:
        result: of a target whose latency is limited.
        latency_ms: of its file.
        say: told where that is over the limit.
    """
    measured = {**result.measured, "latency_ms": latency_ms}
    rounds = (*result.rounds[:-1], {**result.rounds[-1], "measured": measured})
    return _judged(dataclasses.replace(result, measured=measured, rounds=rounds), say)


def stricter_limits(limits: Mapping[str, float], rounds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The limits of the next search: each kind that a round was over became stricter by as much, or a little at least.

    Args:
        limits: of the target.
        rounds: that were made, see `TargetResult`.
    """
    searched = dict(limits)
    for made in rounds:
        for kind, limit in limits.items():
            value = made["measured"].get(kind, 0.0)
            if value > limit:
                searched[kind] *= min(TIGHTER, limit / value)
    return searched


def _judged(result: TargetResult, say: Say) -> TargetResult:
    """The result with the status that its measurements give it."""
    number, over = len(result.rounds), result.over
    if not over:
        return dataclasses.replace(result, status="exported" if result.unmeasured else "verified")
    if number < ROUNDS:
        say(f"{_words(result)}; searching again")
        return dataclasses.replace(result, status="exported")
    busy = ""
    if "latency_ms" in over:
        busy = "; the device may be busier than when its table was built: give the same command again"
    return dataclasses.replace(result, status="failed", reason=f"{_words(result)} in round {number} of {ROUNDS}{busy}")


def _words(result: TargetResult) -> str:
    limits = result.target.limits
    return ", ".join(
        f"measured {kind} {is_:.6g}, over the limit of {limits[kind]:g}" for kind, is_ in result.over.items()
    )


def _architecture(target: Target, predictor: AccuracyPredictor, table: LatencyPredictor | None) -> TargetResult:
    space = predictor.space
    best = _search(target, target.limits, predictor, table)[0]
    return TargetResult(
        target,
        "architecture",
        source={PREDICTOR: predictor.digest},
        arch=best.arch,
        space=space.name,
        predicted=_predicted(predictor, best),
        predicted_top1=_share(best.predicted_top1),
        command=interop.import_command(space.name),
    )


def _search(
    target: Target,
    limits: Mapping[str, float],
    predictor: AccuracyPredictor,
    table: LatencyPredictor | None,
    more: int = 0,
    known: Collection[Arch] = (),
) -> list[Candidate]:
    """Every fourth of the best below the limits, and whatever else of them is known already."""
    constraints = constraints_of(limits, table=table, precision=target.precision, form=target.file_form(table))
    found = evolutionary_search(
        predictor.space, predictor, constraints, seed=target.seed, resolutions=target.resolutions
    )
    best = found.top(EVERY * (target.candidates + more))
    chosen = best[::EVERY]
    return [*chosen, *(it for it in found.candidates if it.arch in known and it not in chosen)]


def _smallest(target: Target, predictor: AccuracyPredictor, table: LatencyPredictor | None) -> list[Candidate]:
    """The smallest architecture inside the target's own limits, as far as one is."""
    constraints = constraints_of(target.limits, table=table, precision=target.precision, form=target.file_form(table))
    sides = search_resolutions(predictor.space, predictor, target.resolutions)
    budget = Budget.compile(predictor.space, constraints, sides)
    row = budget.anchor[None]
    return budget_candidates(budget, row, predictor.predict_rows(predictor.space, row).tolist())


def _share(predicted: float) -> float:
    """A predictor's answer as the accuracy it stands for: what orders sub-networks may be above one."""
    return min(max(predicted, 0.0), 1.0)


def _predicted(predictor: AccuracyPredictor, candidate: Candidate) -> dict[str, float]:
    space, arch = predictor.space, candidate.arch
    counted = {"macs": float(space.count_macs(arch)), "params": float(space.count_params(arch))}
    return {**counted, **candidate.costs}


def _round(
    target: Target,
    folder: pathlib.Path,
    predictor: AccuracyPredictor,
    opened: Opened,
    table: LatencyPredictor | None,
    previous: TargetResult | None,
    say: Say,
) -> TargetResult:
    """One search, the choice, and its file, after those of the previous result."""
    rounds = previous.rounds if previous else ()
    limits = stricter_limits(target.limits, rounds)
    if target.quantization_aware_epochs:
        # Before what takes long.
        check_form(target.file_form(table))
    say("search")
    made_before = {Arch.from_json(made["arch"]) for made in rounds}
    evaluations = {Arch.from_json(found["arch"]): found for found in (previous.evaluated if previous else ())}
    try:
        candidates = _search(target, limits, predictor, table, more=len(rounds), known=evaluations)
    except InputError as error:
        if previous is None:
            raise
        candidates = _smallest(target, predictor, table)
        if candidates[0].arch in made_before:
            # The first search had an answer: it is the device that does not keep what its table promises.
            reason = f"{_words(previous)} in round {len(rounds)}, and nothing smaller: {error}"
            return dataclasses.replace(previous, status="failed", reason=reason)
    # What was over a limit is not made again while there is anything else.
    others = [candidate for candidate in candidates if candidate.arch not in made_before]
    new = [candidate for candidate in others if candidate.arch not in evaluations][: target.candidates]
    # What was evaluated before costs nothing more.
    candidates = [*new, *(it for it in others if it.arch in evaluations)] or candidates[: target.candidates]
    for candidate in candidates:
        if candidate.arch not in evaluations:
            say(f"evaluate candidate {len(evaluations) + 1}")
            found = opened.evaluate(candidate.arch, split="validation", limit=target.images)
            evaluations[candidate.arch] = found.to_dict()
    # What the photos cannot tell apart, the predictor does.
    candidates.sort(key=lambda candidate: (-evaluations[candidate.arch]["top1"], -candidate.predicted_top1))
    candidate, report = _exported(target, folder, opened, candidates, target.file_form(table), say)
    predicted = _predicted(predictor, candidate)
    measured = {"macs": predicted["macs"], "params": predicted["params"], "model_bytes": float(report.model_bytes)}
    if "peak_memory_bytes" in target.limits and importlib.util.find_spec("tflite_micro") is not None:
        say("measure memory")
        measured["peak_memory_bytes"] = float(run_micro(report.path).head_bytes)
    made = {
        "limits": limits,
        "arch": candidate.arch.to_dict(),
        "form": report.form,
        "predicted": dict(candidate.costs),
        "measured": measured,
    }
    result = TargetResult(
        target,
        "exported",
        source={**opened.digests, PREDICTOR: predictor.digest, NAMES: opened.names_digest},
        arch=candidate.arch,
        space=predictor.space.name,
        predicted=predicted,
        measured=measured,
        predicted_top1=_share(candidate.predicted_top1),
        supernet_top1=evaluations[candidate.arch]["top1"],
        keras_top1=report.keras_top1,
        tflite_top1=report.tflite_top1,
        images=report.images,
        rounds=(*rounds, made),
        evaluated=tuple(evaluations.values()),
    )
    return _judged(result, say)


def _exported(
    target: Target, folder: pathlib.Path, opened: Opened, candidates: Sequence[Candidate], form: str, say: Say
) -> tuple[Candidate, ExportReport]:
    """The file of the best candidate whose file does what the network does."""
    for number, candidate in enumerate(candidates, start=1):
        try:
            return candidate, _export(target, folder, opened, candidate.arch, form, say)
        except (InputError, DiskFullError):
            raise
        except OfaError as error:
            if number == len(candidates):
                raise
            say(f"{error}; trying the next candidate")
    raise AssertionError("a search without candidates")


def _export(target: Target, folder: pathlib.Path, opened: Opened, arch: Arch, form: str, say: Say) -> ExportReport:
    """Trains on where that was asked for, and writes the file."""
    path = folder / MODEL
    options = {"split": "validation", "limit": target.images, "threads": target.threads}
    if target.max_drop is not None:
        options["max_drop"] = target.max_drop
    # What is trained on is resumed only as what it was: of the same weights, for as many epochs.
    trained = [arch.to_dict(), opened.digests, target.finetune_epochs, target.quantization_aware_epochs, target.seed]
    if target.finetune_epochs:
        say(f"fine-tune for {target.finetune_epochs} epochs")
        options["weights"] = finetuned_weights(
            opened,
            arch,
            epochs=target.finetune_epochs,
            seed=target.seed,
            checkpoint=folder / f"finetune_{_digest(trained)}.checkpoint.npz",
            # Until the file is there: an interruption while it is trained as int8 does not cost these epochs.
            keep=True,
        )
    if target.quantization_aware_epochs:
        say(f"train as int8 for {target.quantization_aware_epochs} epochs")
        images = len(opened.dataset.split("train"))
        recipe = QuantizationRecipe(target.quantization_aware_epochs, batch_size=min(64, images), seed=target.seed)
        checkpoint = folder / f"quantize_{_digest([*trained, form])}.checkpoint.npz"
        return train_quantized(opened, arch, path, recipe=recipe, checkpoint=checkpoint, form=form, **options)
    say("export and check")
    return export_subnet(opened, arch, path, precision=target.precision, form=form, **options)


def _digest(trained: list) -> str:
    return hashlib.sha256(json.dumps(trained).encode()).hexdigest()[:12]
