"""`ElasticDepthwiseConv2D`: a depthwise convolution whose kernel size is chosen at run time."""

import keras
import numpy as np
import tensorflow as tf

from ofa_tf.layers.depthwise import depthwise_conv2d
from ofa_tf.layers.elastic_conv2d import he_fan_out
from ofa_tf.layers.recomputation import current
from ofa_tf.layers.slicing import active, masked


class ElasticDepthwiseConv2D(keras.layers.Layer):
    """Depthwise convolution over the first channels, with the kernel size as an input.

    A smaller kernel is the centre of the next larger one, flattened and multiplied by a trained matrix that all
    channels of the layer share and that starts as the identity.

    Args:
        channels: the largest number of channels.
        kernel_sizes: ascending, consecutive odd sizes.
        stride: in both directions; padding is symmetric, `size // 2` zeros.
        seed: `keras.random.SeedGenerator` for the initialisation.

    Source: Cai et al., section 3.3 ("Elastic Kernel Size"); docs/method.md.

    Example:
        layer = ElasticDepthwiseConv2D(96, (3, 5, 7))
        layer(images, channels=64, kernel_index=1)  # a 5 x 5 kernel over 64 channels
    """

    def __init__(self, channels: int, kernel_sizes: tuple[int, ...], *, stride: int = 1, seed=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.stride = stride
        self.kernel_sizes = tuple(kernel_sizes)
        largest = self.kernel_sizes[-1]
        self.kernel = self.add_weight(
            shape=(largest, largest, channels, 1), initializer=he_fan_out(largest, channels, seed), name="kernel"
        )
        # transforms[i] makes the kernel of kernel_sizes[i] from the next larger one.
        self.transforms = [
            self.add_weight(
                shape=(size**2, size**2),
                initializer=keras.initializers.Identity(),
                name=f"transform_{size + 2}to{size}",
            )
            for size in self.kernel_sizes[:-1]
        ]
        self.built = True

    def active_kernel(self, *, channels, kernel_index) -> tf.Tensor:
        """The kernel in use, (size, size, channels, 1); under `masks`, in a frame of zeros up to the largest size."""
        kernel = active(self.kernel, [-1, -1, channels, -1])
        if len(self.kernel_sizes) == 1:
            return kernel
        branches = [lambda index=index: self._transformed(kernel, index) for index in range(len(self.kernel_sizes))]
        return tf.switch_case(tf.convert_to_tensor(kernel_index), branches)

    def _transformed(self, kernel: tf.Tensor, index: int) -> tf.Tensor:
        size, largest = self.kernel_sizes[index], self.kernel_sizes[-1]
        if size == largest:
            return tf.identity(kernel)
        *_, channels, _ = tf.unstack(tf.shape(kernel))
        rows = tf.reshape(kernel, [largest**2, channels])
        for smaller, transform in reversed(
            list(zip(self.kernel_sizes[index:-1], self.transforms[index:], strict=True))
        ):
            # The matrices go first: they are small, and one product has all channels then.
            rows = tf.matmul(tf.matmul(current(transform), _centre(smaller)), rows)
        kernel = tf.reshape(rows, [size, size, channels, 1])
        frame = (largest - size) // 2
        return tf.pad(kernel, [[frame, frame], [frame, frame], [0, 0], [0, 0]]) if masked() else kernel

    def call(self, inputs, *, channels, kernel_index, folded=None):
        """Convolves (batch, height, width, channels) in its own dtype.

        Args:
            inputs: float32 or bfloat16.
            channels: int32 scalar.
            kernel_index: int32 scalar.
            folded: None, or what the outputs are multiplied by and what is added to them, float32 (channels,) each.
        """
        kernel = tf.cast(self.active_kernel(channels=channels, kernel_index=kernel_index), inputs.dtype)
        if folded is not None:
            kernel *= tf.expand_dims(folded[0], 1)
        sizes = self.kernel_sizes
        if masked():
            sizes, kernel_index = sizes[-1:], 0
        outputs = depthwise_conv2d(inputs, kernel, kernel_sizes=sizes, kernel_index=kernel_index, stride=self.stride)
        return outputs if folded is None else tf.nn.bias_add(outputs, folded[1])


def _centre(size: int) -> np.ndarray:
    """Takes the centre of `size` out of a flattened kernel two larger: (size**2, (size + 2)**2), zeros and ones."""
    inside = np.pad(np.ones((size, size), bool), 1).ravel()
    return np.eye((size + 2) ** 2, dtype=np.float32)[inside]
