"""Fine-tuning of an extracted sub-network: a plain Keras model, its own recipe, resumable at every epoch."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tqdm

from ofa_tf.common import InputError, OfaError, RecordFormat
from ofa_tf.common.config import check_whole, from_config, is_number
from ofa_tf.common.resizing import CROP
from ofa_tf.data import PUBLISHED, Augmentation, ImageDataset, Preprocessing, steps_per_epoch, training_batches
from ofa_tf.training.schedule import learning_rate
from ofa_tf.training.train_step import decays, distillation_loss, soft_targets, top1_accuracy


@dataclasses.dataclass(frozen=True)
class FinetuneRecipe:
    """Cosine decay from a small rate; SGD and the loss are those of the supernet's training.

    Args:
        epochs: passes over the training images; 25 and 75 as published for ImageNet.
        head_epochs: how many of them, the first ones, train the classifier alone; for one that is new.
        batch_size: images per step.
        learning_rate: of the first step.
        seed: of data order and augmentation.
        momentum: Nesterov.
        weight_decay: coupled L2, on everything but batch norms and biases.
        label_smoothing: of the labels.
        augmentation: of training images.
        preprocessing: of all images.
    """

    epochs: int = 25
    head_epochs: int = 0
    batch_size: int = 64
    learning_rate: float = 7.5e-3
    seed: int = 0
    momentum: float = 0.9
    weight_decay: float = 3e-5
    label_smoothing: float = 0.1
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    preprocessing: Preprocessing = PUBLISHED

    def __post_init__(self):
        for name, least in (("epochs", 1), ("head_epochs", 0), ("batch_size", 1), ("seed", 0)):
            check_whole(f"fine-tuning recipe: {name}", getattr(self, name), least)
        if self.head_epochs > self.epochs:
            raise InputError(
                f"fine-tuning recipe: head_epochs is {self.head_epochs}, expected at most the {self.epochs} epochs"
            )
        for name in ("learning_rate", "momentum", "weight_decay", "label_smoothing"):
            value = getattr(self, name)
            below_one = name in ("momentum", "label_smoothing")
            if not is_number(value) or value < 0 or (below_one and value >= 1):
                below = " and below 1" if below_one else ""
                raise InputError(f"fine-tuning recipe: {name} is {value!r}, expected a number of at least 0{below}")

    def to_config(self) -> dict[str, Any]:
        """The recipe as JSON-ready data, read back by `from_config`."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @staticmethod
    def from_config(config: dict[str, Any]) -> "FinetuneRecipe":
        """Reads what `to_config` wrote, or a part of it; raises `InputError` where a field is unusable."""
        readers = {"augmentation": Augmentation.from_config, "preprocessing": Preprocessing.from_config}
        values = {name: readers[name](value) if name in readers else value for name, value in config.items()}
        return from_config(FinetuneRecipe, values, "fine-tuning recipe")


_FORMAT = RecordFormat(
    "ofa_tf fine-tuning",
    "delete it to begin anew, or give the former settings to resume",
    former=("ofa_tf fine-tuning",),
)


