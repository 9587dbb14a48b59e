"""A supernet that begins with a trained network computes what that network does, and can learn what it lacks."""

import dataclasses

import numpy as np
import pytest

from ofa_tf import networks, spaces
from tests.micro import random_images

# Smaller kernels, widths and depths than the supernet's largest.
SPACE = spaces.mobilenet_v3(
    0.5, num_classes=4, ks=(3, 5, 7), e=(2, 3, 4), d=(1, 2, 3), resolutions=(48,), base_widths=(16, 16, 24, 40),
    strides=(2, 2),
).replace(padding="same")  # fmt: skip


def trained(space, arch, seed=1):
    """Weights of an architecture as if it had been trained: with statistics and scales of its own."""
    rng = np.random.default_rng(seed)
    weights = networks.build(space, seed=seed).plain_weights(arch)
    for name, values in weights.items():
        if name.endswith("norm"):
            weights[name] = [
                rng.uniform(0.5, 1.5, value.shape) if index in (0, 3) else rng.normal(0, 0.2, value.shape)
                for index, value in enumerate(values)
            ]
    return {name: [np.asarray(value, np.float32) for value in values] for name, values in weights.items()}


def predictions(space, arch, weights, images):
    """What the plain model of the architecture gives with these weights."""
    import keras

    model = networks.build_plain(space.blocks(arch), keras)
    networks.set_plain_weights(model, weights)
    return model(images, training=False)


ARCHS = {
    "the largest": SPACE.largest(),
    "small kernels": SPACE.arch(ks=3),
    "narrow": SPACE.arch(e=3),
    "shallow": SPACE.arch(d=[1, 2]),
    "all of it": SPACE.arch(ks=[3, 5, 5, 3, 7, 3], e=[2, 3, 4, 2, 4, 2], d=[2, 1]),
}


@pytest.mark.parametrize("arch", ARCHS.values(), ids=ARCHS)
def test_the_native_and_the_largest_compute_what_the_network_did(arch):
    """With moving statistics, to float32 noise: through the supernet and extracted."""
    weights, images = trained(SPACE, arch), random_images(4, arch.r)
    net = networks.build(SPACE, seed=2)
    networks.embed(net, arch, weights)
    expected = predictions(SPACE, arch, weights, images)
    for same in (arch, SPACE.largest()):
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(net(images, arch=same), expected, atol=1e-4 * scale)
        np.testing.assert_allclose(net.extract(same)(images, training=False), expected, atol=1e-4 * scale)


def test_what_the_network_lacks_is_not_dead():
    """Channels and blocks that it lacks have weights to begin with, but for those that make their outputs vanish."""
    arch = ARCHS["all of it"]
    net = networks.build(SPACE, seed=2)
    networks.embed(net, arch, trained(SPACE, arch))
    state = net.state()
    missing = "stage2_block3"
    assert not state[f"{missing}/project_norm/gamma"].any()
    assert state[f"{missing}/expand/kernel"].all(axis=(0, 1, 2)).any()
    # Of the first block, half as wide as it can be: what is read with zeros is written with others.
    silent = ~state["stage1_block1/project/kernel"].any(axis=(0, 1, 3))
    assert silent.sum() == silent.size / 2
    assert state["stage1_block1/expand/kernel"][..., silent].any(axis=(0, 1, 2)).all()


def test_channels_are_sorted_for_smaller_sub_networks():
    """A channel that does nothing comes last, however large the weights that read it: constant, or behind a zero."""
    weights = trained(SPACE, SPACE.largest())
    loud = weights["stage1_block1_project"][0].copy()
    loud[:, :, :2] *= 100
    weights["stage1_block1_project"] = [loud]
    weights["stage1_block1_depthwise_norm"][0][0] = 0.0  # gamma: this channel is constant
    weights["stage1_block1_depthwise_norm"][1][1] = -50.0  # beta: ReLU lets nothing of it through
    net = networks.build(SPACE, seed=2)
    networks.embed(net, SPACE.largest(), weights)
    kernel = np.abs(net.state()["stage1_block1/project/kernel"]).max(axis=(0, 1, 3))
    assert set(np.argsort(kernel)[-2:]) == {kernel.size - 2, kernel.size - 1}


def test_weights_of_another_shape_are_refused():
    """By the layer's name, and nothing is changed."""
    net = networks.build(SPACE, seed=2)
    before = net.state()
    weights = trained(SPACE, SPACE.arch(e=3))
    with pytest.raises(ValueError, match="stage1_block1_expand"):
        networks.embed(net, dataclasses.replace(SPACE.largest()), weights)
    assert all((net.state()[name] == value).all() for name, value in before.items())
