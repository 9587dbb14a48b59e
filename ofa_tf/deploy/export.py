"""Sub-networks as checked `.tflite` files that take raw images."""

import math
import os
import pathlib
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from ofa_tf.common import InputError, OfaError, atomic_path
from ofa_tf.data.preprocessing import SYMMETRIC, Preprocessing
from ofa_tf.deploy.convert import check_precision, convert, default_form
from ofa_tf.deploy.export_report import ExportReport
from ofa_tf.deploy.quantization import quantize
from ofa_tf.deploy.runner import Runner
from ofa_tf.networks.plain import build_plain, formed_weights
from ofa_tf.networks.supernet import Supernet, set_plain_weights
from ofa_tf.spaces import Arch, Block

# Shares of the checked images; int8 loses about a point where calibration images are like the real ones.
DEFAULT_MAX_DROP = {"float32": 0.01, "float16": 0.01, "dynamic": 0.03, "int8": 0.05}
_BATCH = 64


def export(
    net: Supernet,
    arch: Arch,
    statistics: np.ndarray | None,
    path: str | os.PathLike,
    *,
    precision: str,
    preprocessing: Preprocessing,
    representative_images: np.ndarray | None = None,
    check_images: np.ndarray | None = None,
    check_labels: np.ndarray | None = None,
    max_drop: float | None = None,
    form: str | None = None,
    threads: int = 1,
) -> ExportReport:
    """Writes a sub-network as a TFLite file, runs the file, and keeps it only if it agrees with the Keras model.

    Every file takes raw images, uint8 (1, r, r, 3), RGB: the preprocessing's mean and std are inside. In "int8"
    everything is an integer: the input has scale 1/128 and zero point 128 (that is (x - 128) / 128, to which another
    preprocessing is brought by the stem's weights), the output is uint8 logits whose scale and zero point stand in
    the file; their argmax needs neither. The other precisions give float32 logits.

    Args:
        net: the supernet.
        arch: the architecture.
        statistics: its calibrated batch-norm statistics.
        path: where the file goes.
        precision: one of `PRECISIONS`.
        preprocessing: what the supernet was trained with.
        representative_images: uint8 (N, r, r, 3) from the training split, needed for "int8": the ranges of the
            activations are those on these images.
        check_images: uint8 (M, r, r, 3), on which the file is compared; the representative ones unless given.
        check_labels: int (M,), the classes of `check_images`.
        max_drop: by how much top-1 may be below the Keras model's (without labels: the share of images whose top-1
            class may differ), 0..1; `DEFAULT_MAX_DROP` of the precision unless given.
        form: how it is written, one of `spaces.form.FORMS`; the precision's default unless given.
        threads: the interpreter's threads for the check.

    Returns:
        What was found.

    Raises:
        InputError: images are missing or do not fit.
        OfaError: the conversion failed, or the file does not agree; nothing is left under `path` then.

    Example:
        report = export(net, arch, statistics, "model.tflite", precision="int8", preprocessing=preprocessing,
                        representative_images=images)
    """
    return export_blocks(
        net.space.blocks(arch),
        net.plain_weights(arch, statistics),
        path,
        precision=precision,
        preprocessing=preprocessing,
        representative_images=representative_images,
        check_images=check_images,
        check_labels=check_labels,
        max_drop=max_drop,
        form=form,
        threads=threads,
    )


def export_blocks(
    blocks: Sequence[Block],
    weights: Mapping[str, Sequence[np.ndarray]],
    path: str | os.PathLike,
    *,
    precision: str,
    preprocessing: Preprocessing,
    representative_images: np.ndarray | None = None,
    check_images: np.ndarray | None = None,
    check_labels: np.ndarray | None = None,
    max_drop: float | None = None,
    form: str | None = None,
    threads: int = 1,
) -> ExportReport:
    """The same for a network outside a supernet, for example a fine-tuned one.

    Args:
        blocks: what it is built of.
        weights: by the names of the plain model's layers, in the layers' order (`layer.get_weights()`).
        path: where the file goes; it and the rest as for `export`.
        precision: see there.
        preprocessing: see there.
        representative_images: see there.
        check_images: see there.
        check_labels: see there.
        max_drop: see there.
        form: see there.
        threads: see there.
    """
    form = form or default_form(check_precision(precision))
    if check_images is None:
        check_images, check_labels = representative_images, None
    _check(blocks[0].input_size, precision, representative_images, check_images, check_labels)
    model = build_plain(blocks, keras, form=form)
    set_plain_weights(model, formed_weights(blocks, weights, form))
    with atomic_path(path) as temporary:
        if precision == "int8":
            data = _convert_int8(blocks, weights, form, preprocessing, representative_images)
        else:
            data = convert(model, precision, prepare=preprocessing.normalize)
        temporary.write_bytes(data)
        runner = Runner(temporary, threads=threads)
        expected, found = _keras_classes(model, preprocessing, check_images), runner.predict(check_images).argmax(-1)
        report = ExportReport(
            path=str(pathlib.Path(path)),
            precision=precision,
            form=form,
            model_bytes=len(data),
            images=len(check_images),
            agreement=float(np.mean(expected == found)),
            keras_top1=None if check_labels is None else float(np.mean(expected == check_labels)),
            tflite_top1=None if check_labels is None else float(np.mean(found == check_labels)),
            input_type=runner.input_type,
            output_type=runner.output_type,
            partitions=runner.partitions,
        )
        _judge(report, DEFAULT_MAX_DROP[precision] if max_drop is None else max_drop)
    return report