def finetune(
    model: keras.Model,
    dataset: ImageDataset,
    recipe: FinetuneRecipe,
    *,
    checkpoint: str | os.PathLike | None = None,
    keep: bool = False,
    after_epoch: Callable[[int, dict], None] | None = None,
) -> keras.Model:
    """Trains a plain model on a data set's training images, at the model's own resolution.

    Everything random is a function of the recipe's seed and the step, so a resumed run is the interrupted one.

    Args:
        model: from `Supernet.extract` or `SpecializedNet.build`, normalized images to logits; changed in place.
        dataset: the images.
        recipe: how.
        checkpoint: a file that holds the state after each epoch; an existing one of the same recipe is resumed.
        keep: whether the checkpoint stays in the end, for a caller who has more to do that may be interrupted.
        after_epoch: called with the epoch (from 1) and its mean training figures, "loss" and "top1".

    Returns:
        The model.

    Raises:
        InputError: the data do not fit the model, or the checkpoint is of another model, of other weights to begin
            with, of another recipe or of other images.
        OfaError: the loss is no longer finite.

    Source: Cai et al., section 4.2 (25 or 75 epochs of fine-tuning).

    Example:
        finetune(net.extract(arch, statistics), dataset, FinetuneRecipe(epochs=10))
    """
    classes, resolution = model.output_shape[-1], model.input_shape[1]
    if classes != dataset.num_classes:
        raise InputError(
            f"fine-tuning: the model has {classes} outputs, dataset {dataset.name} has {dataset.num_classes} classes; "
            f"build it for these"
        )
    epoch_steps = steps_per_epoch(dataset, recipe.batch_size)
    steps = recipe.epochs * epoch_steps
    optimizer = keras.optimizers.SGD(0.0, momentum=float(recipe.momentum), nesterov=True)
    optimizer.build(model.trainable_variables)
    head_steps = recipe.head_epochs * epoch_steps
    head_step = _traced_step(model, optimizer, recipe, head_only=True) if head_steps else None
    step_of = _traced_step(model, optimizer, recipe)
    described = recipe.to_config()
    # As it was before there were any: an interrupted one goes on.
    if not recipe.head_epochs:
        del described["head_epochs"]
    if recipe.preprocessing.resize == CROP:
        del described["preprocessing"]["resize"]
    identity = json.dumps({"recipe": described, "digest": dataset.digest, "begun_with": _begun_with(model)})
    first_epoch = _resumed(checkpoint, model, optimizer, identity)
    batches = training_batches(
        dataset,
        batch_size=recipe.batch_size,
        resolutions=(resolution,),
        augmentation=recipe.augmentation,
        seed=recipe.seed,
        first_step=first_epoch * epoch_steps,
        steps=steps - first_epoch * epoch_steps,
        resize=recipe.preprocessing.resize,
    )
    sums = np.zeros(2)
    with tqdm.tqdm(
        total=steps * recipe.batch_size,
        initial=first_epoch * epoch_steps * recipe.batch_size,
        desc="fine-tuning",
        unit="img",
        dynamic_ncols=True,
        mininterval=1.0,
        file=sys.stderr,
    ) as bar:
        for step, (images, labels) in enumerate(batches, start=first_epoch * epoch_steps):
            rate = learning_rate(step, steps=steps, warmup_steps=0, peak=recipe.learning_rate, start=0.0)
            targets = soft_targets(labels, classes)
            run = head_step if step < head_steps else step_of
            figures = np.array(run(images, targets, tf.constant(rate, tf.float32)))
            if not np.isfinite(figures[0]):
                raise OfaError(f"fine-tuning, step {step}: the loss is {figures[0]}; lower the learning rate")
            sums += figures
            bar.update(recipe.batch_size)
            bar.set_postfix(loss=f"{figures[0]:.3f}", top1=f"{figures[1]:.3f}", refresh=False)
            if (step + 1) % epoch_steps == 0:
                epoch, means = (step + 1) // epoch_steps, sums / epoch_steps
                sums = np.zeros(2)
                if after_epoch:
                    after_epoch(epoch, {"loss": float(means[0]), "top1": float(means[1])})
                _save(checkpoint, model, optimizer, identity, epoch)
    if checkpoint is not None and not keep:
        with contextlib.suppress(FileNotFoundError):
            pathlib.Path(checkpoint).unlink()
    return model


def _traced_step(model: keras.Model, optimizer, recipe: FinetuneRecipe, *, head_only: bool = False):
    """One optimizer step, of the classifier alone or of everything; returns loss and top-1."""
    variables = model.layers[-1].trainable_variables if head_only else model.trainable_variables

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec((recipe.batch_size, *model.input_shape[1:]), tf.uint8),
            tf.TensorSpec((recipe.batch_size, model.output_shape[-1]), tf.float32),
            tf.TensorSpec((), tf.float32),
        ],
    )
    def step(images, targets, rate):
        nothing = tf.zeros((recipe.batch_size, model.output_shape[-1]))
        with tf.GradientTape() as tape:
            logits = model(recipe.preprocessing.normalize(images), training=not head_only)
            loss = distillation_loss(logits, targets, nothing, label_smoothing=recipe.label_smoothing, kd_ratio=0.0)
        gradients = [
            gradient + recipe.weight_decay * variable if decays(variable) else gradient
            for gradient, variable in zip(
                tape.gradient(loss, [variable.value for variable in variables]), variables, strict=True
            )
        ]
        optimizer.learning_rate.assign(rate)
        optimizer.apply(gradients, variables)
        return loss, top1_accuracy(logits, targets)

    return step


def _begun_with(model: keras.Model) -> str:
    """Tells the network that is trained, and its input's size, from others.

    Without the statistics of batch norms: those are measured, by other threads with another last digit.
    """
    sha256 = hashlib.sha256(str(model.input_shape).encode())
    for variable in model.trainable_variables:
        sha256.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return sha256.hexdigest()[:16]


def _save(checkpoint, model, optimizer, identity: str, epoch: int) -> None:
    if checkpoint is None:
        return
    arrays = {f"model/{index}": variable.numpy() for index, variable in enumerate(model.variables)}
    arrays |= {f"optimizer/{index}": variable.numpy() for index, variable in enumerate(optimizer.variables)}
    _FORMAT.save_npz(checkpoint, {"identity": identity, "epoch": epoch}, arrays)


def _resumed(checkpoint, model, optimizer, identity: str) -> int:
    """Restores an interrupted run; returns how many epochs are done."""
    if checkpoint is None or not pathlib.Path(checkpoint).is_file():
        return 0
    fields, arrays = _FORMAT.load_npz(checkpoint)
    with _FORMAT.reading(checkpoint):
        if fields["identity"] != identity:
            raise InputError("is of another recipe, other images or another network; remove it, or give another output")
        for name, variables in (("model", model.variables), ("optimizer", optimizer.variables)):
            for index, variable in enumerate(variables):
                variable.assign(arrays[f"{name}/{index}"])
        check_whole("epoch", fields["epoch"], 1)
        return fields["epoch"]
