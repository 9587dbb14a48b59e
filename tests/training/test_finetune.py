"""Fine-tuning of a plain sub-network: it learns, decays what it should, and an interrupted one ends the same."""

import dataclasses
import functools

import numpy as np
import pytest

from ofa_tf.common import InputError
from ofa_tf.data import SYMMETRIC, Augmentation, load
from ofa_tf.evaluation import evaluate_model
from ofa_tf.training import FinetuneRecipe, finetune
from tests.micro import micro_net
from tests.records import assert_read_or_refused

RECIPE = FinetuneRecipe(
    epochs=3, batch_size=64, learning_rate=0.05, augmentation=Augmentation(flip=False), preprocessing=SYMMETRIC
)


@pytest.fixture(scope="module", name="digits")
def _digits():
    return load("digits", validation=1000)


@pytest.fixture(name="model")
def _model():
    net = micro_net()
    return net.extract(net.space.arch(r=24))


class Interrupted(Exception):
    """Stands for a killed process."""


def test_it_learns(model, digits):
    """A few epochs on digits: better than it was, and than chance."""
    before = evaluate_model(model, digits, split="validation", preprocessing=SYMMETRIC)
    figures = []
    recipe = dataclasses.replace(RECIPE, epochs=12)
    finetune(model, digits, recipe, after_epoch=lambda epoch, means: figures.append((epoch, means["loss"])))
    after = evaluate_model(model, digits, split="validation", preprocessing=SYMMETRIC)
    assert after["top1"] > max(0.3, before["top1"])
    assert after["images"] == 1000
    assert after["top1"] <= after["top5"] <= 1
    assert [epoch for epoch, _ in figures] == list(range(1, 13))
    assert figures[-1][1] < figures[0][1]


def test_an_interrupted_one_ends_like_the_uninterrupted_one(tmp_path, digits):
    """Resumed after an epoch, with another process's objects: the same weights; then nothing is left behind."""
    net = micro_net()
    arch = net.space.arch(r=24)
    whole = finetune(net.extract(arch), digits, RECIPE)
    checkpoint = tmp_path / "checkpoint.npz"

    def stop(epoch, _):
        if epoch == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        finetune(net.extract(arch), digits, RECIPE, checkpoint=checkpoint, after_epoch=stop)
    other = dataclasses.replace(RECIPE, learning_rate=0.01)
    with pytest.raises(InputError, match=r"checkpoint\.npz: is of another recipe"):
        finetune(net.extract(arch), digits, other, checkpoint=checkpoint)
    # Of equal shapes: its weights, or its input's size, would have been taken for those of the first.
    for network in (micro_net(seed=1).extract(arch), net.extract(dataclasses.replace(arch, r=16))):
        with pytest.raises(InputError, match=r"checkpoint\.npz: is of another recipe, other images or another network"):
            finetune(network, digits, RECIPE, checkpoint=checkpoint)
    for data in (b"", checkpoint.read_bytes()[:200], b"PK", b"{}"):
        read = functools.partial(finetune, net.extract(arch), digits, RECIPE)
        assert assert_read_or_refused(lambda path, read=read: read(checkpoint=path), tmp_path / "damaged.npz", data)
    epochs = []
    resumed = finetune(
        net.extract(arch), digits, RECIPE, checkpoint=checkpoint, after_epoch=lambda epoch, _: epochs.append(epoch)
    )
    assert epochs == [2, 3]  # the second one was not saved when it was interrupted
    assert not checkpoint.exists()
    for left, right in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_allclose(left.numpy(), right.numpy(), atol=1e-5)


def test_a_checkpoint_that_is_kept_is_the_end(tmp_path, digits):
    """For what follows and may be interrupted: the same call gives the same weights without a step."""
    net, checkpoint, epochs = micro_net(), tmp_path / "checkpoint.npz", []

    def trained():
        return finetune(
            net.extract(net.space.arch(r=16)), digits, RECIPE, checkpoint=checkpoint, keep=True,
            after_epoch=lambda epoch, _: epochs.append(epoch),
        ).get_weights()  # fmt: skip

    first, again = trained(), trained()
    assert epochs == list(range(1, RECIPE.epochs + 1))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_classifier_may_learn_first(digits):
    """In its passes nothing else changes, neither weights nor statistics; afterwards all of it does."""
    net = micro_net()
    model = net.extract(net.space.arch(r=24))
    before = [value.numpy() for value in model.variables]
    after_epochs = []

    def look(*_):
        after_epochs.append([value.numpy() for value in model.variables])

    recipe = dataclasses.replace(RECIPE, epochs=2, head_epochs=1)
    finetune(model, digits, recipe, after_epoch=look)
    classifier = {id(variable) for variable in model.layers[-1].variables}
    for index, variable in enumerate(model.variables):
        changed = not np.array_equal(before[index], after_epochs[0][index])
        assert changed == (id(variable) in classifier), variable.path
        if variable.path.endswith("kernel"):
            assert not np.array_equal(after_epochs[0][index], after_epochs[1][index]), variable.path
    with pytest.raises(InputError, match="head_epochs is 4"):
        FinetuneRecipe(epochs=3, head_epochs=4)


def test_weight_decay_is_for_kernels(model, digits):
    """With a rate so small that the loss moves nothing visible, only the decay does: not on batch norms and biases."""
    before = {weight.path: weight.numpy() for weight in model.trainable_weights}
    recipe = dataclasses.replace(RECIPE, epochs=1, learning_rate=1e-9, weight_decay=1e6, momentum=0.0)
    finetune(model, digits, recipe)
    for weight in model.trainable_weights:
        change = np.abs(weight.numpy() - before[weight.path]).max()
        assert (change > 1e-5) == (weight.name == "kernel"), weight.path


def test_what_does_not_fit(digits):
    """Another number of classes, an unusable recipe."""
    net = micro_net(num_classes=7)
    with pytest.raises(InputError, match="the model has 7 outputs, dataset digits has 10 classes"):
        finetune(net.extract(net.space.arch(r=24)), digits, RECIPE)
    with pytest.raises(InputError, match="epochs is 0"):
        FinetuneRecipe(epochs=0)
    with pytest.raises(InputError, match="momentum is 1, expected a number of at least 0 and below 1"):
        FinetuneRecipe(momentum=1)
    assert FinetuneRecipe.from_config(RECIPE.to_config()) == RECIPE
