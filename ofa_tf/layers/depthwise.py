"""Depthwise convolution with gradients that are fast on a CPU."""

import tensorflow as tf

from ofa_tf.layers.slicing import framed, runs_on_cpu_kernels

# oneDNN has a fast kernel for the gradient of at most so many columns of a depthwise kernel, on images that have at
# least the kernel's rows; any other takes it 5 to 50 times as long.
_COLUMNS = 3


def depthwise_conv2d(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    *,
    kernel_sizes: tuple[int, ...],
    kernel_index: tf.Tensor,
    stride: int,
    padding: str = "symmetric",
) -> tf.Tensor:
    """Depthwise convolution.

    On a CPU the gradient of the kernel is computed in groups of columns, that of the inputs, at stride 1, as the
    convolution with the kernel turned around. `python -m benchmarks.reference_speed` shows what that gains.

    Args:
        inputs: float32 or bfloat16 (batch, height, width, channels); on a CPU computed in float32 either way.
        kernel: of the same dtype (size, size, channels, 1).
        kernel_sizes: the odd sizes that the kernel can have.
        kernel_index: int32 scalar, which one it has.
        stride: in both directions.
        padding: "symmetric", `size // 2` zeros on each side, or "same", as TensorFlow pads.

    Returns:
        As the inputs (batch, ceil(height / stride), ceil(width / stride), channels).

    Example:
        depthwise_conv2d(images, kernel, kernel_sizes=(3, 5), kernel_index=tf.constant(0), stride=1)
    """

    # At stride 1, SAME is the symmetric padding of an odd kernel.
    same = stride == 1 or padding == "same"

    def convolved(inputs, kernel):
        if same:
            return tf.nn.depthwise_conv2d(inputs, kernel, [1, stride, stride, 1], "SAME")
        if len(kernel_sizes) == 1:
            # TensorFlow joins the operation with a bias behind it, except out of a branch, and then forgets a padding
            # in numbers: the process aborts where oneDNN is on.
            framed_inputs = framed(inputs, kernel_sizes[0] // 2)
            return tf.nn.depthwise_conv2d(framed_inputs, kernel, [1, stride, stride, 1], "VALID")
        branches = [lambda size=size: _padded(inputs, kernel, size // 2, stride) for size in kernel_sizes]
        return _one_of(branches, kernel_index)

    if not runs_on_cpu_kernels():
        return convolved(inputs, kernel)

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradient(upstream):
            kernels = [
                lambda size=size: _kernel_gradient(inputs, upstream, size, stride, same) for size in kernel_sizes
            ]
            return _inputs_gradient(inputs, kernel, upstream, stride, same), _one_of(kernels, kernel_index)

        return convolved(inputs, kernel), gradient

    # The bfloat16 kernels of a CPU add up in bfloat16: a kernel's gradient, a sum over all pixels, is 7 % wrong.
    return tf.cast(convolve(tf.cast(inputs, tf.float32), tf.cast(kernel, tf.float32)), inputs.dtype)


def _one_of(branches, index):
    return branches[0]() if len(branches) == 1 else tf.switch_case(index, branches)


def _padded(inputs, kernel, pad, stride):
    return tf.nn.depthwise_conv2d(inputs, kernel, [1, stride, stride, 1], [[0, 0], [pad, pad], [pad, pad], [0, 0]])


def _inputs_gradient(inputs, kernel, upstream, stride, same):
    if stride == 1:
        return tf.nn.depthwise_conv2d(upstream, tf.reverse(kernel, [0, 1]), [1, 1, 1, 1], "SAME")

    def of_inputs(shape, padding):
        return tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=shape, filter=kernel, out_backprop=upstream, strides=[1, stride, stride, 1], padding=padding
        )

    shape = tf.shape(inputs)
    if same:
        return of_inputs(shape, "SAME")
    size, *_ = tf.unstack(tf.shape(kernel))
    pad = size // 2
    frame = tf.stack([0, pad, pad, 0])
    # Framed by hand: oneDNN takes no gradient of convolutions with explicit padding.
    return tf.slice(of_inputs(shape + 2 * frame, "VALID"), frame, shape)


def _kernel_gradient(inputs, upstream, size, stride, same):
    *_, channels = tf.unstack(tf.shape(inputs))

    def of_columns(inputs, columns, padding):
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=inputs, filter_sizes=tf.stack([size, columns, channels, 1]), out_backprop=upstream,
            strides=[1, stride, stride, 1], padding=padding,
        )  # fmt: skip

    if same and size <= _COLUMNS:
        return of_columns(inputs, size, "SAME")
    inputs = framed(inputs, size // 2)
    if same and stride > 1:
        # SAME leaves out the first row and column where a side is even.
        _, height, width, _ = tf.unstack(tf.shape(inputs))
        left_out = [tf.cast(side % stride == 0, tf.int32) for side in (height - size + 1, width - size + 1)]
        inputs = inputs[:, left_out[0] :, left_out[1] :]
    if size <= _COLUMNS:
        return of_columns(inputs, size, "VALID")
    _, _, width, _ = tf.unstack(tf.shape(upstream))
    groups = [(first, min(_COLUMNS, size - first)) for first in range(0, size, _COLUMNS)]
    read = [
        tf.slice(inputs, [0, 0, first, 0], [-1, -1, (width - 1) * stride + columns, -1]) for first, columns in groups
    ]
    return tf.concat(
        [of_columns(part, columns, "VALID") for part, (_, columns) in zip(read, groups, strict=True)], axis=1
    )
