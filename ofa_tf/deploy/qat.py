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
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tqdm

from ofa_tf.common import InputError, OfaError, save_npz, write_json
from ofa_tf.common.child import Child
from ofa_tf.common.config import check_whole, from_config, is_number, to_config
from ofa_tf.common.form import OUTPUTS, Form, form_of
from ofa_tf.common.resizing import CROP
from ofa_tf.data import Augmentation, ImageDataset, steps_per_epoch, training_batches
from ofa_tf.deploy.borders import with_borders
from ofa_tf.deploy.checked_file import ExportReport, keep_checked
from ofa_tf.deploy.network import Network, check_export, check_images_fit, check_names

_WHAT = "quantization-aware training"
_PROCESS = "ofa_tf.deploy.qat_process:train"
_NEEDED = ("tensorflow_model_optimization", "tf_keras")


@dataclasses.dataclass(frozen=True)
class QuantizationRecipe:
    """Adam with cosine decay, towards the outputs of the float network.

    Args:
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: of the first step.
        range_images: training images from which the first ranges of all values are taken, before the first step.
        seed: of data order and augmentation.
    """

    epochs: int = 2
    batch_size: int = 64
    learning_rate: float = 1e-4
    range_images: int = 1024
    seed: int = 0

    def __post_init__(self):
        for name, least in (("epochs", 1), ("batch_size", 1), ("range_images", 1), ("seed", 0)):
            check_whole(f"quantization recipe: {name}", getattr(self, name), least)
        if not is_number(self.learning_rate) or self.learning_rate < 0:
            raise InputError(
                f"quantization recipe: learning_rate is {self.learning_rate!r}, expected a number of at least 0"
            )

    def to_config(self) -> dict[str, Any]:
        """The recipe as JSON-ready data, read back by `from_config`."""
        return to_config(self)

    @staticmethod
    def from_config(fields: dict[str, Any]) -> "QuantizationRecipe":
        """Reads what `to_config` wrote; raises `InputError` where it does not fit."""
        return from_config(QuantizationRecipe, fields, "quantization recipe")


def quantization_aware(
    network: Network,
    path: str | os.PathLike,
    *,
    dataset: ImageDataset,
    augmentation: Augmentation,
    check_images: np.ndarray,
    check_labels: np.ndarray | None = None,
    recipe: QuantizationRecipe | None = None,
    form: str | None = None,
    outputs: str = OUTPUTS[0],
    max_drop: float | None = None,
    checkpoint: str | os.PathLike | None = None,
    after_epoch: Callable[[int, dict], None] | None = None,
    threads: int = 1,
) -> ExportReport:
    """Trains a network with the rounding of an int8 file inside, writes the file, and keeps it only if it agrees.

    Every value is rounded in training as it will be in the file; batch norms go into the weights before. What is
    learned are the float network's own outputs on augmented training images, not the labels: the file is to do what
    that network does, and a few epochs of labels alone would teach another one. The file is as `Network.export` writes
    it.

    Args:
        network: the float one.
        path: where the file goes; a name that ends with ".tflite".
        dataset: whose training images it learns from.
        augmentation: of the training images.
        check_images: uint8 (M, r, r, 3), on which the file is compared with the float network.
        check_labels: int (M,), their classes.
        recipe: how it is trained.
        form: how it is written, one of `common.form.FORMS` with a hard-swish of integers ("split" or "folded").
        outputs: "probabilities" or "logits", as uint8.
        max_drop: see `Network.export`.
        checkpoint: a file that holds the state after each epoch; an existing one of the same network, images and recipe
            is resumed, and it is removed at the end.
        after_epoch: called with the epoch (from 1) and its mean training figures: "loss" (the divergence from the float
            network's outputs) and "agreement" (the share of images with its class).
        threads: the interpreter's threads for the check.

    Returns:
        What was found.

    Raises:
        InputError: the images do not fit, the form is none for integers, `max_drop` is none, a package is missing, or
            the file could not be written.
        OfaError: the training's process failed, or the file does not agree; nothing is left under `path` then.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 3; docs/results/int8.md.

    Example:
        network = deploy.Network.of_subnet(net, arch, preprocessing, statistics)
        report = deploy.quantization_aware(network, "model.tflite", dataset=dataset, augmentation=augmentation,
                                           check_images=images, check_labels=labels)
    """
    if outputs == "features":
        raise InputError(
            f"{_WHAT}: outputs is 'features', expected probabilities or logits; export a backbone without it"
        )
    check_export(path, "int8", outputs=outputs, max_drop=max_drop)
    recipe = recipe or QuantizationRecipe()
    form = form_of("int8", form)
    _check(network, dataset, form)
    check_names(network)
    check_images_fit(network, None, check_images, check_labels)
    with tempfile.TemporaryDirectory(prefix="ofa_tf_qat_") as name:
        folder = pathlib.Path(name)
        job = _write_job(folder, network, dataset, augmentation, recipe, form, checkpoint)
        with Child(_WHAT, _PROCESS, name, variables={"TF_USE_LEGACY_KERAS": "1"}) as child:
            _train(child, job, network, dataset, augmentation, recipe, after_epoch)
        data = with_borders((folder / "model.tflite").read_bytes(), "uint8", "uint8", outputs)
    report = keep_checked(
        path,
        data,
        check_images,
        network.logits(check_images),
        check_labels,
        precision="int8",
        form=form,
        outputs=outputs,
        max_drop=max_drop,
        description={**network.description(), "trained_for_int8": recipe.to_config()},
        threads=threads,
    )
    if checkpoint is not None:
        with contextlib.suppress(FileNotFoundError):
            pathlib.Path(checkpoint).unlink()
    return report


