"""`ElasticConv2D`: a convolution over the first input and output channels."""

import math

import keras
import tensorflow as tf

from ofa_tf.layers.slicing import active, framed


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
        super().__init__(autocast=False, **kwargs)
        self.stride = stride
        self.kernel_size = kernel_size
        self.kernel = self.add_weight(
            shape=(kernel_size, kernel_size, in_channels, out_channels),
            initializer=he_fan_out(kernel_size, out_channels, seed),
            name="kernel",
        )
        self.built = True

    def active_kernel(self, *, in_channels, out_channels) -> tf.Tensor:
        """The kernel in use, (size, size, in_channels, out_channels)."""
        return active(self.kernel, [-1, -1, in_channels, out_channels])

    def call(self, inputs, *, in_channels, out_channels, folded=None):
        """Convolves (batch, height, width, in_channels) in its own dtype.

        Args:
            inputs: float32 or bfloat16.
            in_channels: int32 scalar.
            out_channels: int32 scalar.
            folded: None, or what the outputs are multiplied by and what is added to them, float32 (out_channels,) each.
        """
        kernel = tf.cast(self.active_kernel(in_channels=in_channels, out_channels=out_channels), inputs.dtype)
        if folded is not None:
            kernel *= folded[0]
        if self.stride == 1 and self.kernel_size == 1:
            # The same as a product of matrices, whose gradients are faster on a CPU.
            _, _, before, after = tf.unstack(tf.shape(kernel))
            images, height, width, _ = tf.unstack(tf.shape(inputs))
            outputs = tf.reshape(inputs, [-1, before]) @ tf.reshape(kernel, [before, after])
            if folded is not None:
                outputs = tf.nn.bias_add(outputs, folded[1])
            return tf.reshape(outputs, [images, height, width, after])
        if self.stride == 1:
            # For an odd kernel SAME is the symmetric padding.
            outputs = tf.nn.conv2d(inputs, kernel, 1, "SAME")
        else:
            # Framed by an operation of its own: oneDNN takes no gradient of convolutions with explicit padding.
            outputs = tf.nn.conv2d(framed(inputs, self.kernel_size // 2), kernel, self.stride, "VALID")
        return outputs if folded is None else tf.nn.bias_add(outputs, folded[1])


def he_fan_out(kernel_size: int, out_channels: int, seed) -> keras.initializers.Initializer:
    """Normal with variance 2 / (kernel area x output channels). Source: docs/method.md, "Progressive shrinking"."""
    return keras.initializers.RandomNormal(stddev=math.sqrt(2.0 / (kernel_size**2 * out_channels)), seed=seed)
