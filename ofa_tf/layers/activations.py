"""The activations of the supernets, by the names that `Block.activation` has."""

import tensorflow as tf


def hard_sigmoid(inputs: tf.Tensor) -> tf.Tensor:
    """relu6(x + 3) / 6. Source: Howard et al., "Searching for MobileNetV3", section 5.2."""
    return tf.nn.relu6(inputs + 3.0) * (1.0 / 6.0)


@tf.custom_gradient
def hard_swish(inputs: tf.Tensor) -> tf.Tensor:
    """x * relu6(x + 3) / 6; of all that it computes, only its input is kept for the gradient."""

    def gradient(upstream):
        return hard_swish_gradient(upstream, inputs)

    return inputs * hard_sigmoid(inputs), gradient


def hard_swish_gradient(upstream: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    """The gradient at the inputs of a hard swish."""
    shifted = inputs + 3.0
    # d/dx: relu6(x + 3) / 6, and x / 6 where -3 < x < 3.
    slope = tf.nn.relu6(shifted) + tf.raw_ops.Relu6Grad(gradients=inputs, features=shifted)
    return upstream * slope * (1.0 / 6.0)


def activate(name: str, inputs: tf.Tensor) -> tf.Tensor:
    """Applies "relu", "relu6" or "h_swish"."""
    if name == "relu":
        return tf.nn.relu(inputs)
    if name == "relu6":
        return tf.nn.relu6(inputs)
    if name == "h_swish":
        return hard_swish(inputs)
    raise ValueError(f"unknown activation: {name!r}")


def activation_gradient(name: str, upstream: tf.Tensor, inputs: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """The gradient at the inputs of `activate`; ReLUs need the outputs alone, so that the inputs need not be kept."""
    if name == "relu":
        return tf.raw_ops.ReluGrad(gradients=upstream, features=outputs)
    if name == "relu6":
        return tf.raw_ops.Relu6Grad(gradients=upstream, features=outputs)
    if name == "h_swish":
        return hard_swish_gradient(upstream, inputs)
    raise ValueError(f"unknown activation: {name!r}")
