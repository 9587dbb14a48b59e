"""A sub-network of an opened supernet as a checked file, as it is or trained on."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ofa_tf.data import evaluation_batches
from ofa_tf.deploy import ExportReport, Network, Runner, quantization_aware
from ofa_tf.spaces import Arch
from ofa_tf.specialize.opened import Opened
from ofa_tf.training import FinetuneRecipe, finetune

# Training images that give integer precisions their ranges; and how many images a file is asked about at once.
_REPRESENTATIVE, _BATCH = 200, 200

Weights = Mapping[str, Sequence[np.ndarray]]


def export_subnet(
    opened: Opened,
    arch: Arch,
    path: str | os.PathLike,
    *,
    split: str,
    limit: int | None = None,
    weights: Weights | None = None,
    **options: Any,
) -> ExportReport:
    """Calibrates a sub-network, writes its file, and checks it on a split's images.

    Args:
        opened: the supernet and its images.
        arch: the sub-network.
        path: the `.tflite` file.
        split: which images check it.
        limit: at most so many of them, evenly spaced.
        weights: of the sub-network where it was trained on; the supernet's own, calibrated, unless given.
        options: precision, form and all else that `deploy.Network.export` takes.
    """
    evaluator = opened.evaluator
    images, labels = evaluator.images(split, arch.r, limit)
    return _network(opened, arch, split, weights).export(
        path,
        representative_images=evaluator.calibration_set(arch.r)[0][:_REPRESENTATIVE],
        check_images=images,
        check_labels=labels,
        **options,
    )


def train_quantized(
    opened: Opened,
    arch: Arch,
    path: str | os.PathLike,
    *,
    split: str,
    limit: int | None = None,
    weights: Weights | None = None,
    **options: Any,
) -> ExportReport:
    """Calibrates a sub-network, trains it as an int8 file, and checks that on a split's images.

    Args:
        opened: the supernet and its images.
        arch: the sub-network.
        path: the `.tflite` file.
        split: which images check it.
        limit: at most so many of them, evenly spaced.
        weights: of the sub-network where it was trained on; the supernet's own, calibrated, unless given.
        options: recipe, form and all else that `deploy.quantization_aware` takes.
    """
    evaluator = opened.evaluator
    images, labels = evaluator.images(split, arch.r, limit)
    return quantization_aware(
        _network(opened, arch, split, weights),
        path,
        dataset=opened.dataset,
        augmentation=evaluator.augmentation,
        check_images=images,
        check_labels=labels,
        **options,
    )


def finetuned_weights(
    opened: Opened,
    arch: Arch,
    *,
    epochs: int,
    head_epochs: int = 0,
    seed: int,
    checkpoint: str | os.PathLike,
    keep: bool = False,
) -> Weights:
    """Extracts a sub-network and trains it on its own.

    Args:
        opened: the supernet and its images.
        arch: the sub-network.
        epochs: passes over the training images.
        head_epochs: how many of them, the first, train the classifier alone.
        seed: of data order and augmentation.
        checkpoint: where the state after each epoch is kept, so that an interrupted training is resumed.
        keep: whether it stays there in the end.

    Returns:
        Weights by the names of the plain model's layers.
    """
    evaluator = opened.evaluator
    model = opened.net.extract(arch, opened.statistics(arch))
    training_images = len(opened.dataset.split("train"))
    recipe = FinetuneRecipe(
        epochs=epochs,
        head_epochs=head_epochs,
        batch_size=min(64, training_images),
        seed=seed,
        augmentation=evaluator.augmentation,
        preprocessing=evaluator.preprocessing,
    )
    finetune(model, opened.dataset, recipe, checkpoint=checkpoint, keep=keep)
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def file_top1(opened: Opened, path: str | os.PathLike, resolution: int, *, split: str) -> tuple[float, int]:
    """The top-1 of a file on all of a split's images, and how many these are."""
    batches = evaluation_batches(
        opened.dataset,
        split,
        resolution=resolution,
        batch_size=_BATCH,
        crop_fraction=opened.evaluator.preprocessing.crop_fraction,
        resize=opened.evaluator.preprocessing.resize,
    )
    runner = Runner(path)
    right = [runner.predict(np.asarray(images)).argmax(-1) == np.asarray(labels) for images, labels in batches]
    return float(np.mean(np.concatenate(right))), sum(map(len, right))


def _network(opened: Opened, arch: Arch, split: str, weights: Weights | None) -> Network:
    statistics = opened.statistics(arch) if weights is None else None
    return Network.of_subnet(
        opened.net, arch, opened.evaluator.preprocessing, statistics, weights=weights, facts=opened.facts(split)
    )