def check_form(form: str) -> None:
    """Raises `InputError` where a form cannot be trained, or what trains it is not installed."""
    if Form.parse(form).hard_swish == "fused":
        raise InputError(
            f"{_WHAT}: form {form} leaves hard-swish to float kernels; give {form.replace('fused', 'folded')}"
        )
    missing = [package for package in _NEEDED if importlib.util.find_spec(package) is None]
    if missing:
        raise InputError(f"{_WHAT}: {missing[0]} is not installed; install ofa_tf[qat]")


def _check(network: Network, dataset: ImageDataset, form: str) -> None:
    check_form(form)
    outputs = network.blocks[-1].out_channels
    if outputs != dataset.num_classes:
        raise InputError(
            f"{_WHAT}: the network has {outputs} outputs, dataset {dataset.name} has "
            f"{dataset.num_classes} classes; give images of its classes"
        )


def _write_job(folder, network: Network, dataset, augmentation, recipe, form, checkpoint) -> dict:
    symmetric = network.weights_for_symmetric_inputs()
    arrays = {f"{name}/{index}": value for name, values in symmetric.items() for index, value in enumerate(values)}
    save_npz(folder / "weights.npz", arrays)
    epoch_steps = steps_per_epoch(dataset, recipe.batch_size)
    job = {
        "blocks": [dataclasses.asdict(block) for block in network.blocks],
        "form": form,
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "steps": recipe.epochs * epoch_steps,
        "epoch_steps": epoch_steps,
        "range_batches": math.ceil(recipe.range_images / recipe.batch_size),
        "checkpoint": None if checkpoint is None else os.path.abspath(checkpoint),
    }
    sha256 = hashlib.sha256(json.dumps([job["blocks"], recipe.to_config(), augmentation.to_config(), form]).encode())
    if network.preprocessing.resize != CROP:
        sha256.update(network.preprocessing.resize.encode())
    for name in sorted(arrays):
        # Statistics of batch norms are measured, by other threads with another last digit.
        if not name.endswith(("_norm/2", "_norm/3")):
            sha256.update(np.ascontiguousarray(arrays[name]).tobytes())
    job["identity"] = f"{dataset.digest} {sha256.hexdigest()}"
    write_json(folder / "job.json", job)
    return job


def _train(child: Child, job, network: Network, dataset, augmentation, recipe, after_epoch) -> None:
    model, normalize = network.model(), network.preprocessing.normalize
    teacher = tf.function(lambda images: model(normalize(images), training=False), autograph=False)

    def batches(first: int, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for images, _ in training_batches(
            dataset,
            batch_size=recipe.batch_size,
            resolutions=(model.input_shape[1],),
            augmentation=augmentation,
            seed=recipe.seed,
            first_step=first,
            steps=count,
            resize=network.preprocessing.resize,
        ):
            yield np.ascontiguousarray(images), np.ascontiguousarray(teacher(images))

    epoch_steps = job["epoch_steps"]
    first = child.answer()["epoch"] * epoch_steps
    if first == 0:
        for _ in child.answers(batches(0, job["range_batches"])):
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
        for step, found in enumerate(child.answers(batches(first, job["steps"] - first)), start=first):
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
    child.answer()
