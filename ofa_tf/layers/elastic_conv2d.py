"""`ElasticConv2D`: a convolution over the first input and output channels."""

import math

import keras
import tensorflow as tf

from ofa_tf.layers.slicing import active


class ElasticConv2D(keras.layers.Layer):
    """2D convolution without bias whose channels are the leading ones of a maximum-size kernel.

    Padding is symmetric, `kernel_size // 2` zeros on each side, so that published weights give published results.

    Args:
        in_channels: the largest number of input channels.
        out_channels: the largest number of output channels.
        kernel_size: side of the kernel, fixed and odd.
        stride: in both directions.
        seed: `keras.random.SeedGenerator` for the He fan-out initialisation.

    Example:
        layer = ElasticConv2D(16, 32, kernel_size=1)
        layer(images, in_channels=8, out_channels=24)
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int = 1, stride: int = 1, seed=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.stride = stride
        pad = kernel_size // 2
        self.padding = [[0, 0], [pad, pad], [pad, pad], [0, 0]]
        self.kernel = self.add_weight(
            shape=(kernel_size, kernel_size, in_channels, out_channels),
            initializer=he_fan_out(kernel_size, out_channels, seed),
            name="kernel",
        )
        self.built = True

    def active_kernel(self, *, in_channels, out_channels) -> tf.Tensor:
        """The kernel in use, (size, size, in_channels, out_channels)."""
        return active(self.kernel, [-1, -1, in_channels, out_channels])

    def call(self, inputs, *, in_channels, out_channels):
        """Convolves float32 (batch, height, width, in_channels); both counts are int32 scalars."""
        kernel = self.active_kernel(in_channels=in_channels, out_channels=out_channels)
        if self.stride == 1 and self.kernel.shape[0] == 1:
            # The same as a product of matrices, whose gradients are faster on a CPU.
            outputs = tf.reshape(inputs, [-1, in_channels]) @ kernel[0, 0]
            return tf.reshape(outputs, tf.concat([tf.shape(inputs)[:-1], [out_channels]], axis=0))
        return tf.nn.conv2d(inputs, kernel, self.stride, self.padding)


def he_fan_out(kernel_size: int, out_channels: int, seed) -> keras.initializers.Initializer:
    """Normal with variance 2 / (kernel area x output channels). Source: reference facts, "Progressive shrinking"."""
    return keras.initializers.RandomNormal(stddev=math.sqrt(2.0 / (kernel_size**2 * out_channels)), seed=seed)
