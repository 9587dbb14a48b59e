"""The one place where maximum-size weights become those of the active subnet, and what fills tensors up with zeros."""

import contextlib
import contextvars

import keras
import tensorflow as tf

from ofa_tf.layers.recomputation import current

_masking = contextvars.ContextVar("masking", default=False)


@contextlib.contextmanager
def masks(masking: bool = True):
    """Within it, no shape of what is traced depends on the active sub-network, as XLA needs it.

    Weights and feature maps keep their maximum size and are zero outside the active part; what the sub-network computes
    is the same. A step so traced does the work of the largest sub-network, apart from skipped blocks.

    Args:
        masking: False changes nothing.

    Example:
        with masks():
            logits = net(images, arch=sizes)
    """
    token = _masking.set(masking)
    try:
        yield
    finally:
        _masking.reset(token)


def masked() -> bool:
    """Whether `masks` is in force."""
    return _masking.get()


def runs_on_cpu_kernels() -> bool:
    """Whether operations may be arranged for the speed of TensorFlow's CPU kernels: no GPU, no masks for XLA."""
    return not masked() and not tf.config.list_logical_devices("GPU")


def active(weight: "keras.Variable | tf.Tensor", sizes: list) -> tf.Tensor:
    """The leading part of a weight.

    Every elastic layer reads its weights through this function.

    Args:
        weight: maximum-size weight.
        sizes: one int or int32 scalar tensor per axis; -1 keeps the whole axis.

    Returns:
        Tensor of shape `sizes`, or under `masks` the whole weight, zero outside `sizes`; its gradient reaches only the
        active part.
    """
    weight = current(weight)
    if masked():
        weight = tf.convert_to_tensor(weight)
        inside = tf.constant(True)
        for axis, size in enumerate(sizes):
            if not isinstance(size, int) or size >= 0:
                along = tf.range(weight.shape[axis]) < size
                inside = tf.logical_and(inside, tf.reshape(along, [-1] + [1] * (len(sizes) - axis - 1)))
        return tf.where(inside, weight, tf.zeros((), weight.dtype))
    # A strided slice makes fewer operations, its gradient's counted, than `tf.slice` does.
    whole = sum(1 << axis for axis, size in enumerate(sizes) if isinstance(size, int) and size < 0)
    axes = len(sizes)
    return tf.strided_slice(weight, [0] * axes, tf.stack(sizes), [1] * axes, begin_mask=2**axes - 1, end_mask=whole)


def replaced(vector: "keras.Variable | tf.Tensor", values: tf.Tensor, size) -> tf.Tensor:
    """A maximum-size vector with the first `size` elements of `values` in place of its own."""
    vector = tf.convert_to_tensor(vector)
    if masked():
        return tf.where(tf.range(vector.shape[0]) < size, values, vector)
    return tf.concat([values, tf.slice(vector, [size], [-1])], 0)


def padded(values: tf.Tensor, size: int) -> tf.Tensor:
    """A vector of active values filled up with zeros to its maximum size."""
    return tf.pad(values, [[0, size - tf.shape(values)[0]]])


def framed(images: tf.Tensor, pad: "int | tf.Tensor") -> tf.Tensor:
    """Images (batch, height, width, channels) with `pad` zeros on each side."""
    return tf.pad(images, tf.convert_to_tensor([[0, 0], [pad, pad], [pad, pad], [0, 0]]))
