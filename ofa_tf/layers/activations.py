"""The activations of the supernets, by the names that `Block.activation` has."""

import tensorflow as tf


def hard_sigmoid(inputs: tf.Tensor) -> tf.Tensor:
    """relu6(x + 3) / 6. Source: reference facts, "MobileNetV3"."""
    return tf.nn.relu6(inputs + 3.0) * (1.0 / 6.0)


def activate(name: str, inputs: tf.Tensor) -> tf.Tensor:
    """Applies "relu", "relu6" or "h_swish" (x * relu6(x + 3) / 6)."""
    if name == "relu":
        return tf.nn.relu(inputs)
    if name == "relu6":
        return tf.nn.relu6(inputs)
    if name == "h_swish":
        return inputs * hard_sigmoid(inputs)
    raise ValueError(f"unknown activation: {name!r}")
