"""`specialize_target`: search, choose on the hold-out, export, check, measure, and again until it is inside."""

import dataclasses
import hashlib
import importlib.util
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

from ofa_tf import interop
from ofa_tf.common import InputError, OfaError
from ofa_tf.common.form import form_of
from ofa_tf.deploy import ExportReport, QuantizationRecipe
from ofa_tf.deploy.micro_runtime import run_micro
from ofa_tf.evaluation import Evaluation
from ofa_tf.predictors import AccuracyPredictor
from ofa_tf.search import Candidate, evolutionary_search
from ofa_tf.search.constraint import LatencyPredictor, constraints_of
from ofa_tf.spaces import Arch
from ofa_tf.specialize.opened import Opened
from ofa_tf.specialize.rounds import OverLimitsError, within_limits
from ofa_tf.specialize.subnet_files import export_subnet, finetuned_weights, train_quantized
from ofa_tf.specialize.target import Target
from ofa_tf.specialize.target_result import TargetResult

MODEL = "model.tflite"
# Neighbours in a search's order differ by a gene, so every fourth is looked at.
EVERY = 4
# In a result's `source`, beside weights and images.
PREDICTOR = "predictor"


def specialize_target(
    target: Target,
    folder: str | os.PathLike,
    *,
    predictor: AccuracyPredictor,
    opened: Opened | None,
    table: LatencyPredictor | None = None,
    measure: Callable[[pathlib.Path], float] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> TargetResult:
    """Finds the best sub-network inside a target's limits and makes its file.

    The best candidates of a search are calibrated and evaluated on the hold-out, which chooses. The file is checked on
    the hold-out and measured: its bytes; on the device, its latency; in the runtime of microcontrollers, where that is
    installed, its activations' peak. One that is over a limit makes the next search stricter, a few times.

    Args:
        target: what is wanted.
        folder: where the file goes, with its card.
        predictor: of accuracies.
        opened: the supernet and its images. Where it is None, or of another space than the predictor, the target ends
            as an architecture.
        table: predicts the latency, needed where that is limited.
        measure: the latency of a file on the device, in milliseconds; None where the device is not here.
        say: told what happens.

    Returns:
        What came of it. No model inside the limits is a result, too: `status` "failed", with its last model.

    Raises:
        InputError: the target asks for what cannot be, for example a limit below everything there is.
        OfaError: an export or a measurement failed.

    Example:
        result = specialize_target(target, "out", predictor=predictor, opened=opened, table=table, measure=measure)
    """
    began = time.monotonic()
    if "latency_ms" in target.limits and table is None:
        raise InputError("latency_table: there is none for the limit of latency_ms; give one")
    has_weights = opened is not None and opened.net.space.same_weights(predictor.space)
    if has_weights:
        result = _Specialization(target, pathlib.Path(folder), predictor, opened, table, measure, say).run()
    else:
        result = _architecture(target, predictor, table)
    source = {**result.source, PREDICTOR: predictor.digest}
    return dataclasses.replace(result, source=source, seconds=time.monotonic() - began)


def source_of(opened: Opened | None) -> dict[str, str]:
    """The digests of weights and images, by which results of other ones are told apart."""
    if opened is None:
        return {}
    return {name: str(opened.facts("holdout")["provenance"][name]) for name in ("weights", "data")}


def _architecture(target: Target, predictor: AccuracyPredictor, table: LatencyPredictor | None) -> TargetResult:
    space = predictor.space
    best = _search(target, target.limits, predictor, table)[0]
    return TargetResult(
        target,
        "architecture",
        arch=best.arch,
        space=space.name,
        predicted=_predicted(predictor, best),
        predicted_top1=best.predicted_accuracy,
        command=interop.import_command(space.name),
    )


def _search(target: Target, limits, predictor: AccuracyPredictor, table: LatencyPredictor | None) -> list[Candidate]:
    constraints = constraints_of(limits, table=table, precision=target.precision, form=target.form)
    found = evolutionary_search(
        predictor.space, predictor, constraints, seed=target.seed, resolutions=target.resolutions
    )
    return found.top(EVERY * target.candidates)[::EVERY]


def _predicted(predictor: AccuracyPredictor, candidate: Candidate) -> dict[str, float]:
    space, arch = predictor.space, candidate.arch
    counted = {"macs": float(space.count_macs(arch)), "params": float(space.count_params(arch))}
    return {**counted, **candidate.costs}


@dataclasses.dataclass(frozen=True)
class _Made:
    """What one round made."""

    candidate: Candidate
    evaluation: Evaluation
    report: ExportReport
    measured: dict[str, float]


class _Specialization:
    """One run of `specialize_target` that ends in a file."""

    def __init__(self, target: Target, folder: pathlib.Path, predictor, opened: Opened, table, measure, say):
        self.target, self.folder, self.predictor, self.opened = target, folder, predictor, opened
        self.table, self.measure, self.say = table, measure, say
        self.rounds: list[dict[str, Any]] = []
        self.evaluations: dict[Arch, Evaluation] = {}

    def run(self) -> TargetResult:
        target = self.target
        if target.images is not None and target.images > len(self.opened.dataset.split("holdout")):
            self.say(
                f"only {len(self.opened.dataset.split('holdout'))} hold-out images, {target.images} were asked for"
            )
        try:
            made = within_limits(target.limits, self.attempt, say=self.say)
            status, reason = "verified" if set(target.limits) <= set(made.measured) else "exported", ""
        except OverLimitsError as error:
            made, status, reason = error.model, "failed", str(error)
        for path in self.folder.glob("*.checkpoint.npz"):
            path.unlink()
        report = made.report
        return TargetResult(
            target,
            status,
            source=source_of(self.opened),
            arch=made.candidate.arch,
            space=self.predictor.space.name,
            predicted=_predicted(self.predictor, made.candidate),
            measured=made.measured,
            predicted_top1=made.candidate.predicted_accuracy,
            supernet_top1=made.evaluation.top1,
            keras_top1=report.keras_top1,
            tflite_top1=report.tflite_top1,
            images=report.images,
            rounds=tuple(self.rounds),
            evaluated=tuple(evaluation.to_dict() for evaluation in self.evaluations.values()),
            reason=reason,
        )

    def attempt(self, limits: dict[str, float]) -> tuple[_Made, dict[str, float]]:
        """One round: search below limits, choose, make the file, measure it."""
        self.say("search")
        candidates = _search(self.target, limits, self.predictor, self.table)
        candidates.sort(key=lambda candidate: -self.evaluated(candidate.arch).top1)
        candidate, report = self.exported(candidates)
        made = _Made(candidate, self.evaluated(candidate.arch), report, self.measured(candidate, report))
        self.rounds.append(
            {
                "limits": limits,
                "arch": candidate.arch.to_dict(),
                "predicted": dict(candidate.costs),
                "measured": made.measured,
            }
        )
        return made, made.measured

    def evaluated(self, arch: Arch) -> Evaluation:
        """Calibrated accuracy on the hold-out, once for each architecture."""
        if arch not in self.evaluations:
            self.say(f"evaluate candidate {len(self.evaluations) + 1}")
            evaluator = self.opened.evaluator
            self.evaluations[arch] = evaluator.evaluate(arch, split="holdout", limit=self.target.images)
        return self.evaluations[arch]

    def exported(self, candidates: list[Candidate]) -> tuple[Candidate, ExportReport]:
        """The file of the best candidate whose file does what the network does."""
        for place, candidate in enumerate(candidates):
            try:
                return candidate, self.export(candidate.arch)
            except InputError:
                raise
            except OfaError as error:
                if place + 1 == len(candidates):
                    raise
                self.say(f"{error}; trying the next candidate")
        raise AssertionError("a search without candidates")

    def export(self, arch: Arch) -> ExportReport:
        """Trains on where that was asked for, and writes the file."""
        target, path = self.target, self.folder / MODEL
        options = {"split": "holdout", "limit": target.images, "threads": target.threads}
        if target.max_drop is not None:
            options["max_drop"] = target.max_drop
        if target.finetune_epochs:
            self.say(f"fine-tune for {target.finetune_epochs} epochs")
            checkpoint = self.folder / f"finetune_{_digest(arch)}.checkpoint.npz"
            options["weights"] = finetuned_weights(
                self.opened, arch, epochs=target.finetune_epochs, seed=target.seed, checkpoint=checkpoint
            )
        form = form_of(target.precision, target.form, limits=target.limits)
        if target.quantization_aware_epochs:
            self.say(f"train as int8 for {target.quantization_aware_epochs} epochs")
            images = len(self.opened.dataset.split("train"))
            recipe = QuantizationRecipe(target.quantization_aware_epochs, batch_size=min(64, images), seed=target.seed)
            checkpoint = self.folder / f"quantize_{_digest(arch)}.checkpoint.npz"
            return train_quantized(self.opened, arch, path, recipe=recipe, checkpoint=checkpoint, form=form, **options)
        self.say("export and check")
        return export_subnet(self.opened, arch, path, precision=target.precision, form=form, **options)

    def measured(self, candidate: Candidate, report: ExportReport) -> dict[str, float]:
        """Everything that can be measured here."""
        space = self.predictor.space
        found = {
            "macs": float(space.count_macs(candidate.arch)),
            "params": float(space.count_params(candidate.arch)),
            "model_bytes": float(report.model_bytes),
        }
        if "peak_memory_bytes" in self.target.limits and importlib.util.find_spec("tflite_micro") is not None:
            self.say("measure memory")
            found["peak_memory_bytes"] = float(run_micro(report.path).head_bytes)
        if self.measure is not None:
            self.say("measure latency")
            try:
                found["latency_ms"] = self.measure(pathlib.Path(report.path))
            except InputError as error:
                # A phone without room, say: `within_limits` would take it for a search that has no answer.
                raise OfaError(str(error)) from error
        return found


def _digest(arch: Arch) -> str:
    return hashlib.sha256(arch.to_json().encode()).hexdigest()[:12]
