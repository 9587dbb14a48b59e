"""A file gets its name only after it ran, and agreed with the network that it was made from."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import softmax

from ofa_tf.common import InputError, OfaError, atomic_path, check_writable, printable, write_text
from ofa_tf.common.form import FEATURE_NAMES, precision_of
from ofa_tf.deploy.model_file import described, is_model_card, model_card
from ofa_tf.deploy.runner import Runner, summarize

# How many standard errors of the difference on these images are put down to chance.
_STANDARD_ERRORS = 2.0
# But no more than such a share of them.
_MOST_CHANCE = 0.05
# Every file is run with as many, too, on some images.
_OTHER_THREADS, _OTHER_IMAGES = 3, 16
# What features of a file may be away from Keras's (`ExportReport.output_error`), by precision.
_FEATURE_ERROR = {"float32": 1e-3, "float16": 0.02, "dynamic": 0.3, "int8": 0.3, "int16x8": 0.1}
# Between threads, in units of the outputs' spread: the work is divided, not computed otherwise.
_THREADS_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """An exported file, and how it compares with the Keras model on the same images.

    Args:
        path: the file.
        precision: one of `PRECISIONS`.
        form: how it is written, one of `common.form.FORMS`.
        outputs: what it gives, one of `common.form.OUTPUTS`.
        model_bytes: its size.
        images: how many images it was checked on.
        agreement: share of them on which both have the same top-1 class, 0..1; None of features.
        output_error: root mean square of the differences of both's outputs, in units of the spread of Keras's.
        keras_top1: top-1 of the Keras model, 0..1, None without labels.
        tflite_top1: top-1 of the file, 0..1, None without labels.
        keras_top5: likewise, the right class among the first five; None with no more than five classes, too.
        tflite_top5: likewise.
        input_type: NumPy type of its input.
        output_type: NumPy type of its output.
        batch_size: images that it takes at once.
        threads: numbers of threads with which it was run and gave the same.
        partitions: parts of the graph that XNNPACK runs here.
        int8_share: share of the operations that read and write 8-bit activations only, 0..1.
        operations: how many there are of each kind.
        outside_xnnpack: how many of each kind XNNPACK leaves to slower code here.
    """

    path: str
    precision: str
    form: str
    outputs: str
    model_bytes: int
    images: int
    agreement: float | None
    output_error: float
    keras_top1: float | None
    tflite_top1: float | None
    keras_top5: float | None
    tflite_top5: float | None
    input_type: str
    output_type: str
    batch_size: int
    threads: tuple[int, ...]
    partitions: int
    int8_share: float
    operations: Mapping[str, int]
    outside_xnnpack: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)


def check_output(path: str | os.PathLike) -> None:
    """Raises `InputError` where a file and its card cannot be written, or would take the place of something else.

    It is asked before work whose result would be lost.
    """
    path = pathlib.Path(path)
    if path.suffix != ".tflite":
        # The card of net-0.35 would be that of net-0.5, too, and that of model.md the file itself.
        raise InputError(f"{path}: expected a name that ends with .tflite for the file to write")
    check_writable(path)
    card = path.with_suffix(".md")
    check_writable(card)
    if card.exists() and not is_model_card(card):
        raise InputError(
            f"{card}: is no card of an export, and that of {path.name} would take its place; move it, or give the "
            f".tflite file another name"
        )


def keep_checked(
    path: str | os.PathLike,
    data: bytes,
    images: np.ndarray,
    logits: np.ndarray,
    labels: np.ndarray | None,
    *,
    precision: str,
    form: str,
    outputs: str,
    max_drop: float | None,
    description: Mapping[str, Any],
    threads: int,
) -> ExportReport:
    """Runs a file on raw images, compares it with the float network's answers, and keeps it described if all is well.

    Raises:
        OfaError: it does not agree; nothing is left under `path` then.
    """
    path = pathlib.Path(path)
    runner = Runner(data, threads=threads)
    inputs = _as_taken(images, runner.input_type)
    found = joined(runner.predict_all(inputs))
    expected = softmax(logits, axis=-1) if outputs == "probabilities" else logits
    report = _compared(path, runner, found, expected, labels, precision=precision, form=form, outputs=outputs)
    if outputs != "features" and max_drop is None:
        # A limit that was given is exact.
        max_drop = _allowed_drop(precision, _changed(found, expected, labels), len(found))
    _judge(report, max_drop, trained="trained_for_int8" in description)
    spread = float(expected.std()) or 1.0
    _require_same(path, Runner(data, threads=_OTHER_THREADS), inputs, found, spread, f"with {_OTHER_THREADS} threads")
    data = described(data, _full_description(description, path, report, runner))
    report = dataclasses.replace(report, model_bytes=len(data))
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
        _require_same(path, Runner(temporary, threads=threads), inputs, found, spread, "with its description inside")
    write_text(path.with_suffix(".md"), model_card(path.name, data))
    return report


def joined(outputs: Any) -> np.ndarray:
    """Outputs as one array (N, ...): those of a backbone, a list or a dict, one after the other."""
    maps = list(outputs.values()) if isinstance(outputs, Mapping) else outputs
    if not isinstance(maps, list):
        return np.asarray(maps)
    return np.concatenate([np.asarray(part).reshape(len(part), -1) for part in maps], axis=1)


def _as_taken(images: np.ndarray, input_type: str) -> np.ndarray:
    """Raw images as what a file of an input type takes."""
    if input_type == "uint8":
        return images
    centred = images.astype(np.int16) - 128
    return centred.astype(np.int8) if input_type == "int8" else centred.astype(np.float32) / 128


def _compared(
    path, runner: Runner, found: np.ndarray, expected: np.ndarray, labels: np.ndarray | None, **written: str
) -> ExportReport:
    classes, reference = found.argmax(-1), expected.argmax(-1)
    summary = summarize(runner)
    more_than_five = labels is not None and expected.shape[-1] > 5
    return ExportReport(
        path=str(path),
        **written,
        model_bytes=len(runner.model_bytes),
        images=len(found),
        agreement=None if written["outputs"] == "features" else float(np.mean(reference == classes)),
        output_error=float(np.sqrt(np.mean((found - expected) ** 2)) / (expected.std() or 1.0)),
        keras_top1=None if labels is None else float(np.mean(reference == labels)),
        tflite_top1=None if labels is None else float(np.mean(classes == labels)),
        keras_top5=_top5(expected, labels) if more_than_five else None,
        tflite_top5=_top5(found, labels) if more_than_five else None,
        input_type=runner.input_type,
        output_type=runner.output_type,
        batch_size=runner.input_shape[0],
        threads=(runner.threads, _OTHER_THREADS),
        partitions=summary.partitions,
        int8_share=summary.int8_share,
        operations=summary.operations,
        outside_xnnpack=summary.outside_xnnpack,
    )


def _top5(outputs: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean((np.argsort(-outputs, axis=-1, kind="stable")[:, :5] == np.asarray(labels)[:, None]).any(-1)))


def _changed(found: np.ndarray, expected: np.ndarray, labels: np.ndarray | None) -> int:
    """On how many images it matters that the file answers otherwise: right for wrong, or wrong for right."""
    classes, reference = found.argmax(-1), expected.argmax(-1)
    if labels is None:
        return int(np.sum(classes != reference))
    return int(np.sum((classes == labels) != (reference == labels)))


def _allowed_drop(precision: str, changed: int, images: int) -> float:
    """What a file may lose: the precision's limit, and what chance explains, as many could have changed the other way.

    A few images would excuse a file that is wrong on all of them, so there is an end to it; one may always change.
    """
    chance = _STANDARD_ERRORS * changed**0.5 / images
    return precision_of(precision).max_drop + min(chance, max(_MOST_CHANCE, 1 / images))


def _judge(report: ExportReport, max_drop: float | None, *, trained: bool) -> None:
    if report.outputs == "features":
        limit = _FEATURE_ERROR[report.precision]
        if not report.output_error <= limit:
            raise OfaError(
                f"{report.path}: features of the {report.precision} file are off by {report.output_error:.4f} of their "
                f"spread, at most {limit} was expected; it was not kept: give more representative images, another "
                f"precision"
            )
        return
    if report.keras_top1 is not None:
        drop = report.keras_top1 - report.tflite_top1
        found = f"top-1 {report.tflite_top1:.4f} against the Keras model's {report.keras_top1:.4f}"
    else:
        drop = 1 - report.agreement
        found = f"the Keras model's class on {report.agreement:.4f} of them"
    remedy = "more epochs" if trained else "more representative images, another precision"
    # Shares of a few images are multiples of one of them, with rounding errors. Written so that a NaN fails.
    if not drop <= max_drop + 1e-9:
        raise OfaError(
            f"{report.path}: the {report.precision} file was checked on {report.images} images and found to have "
            f"{found}, a difference of at most {max_drop:.4f} was expected; it was not kept: give {remedy}, or a "
            f"larger max_drop"
        )


def _require_same(path, runner: Runner, inputs, outputs, spread: float, how: str) -> None:
    error = np.abs(joined(runner.predict_all(inputs[:_OTHER_IMAGES])) - outputs[:_OTHER_IMAGES]).max() / spread
    # Written so that a NaN fails.
    if not error <= _THREADS_TOLERANCE:
        raise OfaError(
            f"{path}: {how} the file gives something else (by {error:.4f} of their spread) than before; it was not "
            f"kept: this is a fault of the runtime or of this program, please report it"
        )


def _full_description(facts: Mapping[str, Any], path: pathlib.Path, report: ExportReport, runner: Runner) -> dict:
    names = ("images", "agreement", "keras_top1", "tflite_top1", "keras_top5", "tflite_top5")
    output = _tensor_facts(runner.output_details)
    if report.outputs == "features":
        names = ("images", "output_error")
        output = {
            "type": output["type"],
            "shapes": dict(zip(FEATURE_NAMES.values(), runner.output_shapes, strict=False)),
        }
    found = {name: getattr(report, name) for name in names}
    found = {name: round(value, 6) for name, value in found.items() if value is not None}
    return {
        "format": "ofa_tf model",
        "version": 1,
        "name": printable(path.stem),
        **facts,
        "precision": report.precision,
        "form": report.form,
        "input": _tensor_facts(runner.input_details),
        "output": {"values": report.outputs, **output},
        "checked": {**facts.get("checked", {}), **found},
    }


def _tensor_facts(details: Mapping[str, Any]) -> dict[str, Any]:
    scale, zero_point = details["quantization"]
    facts = {"type": np.dtype(details["dtype"]).name, "shape": [int(size) for size in details["shape"]]}
    return {**facts, "scale": float(scale), "zero_point": int(zero_point)} if scale else facts
