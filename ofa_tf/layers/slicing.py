"""The one place where maximum-size weights become those of the active subnet, and what fills tensors up with zeros."""

import keras
import tensorflow as tf


def active(weight: "keras.Variable | tf.Tensor", sizes: list) -> tf.Tensor:
    """The leading part of a weight.

    Every elastic layer reads its weights through this function, so that masks can take its place where static shapes
    are needed (XLA).

    Args:
        weight: maximum-size weight.
        sizes: one int or int32 scalar tensor per axis; -1 keeps the whole axis.

    Returns:
        Tensor of shape `sizes`; its gradient reaches only the active part.
    """
    return tf.slice(weight, [0] * len(sizes), tf.stack(sizes))


def padded(values: tf.Tensor, size: int) -> tf.Tensor:
    """A vector of active values filled up with zeros to its maximum size."""
    return tf.pad(values, [[0, size - tf.shape(values)[0]]])


def framed(images: tf.Tensor, pad: "int | tf.Tensor") -> tf.Tensor:
    """Images (batch, height, width, channels) with `pad` zeros on each side."""
    return tf.pad(images, tf.convert_to_tensor([[0, 0], [pad, pad], [pad, pad], [0, 0]]))
