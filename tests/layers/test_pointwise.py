"""A widening 1x1 convolution with its norm and activation as one operation computes what the three compute in turn."""

import numpy as np
import pytest
import tensorflow as tf

from ofa_tf.layers.activations import activate
from ofa_tf.layers.pointwise import normalized_pointwise

EPSILON = 1e-3


def in_turn(inputs, kernel, gamma, beta, activation):
    outputs = tf.nn.conv2d(inputs, kernel[tf.newaxis, tf.newaxis], 1, "SAME")
    mean, variance = tf.nn.moments(outputs, [0, 1, 2])
    return (
        activate(activation, tf.nn.batch_normalization(outputs, mean, variance, beta, gamma, EPSILON)),
        mean,
        variance,
    )


def as_one(inputs, kernel, gamma, beta, activation):
    return normalized_pointwise(inputs, kernel, gamma, beta, epsilon=EPSILON, activation=activation)


@pytest.mark.parametrize("activation", ["relu", "relu6", "h_swish", "silu"])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_values_statistics_and_gradients_are_those_of_the_three_operations(activation, offset):
    """Also where the inputs are far from zero, so that their covariance is a difference of large numbers."""
    rng = np.random.default_rng(0)
    inputs, kernel, gamma, beta = (
        tf.constant(rng.normal(size=size).astype(np.float32)) for size in ((3, 7, 5, 6), (6, 20), (20,), (20,))
    )
    inputs += offset
    weights = rng.normal(size=(3, 7, 5, 20)).astype(np.float32)
    found = []
    for compute in (in_turn, as_one):
        with tf.GradientTape() as tape:
            tape.watch([inputs, kernel, gamma, beta])
            outputs, mean, variance = compute(inputs, kernel, gamma, beta, activation)
            loss = tf.reduce_sum(outputs * weights)
        found.append([outputs, mean, variance, *tape.gradient(loss, [inputs, kernel, gamma, beta])])
    for expected, value in zip(*found, strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-4, atol=2e-4)


def test_a_channel_that_does_not_vary_stays_finite():
    """Equal inputs everywhere: rounding may bring the variance below zero, and only epsilon is left under the root."""
    inputs = tf.fill((2, 4, 4, 3), 0.7)
    kernel = tf.constant(np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32))
    outputs, _, variance = as_one(inputs, kernel, tf.ones(8), tf.zeros(8), "relu")
    assert np.isfinite(outputs).all()
    assert (variance.numpy() >= 0).all()
