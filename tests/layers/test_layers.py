"""Every elastic layer equals the standard operation on its active slices, in one trace, and trains only those."""

import numpy as np
import pytest
import tensorflow as tf

from ofa_tf import layers, spaces
from ofa_tf.layers import BATCH, GIVEN, MOVING, TRAIN, NormalizationPass
from ofa_tf.layers.elastic_block import descending
from ofa_tf.spaces import Block
from tests.layers.checks import check_elastic_layer

RNG = np.random.default_rng(0)


def images(channels: int, size: int = 9) -> tf.Tensor:
    return tf.constant(RNG.normal(size=(2, size, size, channels)).astype(np.float32))


def test_elastic_conv2d():
    """Leading input and output channels, symmetric padding at stride 2."""
    check_elastic_layer(
        make=lambda: layers.ElasticConv2D(8, 12, (3,), stride=2),
        inputs=lambda c: images(c[0]),
        call=lambda layer, x, s: layer(x, in_channels=s[0], out_channels=s[1]),
        expected=lambda w, x, c: tf.nn.conv2d(
            tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), w["kernel"][:, :, : c[0], : c[1]], 2, "VALID"
        ),
        configurations=[(8, 12), (3, 5), (8, 1)],
        active=lambda c: {"kernel": np.s_[:, :, : c[0], : c[1]]},
    )


def transformed(weights: dict, index: int) -> np.ndarray:
    """The published rule, one pair of channels at a time: the flattened centre times the transposed matrix."""
    kernel = weights["kernel"]
    for size in (5, 3)[: 2 - index]:
        matrix = weights[f"transform_{size + 2}to{size}"]
        centre = kernel[1:-1, 1:-1].reshape(size * size, *kernel.shape[2:])
        kernel = np.einsum("ij,jab->iab", matrix, centre).reshape(size, size, *kernel.shape[2:])
    return kernel


def active_of_sizes(index: int, channels: tuple[slice, ...]) -> dict:
    """Of a kernel of 7 x 7, and of what makes the smaller ones of it."""
    active = {"kernel": np.s_[2 - index : 5 + index, 2 - index : 5 + index, *channels]}
    if index < 2:
        active["transform_7to5"] = np.s_[:]
    if index < 1:
        active["transform_5to3"] = np.s_[:]
        # The 3x3 kernel still comes from the whole 5x5 centre, through the 7-to-5 matrix.
        active["kernel"] = np.s_[1:6, 1:6, *channels]
        # ... of which only the centre's rows count.
        rows = [row * 5 + column for row in (1, 2, 3) for column in (1, 2, 3)]
        active["transform_7to5"] = (rows,)
    return active


def symmetrically_padded(x, kernel):
    pad = kernel.shape[0] // 2
    return tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]])


@pytest.mark.parametrize("stride", [1, 2])
def test_elastic_conv2d_of_several_sizes(stride):
    """Kernel sizes by centre and matrix, which all pairs of channels share."""

    def expected(weights, x, c):
        kernel = transformed(weights, c[2])[:, :, : c[0], : c[1]]
        return tf.nn.conv2d(symmetrically_padded(x, kernel), kernel, stride, "VALID")

    check_elastic_layer(
        make=lambda: layers.ElasticConv2D(4, 3, (3, 5, 7), stride=stride),
        inputs=lambda c: images(c[0], size=10),
        call=lambda layer, x, s: layer(x, in_channels=s[0], out_channels=s[1], kernel_index=s[2]),
        expected=expected,
        configurations=[(4, 3, 2), (3, 2, 1), (2, 1, 0), (4, 3, 0)],
        active=lambda c: active_of_sizes(c[2], np.s_[: c[0], : c[1]]),
        mean=0.1,  # matrices of ones would make sums too large for the tolerance
    )


def check_depthwise(stride):
    def expected(weights, x, c):
        kernel = transformed(weights, c[1])[:, :, : c[0]]
        return tf.nn.depthwise_conv2d(symmetrically_padded(x, kernel), kernel, [1, stride, stride, 1], "VALID")

    check_elastic_layer(
        make=lambda: layers.ElasticDepthwiseConv2D(6, (3, 5, 7), stride=stride),
        inputs=lambda c: images(c[0], size=10),
        call=lambda layer, x, s: layer(x, channels=s[0], kernel_index=s[1]),
        expected=expected,
        configurations=[(6, 2), (4, 1), (2, 0), (6, 0)],
        active=lambda c: active_of_sizes(c[1], (slice(c[0]),)),
        mean=0.1,  # matrices of ones would make sums too large for the tolerance
    )


def test_elastic_depthwise_conv2d():
    """Kernel sizes by centre and matrix, at stride 1."""
    check_depthwise(stride=1)


def test_elastic_depthwise_conv2d_stride_2():
    """The same with symmetric padding at stride 2."""
    check_depthwise(stride=2)


