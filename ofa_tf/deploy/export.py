"""Sub-networks as checked `.tflite` files that take raw images."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ofa_tf.common import InputError
from ofa_tf.common.config import check_whole
from ofa_tf.common.form import precision_of
from ofa_tf.data.preprocessing import Preprocessing
from ofa_tf.deploy.border_types import with_image_input
from ofa_tf.deploy.checked_file import Expected, keep_checked
from ofa_tf.deploy.convert import convert
from ofa_tf.deploy.export_report import ExportReport
from ofa_tf.deploy.float_network import check_images_fit, for_symmetric_inputs, keras_logits
from ofa_tf.deploy.quantization import quantize
from ofa_tf.networks.plain import build_plain, formed_weights
from ofa_tf.networks.supernet import Supernet, set_plain_weights
from ofa_tf.spaces import Arch, Block, Space


def export(
    net: Supernet,
    arch: Arch,
    statistics: np.ndarray | None,
    path: str | os.PathLike,
    *,
    facts: Mapping[str, Any] | None = None,
    **options: Any,
) -> ExportReport:
    """Writes a sub-network as a TFLite file, runs the file, and keeps it only if it agrees with the Keras model.

    Args:
        net: the supernet.
        arch: the architecture.
        statistics: its calibrated batch-norm statistics.
        path: where the file goes.
        facts: see `export_blocks`; space, architecture and counts are added.
        options: everything else that `export_blocks` takes.

    Returns:
        What was found.

    Raises:
        InputError: images are missing or do not fit.
        OfaError: the conversion failed, or the file does not agree; nothing is left under `path` then.

    Example:
        report = export(net, arch, statistics, "model.tflite", precision="int8", preprocessing=preprocessing,
                        representative_images=images)
    """
    weights = net.plain_weights(arch, statistics)
    facts = {**arch_facts(net.space, arch), **(facts or {})}
    return export_blocks(net.space.blocks(arch), weights, path, facts=facts, **options)


def arch_facts(space: Space, arch: Arch) -> dict[str, Any]:
    """What a file says of its architecture."""
    return {
        "space": space.name,
        "arch": arch.to_dict(),
        "macs": space.count_macs(arch),
        "params": space.count_params(arch),
    }


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
    input_type: str = "uint8",
    output_type: str | None = None,
    batch_size: int = 1,
    facts: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> ExportReport:
    """The same for a network outside a supernet, for example a fine-tuned one.

    Every file takes raw images, (1, r, r, 3), RGB: the preprocessing's mean and std are inside. In "int8" everything is
    an integer: the input has scale 1/128 and zero point 128 (that is (x - 128) / 128, to which another preprocessing is
    brought by the stem's weights), the output is uint8 logits whose scale and zero point stand in the file; their
    argmax needs neither. The other precisions give float32 logits. Signature, `facts` and the check's figures are put
    into the file, and a model card is written beside it (`.md`).

    Args:
        blocks: what it is built of.
        weights: by the names of the plain model's layers, in the layers' order (`layer.get_weights()`).
        path: where the file goes.
        precision: one of `PRECISIONS`.
        preprocessing: what the network was trained with.
        representative_images: uint8 (N, r, r, 3) from the training split, needed for "int8" and "int16x8": the ranges
            of the activations are those on these images.
        check_images: uint8 (M, r, r, 3), on which the file is compared; the representative ones unless given.
        check_labels: int (M,), the classes of `check_images`.
        max_drop: by how much top-1 may be below the Keras model's (without labels: the share of images whose top-1
            class may differ), 0..1; unless given the precision's, and what chance explains on so many images.
        form: how it is written, one of `common.form.FORMS`; the precision's default unless given.
        input_type: "uint8": pixels as they are; "float32": (pixel - 128) / 128; in "int8" also "int8": pixel - 128.
        output_type: in "int8" one of `BORDER_TYPES`, "uint8" unless given; else "float32".
        batch_size: images that the file takes at once.
        facts: JSON-ready data to put into the file: `labels`, `provenance`, `checked` (the `split`), and any other.
        threads: the interpreter's threads for the check.

    Raises:
        InputError: images are missing or do not fit, or there are no such types.
        OfaError: the conversion failed, or the file does not agree; nothing is left under `path` then.
    """
    known = precision_of(precision)
    form = form or known.form
    output_type = output_type or known.output_types[0]
    _check_borders(precision, input_type, output_type, batch_size)
    if check_images is None:
        check_images, check_labels = representative_images, None
    if known.integer and representative_images is None:
        raise InputError(f"export to {precision}: no representative images; give some of the training split")
    check_images_fit(blocks[0].input_size, representative_images, check_images, check_labels)
    model = _plain(blocks, weights, form)
    if known.integer:
        data = _quantized(
            blocks,
            weights,
            precision,
            form,
            preprocessing,
            representative_images,
            input_type=input_type,
            output_type=output_type,
            batch_size=batch_size,
        )
    else:
        # What brings float32 inputs back to pixels, too, is folded into the stem.
        prepare = _from_centred(preprocessing) if input_type == "float32" else preprocessing.normalize
        data = convert(model, precision, prepare=prepare, input_type=input_type, batch_size=batch_size)
    return keep_checked(
        path,
        data,
        Expected(check_images, keras_logits(model, preprocessing, check_images), check_labels),
        precision=precision,
        form=form,
        max_drop=max_drop,
        description={
            "preprocessing": preprocessing.to_config(),
            **(facts or {}),
        },
        threads=threads,
    )


def _check_borders(precision: str, input_type: str, output_type: str, batch_size: int) -> None:
    inputs, outputs = precision_of(precision).input_types, precision_of(precision).output_types
    for name, found, known in (("input_type", input_type, inputs), ("output_type", output_type, outputs)):
        if found not in known:
            raise InputError(f"export to {precision}: {name} is {found!r}, expected one of {', '.join(known)}")
    check_whole("export: batch_size", batch_size, 1)


def _plain(blocks, weights, form: str) -> keras.Model:
    model = build_plain(blocks, keras, form=form)
    set_plain_weights(model, formed_weights(blocks, weights, form))
    return model


def _from_centred(preprocessing: Preprocessing):
    return lambda images: preprocessing.normalize(images * 128 + 128)


def _quantized(
    blocks, weights, precision: str, form: str, preprocessing, images, *, input_type: str, batch_size: int, **options
) -> bytes:
    model = _plain(blocks, for_symmetric_inputs(weights, blocks[0].name, preprocessing), form)
    images = images.copy()
    # Both ends of the range must occur; two pixels leave the ranges inside the network as they are.
    images[0, 0, 0], images[0, -1, -1] = 0, 255
    representative = (images.astype(np.float32) - 128) / 128
    if precision == "int8":
        return quantize(model, representative, input_type=input_type, batch_size=batch_size, **options)
    data = convert(model, precision, representative=representative, batch_size=batch_size)
    return with_image_input(data) if input_type == "uint8" else data
