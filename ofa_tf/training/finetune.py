"""Fine-tuning of an extracted sub-network: a plain Keras model, its own recipe, resumable at every epoch."""

import contextlib
import json
import os
import pathlib
import sys
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tqdm

from ofa_tf.common import InputError, OfaError, RecordFormat
from ofa_tf.common.config import check_whole
from ofa_tf.data import ImageDataset, steps_per_epoch, training_batches
from ofa_tf.training.finetune_recipe import FinetuneRecipe
from ofa_tf.training.losses import class_shares, distillation_loss, top1_accuracy
from ofa_tf.training.schedule import learning_rate
from ofa_tf.training.train_step import decays

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
    after_epoch: Callable[[int, dict], None] | None = None,
) -> keras.Model:
    """Trains a plain model on a data set's training images, at the model's own resolution.

    Everything random is a function of the recipe's seed and the step, so a resumed run is the interrupted one.

    Args:
        model: from `Supernet.extract` or `SpecializedNet.build`, normalized images to logits; changed in place.
        dataset: the images.
        recipe: how.
        checkpoint: a file that holds the state after each epoch; an existing one of the same recipe is resumed, and it
            is removed at the end.
        after_epoch: called with the epoch (from 1) and its mean training figures, "loss" and "top1".

    Returns:
        The model.

    Raises:
        InputError: the data do not fit the model, or the checkpoint is of something else.
        OfaError: the loss is no longer finite.

    Source: Cai et al., section 4.2 (25 or 75 epochs of fine-tuning).

    Example:
        finetune(net.extract(arch, statistics), dataset, FinetuneRecipe(epochs=10))
    """
    classes, side = model.output_shape[-1], model.input_shape[1]
    if classes != dataset.num_classes:
        raise InputError(
            f"fine-tuning: the model has {classes} outputs, dataset {dataset.name} has {dataset.num_classes} classes; "
            f"build it for these"
        )
    epoch_steps = steps_per_epoch(dataset, recipe.batch_size)
    steps = recipe.epochs * epoch_steps
    optimizer = keras.optimizers.SGD(0.0, momentum=recipe.momentum, nesterov=True)
    optimizer.build(model.trainable_variables)
    step_of = _traced_step(model, optimizer, recipe)
    identity = json.dumps({"recipe": recipe.to_config(), "digest": dataset.digest, "params": model.count_params()})
    first_epoch = _resumed(checkpoint, model, optimizer, identity)
    batches = training_batches(
        dataset,
        batch_size=recipe.batch_size,
        resolutions=(side,),
        augmentation=recipe.augmentation,
        seed=recipe.seed,
        first_step=first_epoch * epoch_steps,
        steps=steps - first_epoch * epoch_steps,
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
            shares = class_shares(labels, classes)
            figures = np.array(step_of(images, shares, tf.constant(rate, tf.float32)))
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
    if checkpoint is not None:
        with contextlib.suppress(FileNotFoundError):
            pathlib.Path(checkpoint).unlink()
    return model


def _traced_step(model: keras.Model, optimizer, recipe: FinetuneRecipe):
    """One optimizer step; returns loss and top-1."""

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec((recipe.batch_size, *model.input_shape[1:]), tf.uint8),
            tf.TensorSpec((recipe.batch_size, model.output_shape[-1]), tf.float32),
            tf.TensorSpec((), tf.float32),
        ],
    )
    def step(images, shares, rate):
        variables = model.trainable_variables
        nothing = tf.zeros((recipe.batch_size, model.output_shape[-1]))
        with tf.GradientTape() as tape:
            logits = model(recipe.preprocessing.normalize(images), training=True)
            loss = distillation_loss(logits, shares, nothing, label_smoothing=recipe.label_smoothing, kd_ratio=0.0)
        gradients = [
            gradient + recipe.weight_decay * variable if decays(variable) else gradient
            for gradient, variable in zip(
                tape.gradient(loss, [variable.value for variable in variables]), variables, strict=True
            )
        ]
        optimizer.learning_rate.assign(rate)
        optimizer.apply(gradients)
        return loss, top1_accuracy(logits, shares)

    return step


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
            raise InputError("is of another recipe, other images or another model")
        for name, variables in (("model", model.variables), ("optimizer", optimizer.variables)):
            for index, variable in enumerate(variables):
                variable.assign(arrays[f"{name}/{index}"])
        check_whole("epoch", fields["epoch"], 1)
        return fields["epoch"]
