"""A file gets its name only after it ran, and agreed with the network that it was made from."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ofa_tf.common import OfaError, atomic_path, write_text
from ofa_tf.common.form import precision_of
from ofa_tf.deploy.export_report import ExportReport
from ofa_tf.deploy.graph_summary import summarize
from ofa_tf.deploy.model_card import model_card
from ofa_tf.deploy.model_file import described
from ofa_tf.deploy.runner import Runner

# How many standard errors of the difference on these images are put down to chance.
_STANDARD_ERRORS = 2.0
# Every file is run with as many, too, on some images.
_OTHER_THREADS, _OTHER_IMAGES = 3, 16
# Between threads, in units of the logits' spread: the work is divided, not computed otherwise.
_THREADS_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Expected:
    """What a file is compared with.

    Args:
        images: uint8 (M, r, r, 3), raw.
        logits: float32 (M, classes) of the float network on them.
        labels: int (M,), None where the classes are not known.
    """

    images: np.ndarray
    logits: np.ndarray
    labels: np.ndarray | None = None


def keep_checked(
    path: str | os.PathLike,
    data: bytes,
    expected: Expected,
    *,
    precision: str,
    form: str,
    max_drop: float | None = None,
    description: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> ExportReport:
    """Runs a file on images, compares it, describes it, and keeps it under its name if all is well.

    Args:
        path: where the file goes; its model card goes beside it, `.md`.
        data: the file, of one input of raw images in any of `BORDER_TYPES`.
        expected: what it should give.
        precision: one of `PRECISIONS`.
        form: how it is written, one of `common.form.FORMS`.
        max_drop: see `export_blocks`.
        description: JSON-ready facts to put into the file, to which the check's figures are added.
        threads: the interpreter's threads for the check.

    Returns:
        What was found.

    Raises:
        OfaError: it does not agree; nothing is left under `path` then.
    """
    path = pathlib.Path(path)
    runner = Runner(data, threads=threads)
    inputs = _as_taken(expected.images, runner.input_type)
    logits = runner.predict(inputs)
    report = _compared(path, data, runner, logits, expected, precision=precision, form=form)
    trained = "trained_for_int8" in (description or {})
    if max_drop is None:
        # Of paired answers as many could have changed the other way. A limit that was given is exact.
        chance = _STANDARD_ERRORS * _changed(logits, expected) ** 0.5 / len(logits)
        max_drop = precision_of(precision).max_drop + chance
    _judge(report, max_drop, trained=trained)
    spread = float(expected.logits.std()) or 1.0
    _require_same(path, Runner(data, threads=_OTHER_THREADS), inputs, logits, spread, f"with {_OTHER_THREADS} threads")
    data = described(data, _full_description(description or {}, path, report, runner))
    report = dataclasses.replace(report, model_bytes=len(data))
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
        _require_same(path, Runner(temporary, threads=threads), inputs, logits, spread, "with its description inside")
    write_text(path.with_suffix(".md"), model_card(path.name, data))
    return report


def _as_taken(images: np.ndarray, input_type: str) -> np.ndarray:
    """Raw images as what a file of an input type takes."""
    if input_type == "uint8":
        return images
    centred = images.astype(np.int16) - 128
    return centred.astype(np.int8) if input_type == "int8" else centred.astype(np.float32) / 128


def _compared(path, data, runner, logits, expected, *, precision: str, form: str) -> ExportReport:
    found, reference = logits.argmax(-1), expected.logits.argmax(-1)
    summary = summarize(runner)
    labels = expected.labels
    more_than_five = labels is not None and logits.shape[-1] > 5
    return ExportReport(
        path=str(path),
        precision=precision,
        form=form,
        model_bytes=len(data),
        images=len(logits),
        agreement=float(np.mean(reference == found)),
        logits_error=float(np.sqrt(np.mean((logits - expected.logits) ** 2)) / (expected.logits.std() or 1.0)),
        keras_top1=None if labels is None else float(np.mean(reference == labels)),
        tflite_top1=None if labels is None else float(np.mean(found == labels)),
        keras_top5=_top5(expected.logits, labels) if more_than_five else None,
        tflite_top5=_top5(logits, labels) if more_than_five else None,
        input_type=runner.input_type,
        output_type=runner.output_type,
        batch_size=runner.input_shape[0],
        threads=(runner.threads, _OTHER_THREADS),
        partitions=summary.partitions,
        int8_share=summary.int8_share,
        operations=summary.operations,
        outside_xnnpack=summary.outside_xnnpack,
    )


def _top5(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean((np.argsort(-logits, axis=-1, kind="stable")[:, :5] == np.asarray(labels)[:, None]).any(-1)))


def _changed(logits: np.ndarray, expected: Expected) -> int:
    """On how many images it matters that the file answers otherwise: right for wrong, or wrong for right."""
    found, reference = logits.argmax(-1), expected.logits.argmax(-1)
    if expected.labels is None:
        return int(np.sum(found != reference))
    return int(np.sum((found == expected.labels) != (reference == expected.labels)))


def _judge(report: ExportReport, max_drop: float, *, trained: bool) -> None:
    if report.keras_top1 is not None:
        drop = report.keras_top1 - report.tflite_top1
        found = f"top-1 {report.tflite_top1:.4f} against the Keras model's {report.keras_top1:.4f}"
    else:
        drop = 1 - report.agreement
        found = f"the Keras model's class on {report.agreement:.4f} of them"
    remedy = "more epochs" if trained else "more representative images, another precision"
    # Shares of a few images are multiples of one of them, with rounding errors.
    if drop > max_drop + 1e-9:
        raise OfaError(
            f"{report.path}: the {report.precision} file was checked on {report.images} images and found to have "
            f"{found}, a difference of at most {max_drop:.4f} was expected; it was not kept: give {remedy}, or a "
            f"larger max_drop"
        )


def _require_same(path, runner: Runner, inputs, logits, spread: float, how: str) -> None:
    error = np.abs(runner.predict(inputs[:_OTHER_IMAGES]) - logits[:_OTHER_IMAGES]).max() / spread
    # Written so that a NaN fails.
    if not error <= _THREADS_TOLERANCE:
        raise OfaError(
            f"{path}: {how} the file gives other logits (by {error:.4f} of their spread) than before; it was not "
            f"kept: this is a fault of the runtime or of this program, please report it"
        )


def _full_description(facts: Mapping[str, Any], path: pathlib.Path, report: ExportReport, runner: Runner) -> dict:
    names = ("images", "agreement", "keras_top1", "tflite_top1", "keras_top5", "tflite_top5")
    found = {name: getattr(report, name) for name in names}
    found = {name: round(value, 6) for name, value in found.items() if value is not None}
    return {
        "format": "ofa_tf model",
        "version": 1,
        "name": path.stem,
        **facts,
        "precision": report.precision,
        "form": report.form,
        "input": _border(runner.input_details),
        "output": _border(runner.output_details),
        "checked": {**facts.get("checked", {}), **found},
    }


def _border(details: Mapping[str, Any]) -> dict[str, Any]:
    scale, zero_point = details["quantization"]
    border = {"type": np.dtype(details["dtype"]).name, "shape": [int(size) for size in details["shape"]]}
    return {**border, "scale": float(scale), "zero_point": int(zero_point)} if scale else border
