"""The depthwise convolution has the values and the gradients of TensorFlow's own, whatever the size and the stride."""

import numpy as np
import pytest
import tensorflow as tf

from ofa_tf.layers.depthwise import depthwise_conv2d
from ofa_tf.spaces import PADDINGS

SIZES = (1, 3, 5, 7)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(9, 8), (1, 1), (2, 5), (4, 4)])
def test_values_and_gradients_are_those_of_the_plain_operation(height, width, stride, padding):
    """Images larger and smaller than the kernel; one trace for all sizes."""
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(size=(2, height, width, 6)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((None, None, 6, 1)), tf.TensorSpec((), tf.int32)])
    def own(kernel, index):
        with tf.GradientTape() as tape:
            tape.watch([inputs, kernel])
            outputs = depthwise_conv2d(
                inputs, kernel, kernel_sizes=SIZES, kernel_index=index, stride=stride, padding=padding
            )
            loss = tf.reduce_sum(outputs * outputs)
        return outputs, *tape.gradient(loss, [inputs, kernel])

    for index, size in enumerate(SIZES):
        kernel = tf.constant(rng.normal(size=(size, size, 6, 1)).astype(np.float32))
        pad = size // 2
        with tf.GradientTape() as tape:
            tape.watch([inputs, kernel])
            if padding == "same":
                outputs = tf.nn.depthwise_conv2d(inputs, kernel, [1, stride, stride, 1], "SAME")
            else:
                framed = tf.pad(inputs, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
                outputs = tf.nn.depthwise_conv2d(framed, kernel, [1, stride, stride, 1], "VALID")
            loss = tf.reduce_sum(outputs * outputs)
        expected = outputs, *tape.gradient(loss, [inputs, kernel])
        for value, other in zip(own(kernel, index), expected, strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("sizes", [(3,), (5,), (3, 5)])
def test_a_bias_and_an_activation_may_follow(sizes, padding):
    """TensorFlow makes one operation of the three; of one whose padding was given in numbers, the process ended."""
    rng = np.random.default_rng(0)
    inputs, kernel, bias = (
        tf.constant(rng.normal(size=shape), tf.float32) for shape in ((2, 9, 8, 6), (sizes[-1], sizes[-1], 6, 1), (6,))
    )

    def activated(inputs, kernel, bias):
        index = tf.constant(len(sizes) - 1)
        outputs = depthwise_conv2d(inputs, kernel, kernel_sizes=sizes, kernel_index=index, stride=2, padding=padding)
        return tf.nn.relu6(tf.nn.bias_add(outputs, bias))

    signature = [tf.TensorSpec(it.shape) for it in (inputs, kernel, bias)]
    traced = tf.function(activated, input_signature=signature)
    np.testing.assert_allclose(traced(inputs, kernel, bias), activated(inputs, kernel, bias), rtol=1e-5, atol=1e-5)


def test_a_machine_with_a_gpu_gets_the_plain_operation(monkeypatch):
    """There cuDNN's gradient is the fast one: no custom gradient stands in its way."""
    graph = tf.Graph()
    for devices in ([], ["a GPU"]):
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind, devices=devices: devices)
        with graph.as_default():
            kernel = tf.ones((5, 5, 2, 1))
            images = tf.ones((1, 8, 8, 2))
            outputs = depthwise_conv2d(images, kernel, kernel_sizes=(5,), kernel_index=tf.constant(0), stride=1)
            before = len(graph.get_operations())
            tf.gradients(outputs, kernel)
        names = [operation.type for operation in graph.get_operations()[before:]]
        assert names.count("DepthwiseConv2dNativeBackpropFilter") == (1 if devices else 2)
