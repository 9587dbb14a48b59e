"""The activations of the supernets, by the names that `spaces.Operation.activation` has."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Activation(NamedTuple):
    """A function of a tensor, and its gradient.

    Args:
        apply: of the inputs.
        gradient: at the inputs, called as `gradient(upstream, inputs, outputs)`.
        needs_inputs: whether the gradient needs them; else they are not kept, and may be None.
    """

    apply: Callable[[tf.Tensor], tf.Tensor]
    gradient: Callable[..., tf.Tensor]
    needs_inputs: bool


def hard_sigmoid(inputs: tf.Tensor) -> tf.Tensor:
    """relu6(x + 3) / 6. Source: Howard et al., "Searching for MobileNetV3", section 5.2."""
    return tf.nn.relu6(inputs + 3.0) * (1.0 / 6.0)


@tf.custom_gradient
def hard_swish(inputs: tf.Tensor) -> tf.Tensor:
    """x * relu6(x + 3) / 6; of all that it computes, only its input is kept for the gradient."""

    def gradient(upstream):
        return _hard_swish_gradient(upstream, inputs, None)

    return inputs * hard_sigmoid(inputs), gradient


def _hard_swish_gradient(upstream, inputs, outputs):
    shifted = inputs + 3.0
    # d/dx: relu6(x + 3) / 6, and x / 6 where -3 < x < 3.
    slope = tf.nn.relu6(shifted) + tf.raw_ops.Relu6Grad(gradients=inputs, features=shifted)
    return upstream * slope * (1.0 / 6.0)


def _relu_gradient(upstream, inputs, outputs):
    return tf.raw_ops.ReluGrad(gradients=upstream, features=outputs)


def _relu6_gradient(upstream, inputs, outputs):
    return tf.raw_ops.Relu6Grad(gradients=upstream, features=outputs)


def _silu_gradient(upstream, inputs, outputs):
    sigmoid = tf.sigmoid(inputs)
    return upstream * sigmoid * (1.0 + inputs * (1.0 - sigmoid))


# Those of blocks, by name.
ACTIVATIONS = {
    "relu": Activation(tf.nn.relu, _relu_gradient, needs_inputs=False),
    "relu6": Activation(tf.nn.relu6, _relu6_gradient, needs_inputs=False),
    "h_swish": Activation(hard_swish, _hard_swish_gradient, needs_inputs=True),
    "silu": Activation(tf.nn.silu, _silu_gradient, needs_inputs=True),
}


# Those of gates, by name.
GATES = {"hard_sigmoid": hard_sigmoid, "sigmoid": tf.sigmoid}


def activate(name: str, inputs: tf.Tensor) -> tf.Tensor:
    """Applies one of `ACTIVATIONS` or `GATES`."""
    return GATES[name](inputs) if name in GATES else ACTIVATIONS[name].apply(inputs)
