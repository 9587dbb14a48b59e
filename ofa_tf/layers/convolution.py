"""Elastic convolutions and dense layers: leading channels of maximum-size kernels, whose size is chosen at run time."""

import math

import keras
import numpy as np
import tensorflow as tf

from ofa_tf.layers.depthwise import depthwise_conv2d
from ofa_tf.layers.recomputation import current
from ofa_tf.layers.slicing import active, framed, masked


class _ElasticKernel(keras.layers.Layer):
    """What convolutions have in common: a kernel without bias, of which a smaller size is the centre, transformed.

    A smaller kernel is the centre of the next larger one, flattened and multiplied by a trained matrix that all
    channels of the layer share and that starts as the identity.
    """

    def __init__(
        self,
        kernel_sizes: tuple[int, ...],
        channels: tuple[int, int],
        fan_out: int,
        stride: int,
        padding: str,
        seed,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.stride = stride
        self.padding = padding
        self.kernel_sizes = tuple(kernel_sizes)
        largest = self.kernel_sizes[-1]
        self.kernel = self.add_weight(
            shape=(largest, largest, *channels), initializer=_he_fan_out(largest, fan_out, seed), name="kernel"
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

    def _sized(self, kernel: tf.Tensor, kernel_index) -> tf.Tensor:
        """The kernel of one of the sizes; under `masks`, in a frame of zeros up to the largest one."""
        if len(self.kernel_sizes) == 1:
            return kernel
        branches = [lambda index=index: self._transformed(kernel, index) for index in range(len(self.kernel_sizes))]
        return tf.switch_case(tf.convert_to_tensor(kernel_index), branches)

    def _transformed(self, kernel: tf.Tensor, index: int) -> tf.Tensor:
        size, largest = self.kernel_sizes[index], self.kernel_sizes[-1]
        if size == largest:
            return tf.identity(kernel)
        *_, before, after = tf.unstack(tf.shape(kernel))
        rows = tf.reshape(kernel, [largest**2, before * after])
        for smaller, transform in reversed(
            list(zip(self.kernel_sizes[index:-1], self.transforms[index:], strict=True))
        ):
            # The matrices go first: they are small, and one product has all channels then.
            rows = tf.matmul(tf.matmul(current(transform), _centre(smaller)), rows)
        kernel = tf.reshape(rows, [size, size, before, after])
        frame = (largest - size) // 2
        return tf.pad(kernel, [[frame, frame], [frame, frame], [0, 0], [0, 0]]) if masked() else kernel


class ElasticConv2D(_ElasticKernel):
    """2D convolution without bias whose channels are the leading ones of a maximum-size kernel, of a size to choose.

    Args:
        in_channels: the largest number of input channels.
        out_channels: the largest number of output channels.
        kernel_sizes: ascending, consecutive odd sizes.
        stride: in both directions.
        padding: one of `spaces.PADDINGS`: "symmetric", `size // 2` zeros on each side, as the published weights of Cai
            et al. need it, or "same", as TensorFlow pads.
        seed: `keras.random.SeedGenerator` for the He fan-out initialisation.

    Source: Cai et al., section 3.3 ("Elastic Kernel Size", "Elastic Width").

    Example:
        layer = ElasticConv2D(16, 32, (3, 5))
        layer(images, in_channels=8, out_channels=24, kernel_index=0)  # a 3 x 3 kernel
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: tuple[int, ...] = (1,),
        *,
        stride: int = 1,
        padding: str = "symmetric",
        seed=None,
        **kwargs,
    ):
        super().__init__(kernel_sizes, (in_channels, out_channels), out_channels, stride, padding, seed, **kwargs)

    def active_kernel(self, *, in_channels, out_channels, kernel_index=0) -> tf.Tensor:
        """The kernel in use, (size, size, in_channels, out_channels)."""
        return self._sized(active(self.kernel, [-1, -1, in_channels, out_channels]), kernel_index)

    def call(self, inputs, *, in_channels, out_channels, kernel_index=0, folded=None):
        """Convolves (batch, height, width, in_channels) in its own dtype.

        Args:
            inputs: float32 or bfloat16.
            in_channels: int32 scalar.
            out_channels: int32 scalar.
            kernel_index: int32 scalar, the place of the size among `kernel_sizes`.
            folded: None, or what the outputs are multiplied by and what is added to them, float32 (out_channels,) each.
        """
        kernel = self.active_kernel(in_channels=in_channels, out_channels=out_channels, kernel_index=kernel_index)
        kernel = tf.cast(kernel, inputs.dtype)
        if folded is not None:
            kernel *= folded[0]
        if self.stride == 1 and self.kernel_sizes == (1,):
            # The same as a product of matrices, whose gradients are faster on a CPU.
            _, _, before, after = tf.unstack(tf.shape(kernel))
            images, height, width, _ = tf.unstack(tf.shape(inputs))
            outputs = tf.reshape(inputs, [-1, before]) @ tf.reshape(kernel, [before, after])
            if folded is not None:
                outputs = tf.nn.bias_add(outputs, folded[1])
            return tf.reshape(outputs, [images, height, width, after])
        if self.stride == 1 or self.padding == "same":
            # At stride 1, SAME is the symmetric padding of an odd kernel.
            outputs = tf.nn.conv2d(inputs, kernel, self.stride, "SAME")
        else:
            fixed = masked() or len(self.kernel_sizes) == 1
            pad = self.kernel_sizes[-1] // 2 if fixed else tf.shape(kernel)[0] // 2
            # Framed by an operation of its own: oneDNN takes no gradient of convolutions with explicit padding.
            outputs = tf.nn.conv2d(framed(inputs, pad), kernel, self.stride, "VALID")
        return outputs if folded is None else tf.nn.bias_add(outputs, folded[1])


class ElasticDepthwiseConv2D(_ElasticKernel):
    """Depthwise convolution over the first channels, with the kernel size as an input.

    Args:
        channels: the largest number of channels.
        kernel_sizes: ascending, consecutive odd sizes.
        stride: in both directions.
        padding: one of `spaces.PADDINGS`, as of `ElasticConv2D`.
        seed: `keras.random.SeedGenerator` for the initialisation.

    Source: Cai et al., section 3.3 ("Elastic Kernel Size").

    Example:
        layer = ElasticDepthwiseConv2D(96, (3, 5, 7))
        layer(images, channels=64, kernel_index=1)  # a 5 x 5 kernel over 64 channels
    """

    def __init__(
        self,
        channels: int,
        kernel_sizes: tuple[int, ...],
        *,
        stride: int = 1,
        padding: str = "symmetric",
        seed=None,
        **kwargs,
    ):
        super().__init__(kernel_sizes, (channels, 1), channels, stride, padding, seed, **kwargs)

    def active_kernel(self, *, channels, kernel_index) -> tf.Tensor:
        """The kernel in use, (size, size, channels, 1)."""
        return self._sized(active(self.kernel, [-1, -1, channels, -1]), kernel_index)

    def call(self, inputs, *, channels, kernel_index, folded=None):
        """Convolves (batch, height, width, channels) in its own dtype.

        Args:
            inputs: float32 or bfloat16.
            channels: int32 scalar.
            kernel_index: int32 scalar, the place of the size among `kernel_sizes`.
            folded: None, or what the outputs are multiplied by and what is added to them, float32 (channels,) each.
        """
        kernel = tf.cast(self.active_kernel(channels=channels, kernel_index=kernel_index), inputs.dtype)
        if folded is not None:
            kernel *= tf.expand_dims(folded[0], 1)
        sizes = self.kernel_sizes
        if masked():
            sizes, kernel_index = sizes[-1:], 0
        outputs = depthwise_conv2d(
            inputs, kernel, kernel_sizes=sizes, kernel_index=kernel_index, stride=self.stride, padding=self.padding
        )
        return outputs if folded is None else tf.nn.bias_add(outputs, folded[1])


class ElasticDense(keras.layers.Layer):
    """Dense layer whose inputs and outputs are the leading ones of a maximum-size kernel.

    Args:
        in_features: the largest number of inputs.
        out_features: the largest number of outputs.
        use_bias: whether a bias is added.
        he_fan_out: whether the kernel starts as that of a 1x1 convolution, normal with variance 2 / out_features; else
            uniform within 1 / sqrt(in_features), as a classifier's.
        seed: `keras.random.SeedGenerator` for the initialisation.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        he_fan_out: bool = False,
        seed=None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        if he_fan_out:
            initializer = _he_fan_out(1, out_features, seed)
        else:
            bound = 1.0 / math.sqrt(in_features)
            initializer = keras.initializers.RandomUniform(-bound, bound, seed=seed)
        self.kernel = self.add_weight(shape=(in_features, out_features), initializer=initializer, name="kernel")
        self.bias = self.add_weight(shape=(out_features,), initializer="zeros", name="bias") if use_bias else None
        self.built = True

    def active_weights(self, *, in_features, out_features) -> list[tf.Tensor]:
        """The kernel (in_features, out_features) and, where there is one, the bias (out_features,) in use."""
        weights = [active(self.kernel, [in_features, out_features])]
        return weights if self.bias is None else [*weights, active(self.bias, [out_features])]

    def call(self, inputs, *, in_features, out_features):
        """Multiplies float32 (batch, in_features); both counts are int32 scalars."""
        kernel, *bias = self.active_weights(in_features=in_features, out_features=out_features)
        outputs = tf.matmul(inputs, kernel)
        return tf.nn.bias_add(outputs, bias[0]) if bias else outputs


def _centre(size: int) -> np.ndarray:
    """Takes the centre of `size` out of a flattened kernel two larger: (size**2, (size + 2)**2), zeros and ones."""
    inside = np.pad(np.ones((size, size), bool), 1).ravel()
    return np.eye((size + 2) ** 2, dtype=np.float32)[inside]


def _he_fan_out(kernel_size: int, out_channels: int, seed) -> keras.initializers.Initializer:
    """Normal with variance 2 / (kernel area x output channels), as the published code of Cai et al. begins."""
    return keras.initializers.RandomNormal(stddev=math.sqrt(2.0 / (kernel_size**2 * out_channels)), seed=seed)
