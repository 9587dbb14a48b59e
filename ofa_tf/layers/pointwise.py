"""Convolutions and their batch norms as one operation, fast and small in memory on a CPU.

With known statistics a norm is part of the kernel. With the batch's, a widening 1x1 convolution, its norm and its
activation are one operation. Its outputs are linear in its inputs, so their means and variances follow from the means
and the covariance matrix of the inputs, which have a third to a sixth of their channels: the wide feature map is never
read for statistics, and the normalization becomes part of the product of matrices. The same holds for the gradient.
What is kept for the gradient is the result alone (and where the activation's gradient needs it, its input).

Batch norm after a convolution: Ioffe and Szegedy, "Batch Normalization" (ICML 2015), section 3.2 and algorithm 1.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from ofa_tf.layers.activations import ACTIVATIONS, activate
from ofa_tf.layers.convolution import ElasticConv2D
from ofa_tf.layers.normalization import GIVEN, MOVING, ElasticBatchNormalization, NormalizationPass
from ofa_tf.layers.slicing import runs_on_cpu_kernels


def normalized(
    inputs: tf.Tensor,
    convolve: Callable[..., tf.Tensor],
    norm: ElasticBatchNormalization,
    *,
    channels: tf.Tensor,
    norms: NormalizationPass,
) -> tf.Tensor:
    """norm(convolve(inputs)); on a CPU, with statistics that are known before, as one convolution.

    Args:
        inputs: (batch, height, width, channels of the inputs).
        convolve: an elastic convolution with its sizes; takes `folded`.
        norm: the batch norm of its outputs.
        channels: int32 scalar, the channels of the outputs.
        norms: the pass that this call is part of.
    """
    if norms.mode in (GIVEN, MOVING) and _is_fast(inputs):
        return convolve(inputs, folded=norm.folded(channels, norms))
    return norm(convolve(inputs), channels=channels, norms=norms)


def widened(
    inputs: tf.Tensor,
    conv: ElasticConv2D,
    norm: ElasticBatchNormalization,
    *,
    in_channels: tf.Tensor,
    out_channels: tf.Tensor,
    activation: str,
    norms: NormalizationPass,
) -> tf.Tensor:
    """activation(norm(conv(inputs))): with the batch's statistics, in float32 on a CPU, as one operation."""
    if norms.mode in (GIVEN, MOVING) or not _is_fast(inputs):
        convolve = functools.partial(conv, in_channels=in_channels, out_channels=out_channels)
        return activate(activation, normalized(inputs, convolve, norm, channels=out_channels, norms=norms))
    kernel = tf.reshape(
        conv.active_kernel(in_channels=in_channels, out_channels=out_channels), [in_channels, out_channels]
    )
    gamma, beta = norm.active_scale(out_channels)
    outputs, mean, variance = normalized_pointwise(
        inputs, kernel, gamma, beta, epsilon=norm.epsilon, activation=activation
    )
    norm.leave(mean, variance, tf.size(outputs) // out_channels, out_channels, norms)
    return outputs


def _is_fast(inputs: tf.Tensor) -> bool:
    # Variances that follow from products of matrices need float32.
    return inputs.dtype == tf.float32 and runs_on_cpu_kernels()


def normalized_pointwise(
    inputs: tf.Tensor, kernel: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, epsilon: float, activation: str
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """activation(batch_norm(conv1x1(inputs))) by the batch's own statistics.

    Args:
        inputs: float32 (batch, height, width, in_channels).
        kernel: float32 (in_channels, out_channels).
        gamma: float32 (out_channels,).
        beta: float32 (out_channels,).
        epsilon: added to the variance.
        activation: one of `activations.ACTIVATIONS`.

    Returns:
        float32 (batch, height, width, out_channels), and the mean and biased variance of the convolution's outputs,
        float32 (out_channels,) each, through which no gradient flows.

    Example:
        outputs, mean, variance = normalized_pointwise(images, kernel, gamma, beta, epsilon=1e-5, activation="relu")
    """

    @tf.custom_gradient
    def forward(inputs, kernel, gamma, beta):
        shape = tf.shape(inputs)
        images, height, width, channels = tf.unstack(shape)
        rows = tf.reshape(inputs, [-1, channels])
        count = tf.cast(images * height * width, tf.float32)
        input_mean = _column_sums(rows) / count
        covariance = tf.matmul(rows, rows, transpose_a=True) / count - _outer(input_mean, input_mean)
        projected = tf.matmul(covariance, kernel)  # (in, out)
        mean = _row_times(input_mean, kernel)
        # Rounding can bring the variance of a channel that hardly varies below zero.
        variance = tf.maximum(tf.reduce_sum(kernel * projected, axis=0), 0.0)
        rate = tf.math.rsqrt(variance + epsilon)
        scale = gamma * rate
        normalized = tf.nn.bias_add(tf.matmul(rows, kernel * scale), beta - mean * scale)
        outputs = activate(activation, normalized)
        preactivation = normalized if ACTIVATIONS[activation].needs_inputs else None

        def gradient(upstream, mean_upstream, variance_upstream):
            del mean_upstream, variance_upstream  # statistics are not trained through
            upstream = tf.reshape(upstream, tf.shape(outputs))
            upstream = ACTIVATIONS[activation].gradient(upstream, preactivation, outputs)
            beta_gradient = _column_sums(upstream)
            product = tf.matmul(rows, upstream, transpose_a=True)  # (in, out)
            gamma_gradient = rate * (tf.reduce_sum(kernel * product, axis=0) - mean * beta_gradient)
            # The gradient at the convolution's outputs is scale * (upstream - beta' / n - normalized * gamma' / n);
            # it is never formed, only its products with inputs and kernel are.
            kernel_gradient = scale * (
                product - _outer(input_mean, beta_gradient) - projected * (rate * gamma_gradient)
            )
            weighted = kernel * (scale * rate * gamma_gradient / count)
            inner = tf.matmul(weighted, kernel, transpose_b=True)  # (in, in)
            constant = _row_times(input_mean, inner) - _row_times(scale * beta_gradient / count, tf.transpose(kernel))
            input_gradient = tf.nn.bias_add(tf.matmul(upstream, kernel * scale, transpose_b=True), constant)
            input_gradient -= tf.matmul(rows, inner)
            return tf.reshape(input_gradient, shape), kernel_gradient, gamma_gradient, beta_gradient

        return (tf.reshape(outputs, [images, height, width, tf.size(gamma)]), mean, variance), gradient

    return forward(inputs, kernel, gamma, beta)


def _column_sums(rows: tf.Tensor) -> tf.Tensor:
    # The fastest of TensorFlow's ways to add rows up on a CPU.
    return tf.raw_ops.BiasAddGrad(out_backprop=rows)


def _outer(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    return tf.expand_dims(first, 1) * second


def _row_times(row: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    return tf.linalg.matvec(matrix, row, transpose_a=True)