def test_elastic_dense():
    """Leading inputs and outputs, bias included."""
    check_elastic_layer(
        make=lambda: layers.ElasticDense(8, 6),
        inputs=lambda c: tf.constant(RNG.normal(size=(3, c[0])).astype(np.float32)),
        call=lambda layer, x, s: layer(x, in_features=s[0], out_features=s[1]),
        expected=lambda w, x, c: x @ w["kernel"][: c[0], : c[1]] + w["bias"][: c[1]],
        configurations=[(8, 6), (5, 2), (1, 6)],
        active=lambda c: {"kernel": np.s_[: c[0], : c[1]], "bias": np.s_[: c[1]]},
    )


def normed(w, name, x):
    """The first channels, by moving statistics."""
    mean, variance, gamma, beta = (
        w[f"{name}/{part}"][: x.shape[-1]] for part in ("moving_mean", "moving_variance", "gamma", "beta")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def test_elastic_block():
    """An inverted residual with squeeze-and-excite, whose gate is the published one: relu6(x + 3) / 6."""
    block = Block(
        "b", "mbconv", 4, 4, 4, 9, kernel_size=3, activation="relu6", se_channels=2, expand=True, residual=True
    )

    def expected(w, x, c):
        mid, hidden = c[2], c[4]
        outputs = normed(w, "expand_norm", tf.nn.conv2d(x, w["expand/kernel"][:, :, :, :mid], 1, "SAME"))
        kernel = w["depthwise/kernel"][:, :, :mid]
        outputs = tf.nn.depthwise_conv2d(tf.nn.relu6(outputs), kernel, [1, 1, 1, 1], "SAME")
        outputs = tf.nn.relu6(normed(w, "depthwise_norm", outputs))
        pooled = tf.reduce_mean(outputs, [1, 2])
        squeezed = tf.nn.relu(pooled @ w["se_reduce/kernel"][:mid, :hidden] + w["se_reduce/bias"][:hidden])
        gate = squeezed @ w["se_expand/kernel"][:hidden, :mid] + w["se_expand/bias"][:mid]
        outputs = outputs * (np.clip(gate + 3, 0, 6) / 6)[:, None, None]
        return normed(w, "project_norm", tf.nn.conv2d(outputs, w["project/kernel"][:, :, :mid], 1, "SAME")) + x

    def active(c):
        mid, hidden = c[2], c[4]
        norms = {f"{part}_norm/{name}": np.s_[:mid] for part in ("expand", "depthwise") for name in ("gamma", "beta")}
        return norms | {
            "expand/kernel": np.s_[:, :, :, :mid],
            "depthwise/kernel": np.s_[:, :, :mid],
            "se_reduce/kernel": np.s_[:mid, :hidden],
            "se_reduce/bias": np.s_[:hidden],
            "se_expand/kernel": np.s_[:hidden, :mid],
            "se_expand/bias": np.s_[:mid],
            "project/kernel": np.s_[:, :, :mid],
            "project_norm/gamma": np.s_[:],
            "project_norm/beta": np.s_[:],
        }

    check_elastic_layer(
        make=lambda: layers.ElasticBlock(block, optional=False),
        inputs=lambda c: 0.1 * images(4),
        call=lambda layer, x, s: layer(x, sizes=s, norms=NormalizationPass(MOVING)),
        expected=expected,
        configurations=[(1, 4, 4, 4, 2, 0), (1, 4, 3, 4, 1, 0), (1, 4, 2, 4, 2, 0)],
        active=active,
        mean=0.5,  # with small images, the gate stays off its flat parts, where there is no gradient
    )


@pytest.mark.parametrize("expand", [True, False])
def test_fused_block(expand):
    """One convolution of a size to choose for expansion and depthwise convolution; at ratio 1 that is the block."""
    block = Block("b", "fused_mbconv", 4, 6, 4, 9, kernel_size=5, activation="silu", expand=expand, residual=True)
    first = "expand" if expand else "conv"

    def sized(w, c):
        kernel = w[f"{first}/kernel"]
        if c[5] == 0:
            matrix, centre = w[f"{first}/transform_5to3"], kernel[1:-1, 1:-1].reshape(9, *kernel.shape[2:])
            kernel = np.einsum("ij,jab->iab", matrix, centre).reshape(3, 3, *kernel.shape[2:])
        return kernel[..., : c[2]] if expand else kernel

    def expected(w, x, c):
        outputs = tf.nn.conv2d(x, sized(w, c), 1, "SAME")
        outputs = tf.nn.silu(normed(w, f"{first}_norm" if expand else "norm", outputs))
        if expand:
            outputs = tf.nn.conv2d(outputs, w["project/kernel"][:, :, : c[2]], 1, "SAME")
            outputs = normed(w, "project_norm", outputs)
        return outputs + x

    def active(c):
        mid = c[2] if expand else 4
        inside = np.s_[:] if c[5] else np.s_[1:4]
        norms = [("expand_norm", mid), ("project_norm", 4)] if expand else [("norm", 4)]
        found = {f"{name}/{part}": np.s_[:count] for name, count in norms for part in ("gamma", "beta")}
        found[f"{first}/kernel"] = (inside, inside, slice(None), slice(mid))
        if not c[5]:
            found[f"{first}/transform_5to3"] = np.s_[:]
        return found | ({"project/kernel": np.s_[:, :, :mid]} if expand else {})

    check_elastic_layer(
        make=lambda: layers.ElasticBlock(block, optional=False, kernel_sizes=(3, 5)),
        inputs=lambda c: images(4),
        call=lambda layer, x, s: layer(x, sizes=s, norms=NormalizationPass(MOVING)),
        expected=expected,
        configurations=[(1, 4, 6, 4, 0, 1), (1, 4, 4, 4, 0, 0), (1, 4, 2, 4, 0, 1)],
        active=active,
        mean=0.8,
    )


def test_elastic_batch_normalization_moving():
    """Inference over the first channels with the moving statistics."""
    check_elastic_layer(
        make=lambda: layers.ElasticBatchNormalization(8, epsilon=1e-3),
        inputs=lambda c: images(c[0]),
        call=lambda layer, x, s: layer(x, channels=s[0], norms=NormalizationPass(MOVING)),
        expected=lambda w, x, c: (
            (x - w["moving_mean"][: c[0]]) / np.sqrt(w["moving_variance"][: c[0]] + 1e-3) * w["gamma"][: c[0]]
            + w["beta"][: c[0]]
        ),
        configurations=[(8,), (3,)],
        active=lambda c: {"gamma": np.s_[: c[0]], "beta": np.s_[: c[0]]},
    )


def test_elastic_batch_normalization_batch_statistics():
    """Collected statistics are the batch's mean and biased variance, zero outside; given back, they reproduce it."""
    norm = layers.ElasticBatchNormalization(8)
    x = images(5) * 3.0 + 1.0
    collecting = NormalizationPass(BATCH)
    outputs = norm(x, channels=5, norms=collecting)
    (statistics,) = collecting.collected
    mean, variance = x.numpy().mean((0, 1, 2)), x.numpy().var((0, 1, 2))
    np.testing.assert_allclose(statistics[:, :5], [mean, variance], rtol=1e-4)
    assert not statistics[:, 5:].numpy().any()
    given = norm(x, channels=5, norms=NormalizationPass(GIVEN, statistics))
    np.testing.assert_allclose(given, outputs, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(norm.moving_mean, np.zeros(8))


def test_elastic_batch_normalization_moving_average():
    """Training moves the first channels' statistics by a tenth of the way and leaves the others."""
    norm = layers.ElasticBatchNormalization(8, momentum=0.9)
    x = images(5) + 2.0
    norm(x, channels=5, norms=NormalizationPass(TRAIN))
    np.testing.assert_allclose(norm.moving_mean[:5], 0.1 * x.numpy().mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_array_equal(norm.moving_mean[5:], np.zeros(3))
    unbiased = x.numpy().var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(norm.moving_variance[:5], 0.9 + 0.1 * unbiased, rtol=1e-4)
    np.testing.assert_array_equal(norm.moving_variance[5:], np.ones(3))


def test_descending_keeps_groups():
    """Channels are sorted by importance, but none crosses the end of its group."""
    importance = np.array([1.0, 5.0, 3.0, 9.0, 7.0])
    np.testing.assert_array_equal(descending(importance), [3, 4, 1, 2, 0])
    np.testing.assert_array_equal(descending(importance, [3, 5]), [1, 2, 0, 3, 4])


def test_squeeze_excite_and_the_feature_layer_start_as_convolutions():
    """He fan-out normal, as published; the classifier uniform within 1 / sqrt(inputs)."""
    space = spaces.get("ofa_mbv3_d234_e346_k357_w1.0", num_classes=100)
    blocks = space.blocks(space.largest())
    gated = next(block for block in reversed(blocks) if block.se_channels)
    block, head = (layers.ElasticBlock(each, optional=False, seed=0) for each in (gated, blocks[-1]))
    sizes = ((block.se_reduce, gated.se_channels), (block.se_expand, gated.mid_channels), (head.feature, 1280))
    for layer, outputs in sizes:
        kernel = layer.kernel.numpy()
        assert kernel.std() == pytest.approx((2 / outputs) ** 0.5, rel=0.02)
        assert np.abs(kernel).max() > 3.5 * kernel.std()  # a uniform distribution ends at 1.73
    classifier = head.classifier.kernel.numpy()
    assert 0.99 / 1280**0.5 < np.abs(classifier).max() <= 1 / 1280**0.5
