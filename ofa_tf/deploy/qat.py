"""Quantization-aware training: an int8 file whose network was trained with the rounding inside.

The training needs another Keras than the rest and runs in a process of its own (`qat_process`); this module gives it
the batches and the float network's outputs, shows its progress, and checks what comes back like any other file.
"""

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import math
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tqdm

from ofa_tf.common import InputError, OfaError, save_npz, write_json
from ofa_tf.common.form import Form, precision_of
from ofa_tf.data import Augmentation, ImageDataset, Preprocessing, steps_per_epoch, training_batches
from ofa_tf.deploy.batch_process import BatchProcess
from ofa_tf.deploy.checked_file import Expected, keep_checked
from ofa_tf.deploy.export_report import ExportReport
from ofa_tf.deploy.float_network import check_images_fit, for_symmetric_inputs, keras_logits
from ofa_tf.deploy.quantization_recipe import QuantizationRecipe
from ofa_tf.networks.plain import build_plain
from ofa_tf.networks.supernet import set_plain_weights
from ofa_tf.spaces import Block

_WHAT = "quantization-aware training"
_PROCESS = "from ofa_tf.deploy import qat_process; qat_process.main()"
_NEEDED = ("tensorflow_model_optimization", "tf_keras")


def quantization_aware(
    blocks: Sequence[Block],
    weights: Mapping[str, Sequence[np.ndarray]],
    path: str | os.PathLike,
    *,
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    check_images: np.ndarray,
    check_labels: np.ndarray | None = None,
    recipe: QuantizationRecipe | None = None,
    form: str | None = None,
    max_drop: float | None = None,
    checkpoint: str | os.PathLike | None = None,
    after_epoch: Callable[[int, dict], None] | None = None,
    facts: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> ExportReport:
    """Trains a network with the rounding of an int8 file inside, writes the file, and keeps it only if it agrees.

    Every value is rounded in training as it will be in the file; batch norms go into the weights before. What is
    learned are the float network's own outputs on augmented training images, not the labels: the file is to do what
    that network does, and a few epochs of labels alone would teach another one. The file is as `export` writes it.

    Args:
        blocks: what the network is built of.
        weights: by the names of the plain model's layers, in the layers' order, as `Supernet.plain_weights` gives them.
        path: where the file goes.
        dataset: whose training images it learns from.
        preprocessing: what the network was trained with.
        augmentation: of the training images.
        check_images: uint8 (M, r, r, 3), on which the file is compared with the float network.
        check_labels: int (M,), their classes.
        recipe: how it is trained.
        form: how it is written, one of `common.form.FORMS` with a hard-swish of integers ("split" or "folded").
        max_drop: by how much top-1 may be below the float network's (without labels: the share of images whose top-1
            class may differ), 0..1.
        checkpoint: a file that holds the state after each epoch; an existing one of the same network, images and recipe
            is resumed, and it is removed at the end.
        after_epoch: called with the epoch (from 1) and its mean training figures: "loss" (the divergence from the float
            network's outputs) and "agreement" (the share of images with its class).
        facts: JSON-ready data to put into the file, see `export_blocks`.
        threads: the interpreter's threads for the check.

    Returns:
        What was found.

    Raises:
        InputError: the images do not fit, the form is none for integers, or a package is missing.
        OfaError: the training's process failed, or the file does not agree; nothing is left under `path` then.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 3; docs/design_notes.md, "Quantization-aware training".

    Example:
        report = quantization_aware(net.space.blocks(arch), net.plain_weights(arch, statistics), "model.tflite",
                                    dataset=dataset, preprocessing=preprocessing, augmentation=augmentation,
                                    check_images=images, check_labels=labels)
    """
    recipe = recipe or QuantizationRecipe()
    form = form or precision_of("int8").form
    _check(blocks, dataset, form)
    check_images_fit(blocks[0].input_size, None, check_images, check_labels)
    model = build_plain(blocks, keras)
    set_plain_weights(model, weights)
    with tempfile.TemporaryDirectory(prefix="ofa_tf_qat_") as name:
        folder = pathlib.Path(name)
        job = _write_job(folder, blocks, weights, dataset, preprocessing, augmentation, recipe, form, checkpoint)
        with BatchProcess(_WHAT, _PROCESS, folder, {"TF_USE_LEGACY_KERAS": "1"}) as process:
            _train(process, job, model, dataset, preprocessing, augmentation, recipe, after_epoch)
        data = (folder / "model.tflite").read_bytes()
    report = keep_checked(
        path,
        data,
        Expected(check_images, keras_logits(model, preprocessing, check_images), check_labels),
        precision="int8",
        form=form,
        max_drop=max_drop,
        description={
            "preprocessing": preprocessing.to_config(),
            "trained_for_int8": recipe.to_config(),
            **(facts or {}),
        },
        threads=threads,
    )
    if checkpoint is not None:
        with contextlib.suppress(FileNotFoundError):
            pathlib.Path(checkpoint).unlink()
    return report


def _check(blocks: Sequence[Block], dataset: ImageDataset, form: str) -> None:
    if Form.parse(form).hard_swish == "fused":
        raise InputError(f"{_WHAT}: form {form} leaves hard-swish to float kernels; give folded-rows or split-rows")
    if blocks[-1].out_channels != dataset.num_classes:
        raise InputError(
            f"{_WHAT}: the network has {blocks[-1].out_channels} outputs, dataset {dataset.name} has "
            f"{dataset.num_classes} classes; give images of its classes"
        )
    missing = [package for package in _NEEDED if importlib.util.find_spec(package) is None]
    if missing:
        raise InputError(f"{_WHAT}: {missing[0]} is not installed; install ofa_tf[qat]")


def _write_job(folder, blocks, weights, dataset, preprocessing, augmentation, recipe, form, checkpoint) -> dict:
    symmetric = for_symmetric_inputs(dict(weights), blocks[0].name, preprocessing)
    arrays = {f"{name}/{index}": value for name, values in symmetric.items() for index, value in enumerate(values)}
    save_npz(folder / "weights.npz", arrays)
    epoch_steps = steps_per_epoch(dataset, recipe.batch_size)
    job = {
        "blocks": [dataclasses.asdict(block) for block in blocks],
        "form": form,
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "steps": recipe.epochs * epoch_steps,
        "epoch_steps": epoch_steps,
        "range_batches": math.ceil(recipe.range_images / recipe.batch_size),
        "checkpoint": None if checkpoint is None else os.path.abspath(checkpoint),
    }
    sha256 = hashlib.sha256(json.dumps([job["blocks"], recipe.to_config(), augmentation.to_config(), form]).encode())
    for name in sorted(arrays):
        sha256.update(np.ascontiguousarray(arrays[name]).tobytes())
    job["identity"] = f"{dataset.digest} {sha256.hexdigest()}"
    write_json(folder / "job.json", job)
    return job


def _train(process: BatchProcess, job, model, dataset, preprocessing, augmentation, recipe, after_epoch) -> None:
    teacher = tf.function(lambda images: model(preprocessing.normalize(images), training=False), autograph=False)

    def batches(first: int, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for images, _ in training_batches(
            dataset,
            batch_size=recipe.batch_size,
            resolutions=(model.input_shape[1],),
            augmentation=augmentation,
            seed=recipe.seed,
            first_step=first,
            steps=count,
        ):
            yield np.asarray(images), np.asarray(teacher(images))

    epoch_steps = job["epoch_steps"]
    first = process.answer()["epoch"] * epoch_steps
    if first == 0:
        for _ in process.answers(batches(0, job["range_batches"])):
            pass
    figures = []
    with tqdm.tqdm(
        total=job["steps"] * recipe.batch_size,
        initial=first * recipe.batch_size,
        desc=_WHAT,
        unit="img",
        dynamic_ncols=True,
        mininterval=1.0,
        file=sys.stderr,
    ) as bar:
        for step, found in enumerate(process.answers(batches(first, job["steps"] - first)), start=first):
            if not math.isfinite(found["loss"]):
                raise OfaError(f"{_WHAT}, step {step}: the loss is {found['loss']}; lower the learning rate")
            figures.append(found)
            bar.update(recipe.batch_size)
            bar.set_postfix({name: f"{value:.3f}" for name, value in found.items()}, refresh=False)
            if (step + 1) % epoch_steps == 0:
                means = {name: float(np.mean([each[name] for each in figures])) for name in found}
                figures = []
                if after_epoch:
                    after_epoch((step + 1) // epoch_steps, means)
    # The file is written.
    process.answer()