def _check(side: int, precision: str, representative_images, check_images, check_labels) -> None:
    if precision == "int8" and representative_images is None:
        raise InputError("export to int8: no representative images; give some of the training split")
    if check_images is None:
        raise InputError("export: no images to check the file on; give check_images or representative_images")
    shape = (side, side, 3)
    for name, images in (("representative_images", representative_images), ("check_images", check_images)):
        if images is not None and (images.dtype != np.uint8 or images.shape[1:] != shape or len(images) == 0):
            raise InputError(
                f"export: {name} are {images.dtype} {images.shape}, expected uint8 (at least 1, {side}, {side}, 3)"
            )
    if check_labels is not None and np.shape(check_labels) != (len(check_images),):
        raise InputError(f"export: {np.shape(check_labels)} check_labels for {len(check_images)} check_images")


def _convert_int8(blocks, weights, form, preprocessing, images) -> bytes:
    model = build_plain(blocks, keras, form=form)
    symmetric = for_symmetric_inputs(weights, blocks[0].name, preprocessing)
    set_plain_weights(model, formed_weights(blocks, symmetric, form))
    images = images.copy()
    # Both ends of the range must occur; two pixels leave the ranges inside the network as they are.
    images[0, 0, 0], images[0, -1, -1] = 0, 255
    representative = (images.astype(np.float32) - 128) / 128
    return quantize(model, representative).data


def for_symmetric_inputs(weights: dict, stem: str, preprocessing: Preprocessing) -> dict:
    """Weights under which a network that takes (x - 128) / 128 does what it did with the preprocessing's inputs.

    At the image's border, where the padding's zeros now mean grey and not the mean colour, it is not quite the same.
    Source: tflite_notes.md, "Input".
    """
    if preprocessing.mean == SYMMETRIC.mean and preprocessing.std == SYMMETRIC.std:
        return weights
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    scale, offset = 128 / (255 * std), (128 / 255 - mean) / std
    (kernel,) = weights[f"{stem}_conv"]
    gamma, beta, moving_mean, moving_variance = weights[f"{stem}_norm"]
    moving_mean = moving_mean - np.einsum("hwio,i->o", kernel, offset)
    return {
        **weights,
        f"{stem}_conv": [(kernel * scale[:, None]).astype(np.float32)],
        f"{stem}_norm": [gamma, beta, moving_mean.astype(np.float32), moving_variance],
    }


def _keras_classes(model: keras.Model, preprocessing: Preprocessing, images: np.ndarray) -> np.ndarray:
    batches = np.array_split(images, math.ceil(len(images) / _BATCH))
    logits = [np.asarray(model(preprocessing.normalize(batch), training=False)) for batch in batches]
    return np.concatenate(logits).argmax(-1)


def _judge(report: ExportReport, max_drop: float) -> None:
    if report.keras_top1 is not None:
        drop = report.keras_top1 - report.tflite_top1
        found = f"top-1 {report.tflite_top1:.4f} against the Keras model's {report.keras_top1:.4f}"
    else:
        drop = 1 - report.agreement
        found = f"the Keras model's class on {report.agreement:.4f} of them"
    # Shares of a few images are multiples of one of them, with rounding errors.
    if drop > max_drop + 1e-9:
        raise OfaError(
            f"{report.path}: the {report.precision} file was checked on {report.images} images and found to have "
            f"{found}, a difference of at most {max_drop:.4f} was expected; it was not kept: give more "
            f"representative images, another precision, or a larger max_drop"
        )
