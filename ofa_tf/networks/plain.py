"""Plain Keras models from lists of blocks: the one place where a block becomes standard layers.

`keras` for users, `tf_keras` for quantization-aware training, one block at a time for the bench: the Keras module is an
argument. Layers are named `<block>_<part>`; `Supernet.plain_weights` uses the same names.
"""

from collections.abc import Sequence
from typing import Any

from ofa_tf.spaces import Block

# How hard-swish and hard-sigmoid are written, which decides what a converter makes of them (see tflite_notes.md).
#   fused: x * (relu6(x + 3) / 6), which TFLite recognises as one HARD_SWISH: best in float.
#   split: (x / 6) * relu6(x + 3), which it does not: best in int8, where HARD_SWISH breaks XNNPACK's partition.
FORMS = ("fused", "split")


def build_plain(blocks: Sequence[Block], keras: Any, *, form: str = "fused", batch_size: int | None = None):
    """A functional Keras model of standard layers that runs the blocks one after the other.

    Args:
        blocks: what `Space.blocks` gives, or any part of it (one block is a model, too).
        keras: the Keras module to build with.
        form: one of `FORMS`.
        batch_size: fixed batch size of the input, None for any.

    Returns:
        A model from normalized float32 images (batch, input_size, input_size, in_channels) of the first block to the
        output of the last (logits, where that is a head).

    Example:
        model = build_plain(space.blocks(arch), keras)
    """
    if form not in FORMS:
        raise ValueError(f"activation form {form!r} is unknown; known are {', '.join(FORMS)}")
    first = blocks[0]
    shape = (first.input_size, first.input_size, first.in_channels)
    inputs = outputs = keras.Input(shape, batch_size=batch_size, name="images")
    for block in blocks:
        outputs = _BUILDERS[block.kind](outputs, block, keras, form)
    return keras.Model(inputs, outputs, name="subnet")


def _activate(inputs, name: str, keras, form: str):
    if name == "relu":
        return keras.layers.ReLU()(inputs)
    if name == "relu6":
        return keras.layers.ReLU(6.0)(inputs)
    if form == "fused":
        return inputs * _hard_sigmoid(inputs, keras)
    return (inputs * (1.0 / 6.0)) * keras.layers.ReLU(6.0)(inputs + 3.0)


def _hard_sigmoid(inputs, keras):
    return keras.layers.ReLU(6.0)(inputs + 3.0) * (1.0 / 6.0)


def _conv(inputs, block: Block, part: str, filters: int, kernel_size: int, stride: int, keras):
    inputs, padding = _padded(inputs, kernel_size, stride, keras)
    layer = keras.layers.Conv2D(filters, kernel_size, stride, padding, use_bias=False, name=f"{block.name}_{part}")
    return layer(inputs)


def _padded(inputs, kernel_size: int, stride: int, keras):
    """At stride 1, SAME is the symmetric padding; elsewhere it is written out."""
    if stride == 1:
        return inputs, "same"
    return keras.layers.ZeroPadding2D(kernel_size // 2)(inputs), "valid"


def _norm(inputs, block: Block, part: str, keras):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=block.norm_epsilon, name=f"{block.name}_{part}")(
        inputs
    )


def _stem(inputs, block: Block, keras, form: str):
    outputs = _conv(inputs, block, "conv", block.out_channels, block.kernel_size, block.stride, keras)
    outputs = _activate(_norm(outputs, block, "norm", keras), block.activation, keras, form)
    if block.residual:
        outputs = keras.layers.Add()([outputs, inputs])
    if block.pool:
        # Zeros never win: they come after an activation without negative values.
        outputs = keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(outputs))
    return outputs


def _bottleneck(inputs, block: Block, keras, form: str):
    def normalized(outputs, part: str, filters: int, kernel_size: int = 1, stride: int = 1):
        outputs = _conv(outputs, block, part, filters, kernel_size, stride, keras)
        return _norm(outputs, block, f"{part}_norm", keras)

    mid, out = block.mid_channels, block.out_channels
    outputs = _activate(normalized(inputs, "reduce", mid), block.activation, keras, form)
    outputs = normalized(outputs, "spatial", mid, block.kernel_size, block.stride)
    outputs = normalized(_activate(outputs, block.activation, keras, form), "expand", out)
    shortcut = inputs
    if not block.residual:
        if block.stride > 1:
            shortcut = keras.layers.AveragePooling2D(block.stride, padding="same")(shortcut)
        shortcut = normalized(shortcut, "shortcut", out)
    return _activate(keras.layers.Add()([outputs, shortcut]), block.activation, keras, form)


def _inverted_residual(inputs, block: Block, keras, form: str):
    outputs = inputs
    if block.expand:
        outputs = _conv(outputs, block, "expand", block.mid_channels, 1, 1, keras)
        outputs = _activate(_norm(outputs, block, "expand_norm", keras), block.activation, keras, form)
    outputs, padding = _padded(outputs, block.kernel_size, block.stride, keras)
    outputs = keras.layers.DepthwiseConv2D(
        block.kernel_size, block.stride, padding, use_bias=False, name=f"{block.name}_depthwise"
    )(outputs)
    outputs = _activate(_norm(outputs, block, "depthwise_norm", keras), block.activation, keras, form)
    if block.se_channels:
        pooled = keras.layers.GlobalAveragePooling2D()(outputs)
        squeezed = keras.layers.Dense(block.se_channels, activation="relu", name=f"{block.name}_se_reduce")(pooled)
        gate = _hard_sigmoid(keras.layers.Dense(block.mid_channels, name=f"{block.name}_se_expand")(squeezed), keras)
        outputs = outputs * keras.layers.Reshape((1, 1, block.mid_channels))(gate)
    outputs = _norm(_conv(outputs, block, "project", block.out_channels, 1, 1, keras), block, "project_norm", keras)
    return keras.layers.Add()([outputs, inputs]) if block.residual else outputs


def _head(inputs, block: Block, keras, form: str):
    outputs = inputs
    if block.mid_channels:
        outputs = _norm(_conv(inputs, block, "conv", block.mid_channels, 1, 1, keras), block, "norm", keras)
        outputs = _activate(outputs, block.activation, keras, form)
    outputs = keras.layers.GlobalAveragePooling2D()(outputs)
    if block.feature_channels:
        outputs = keras.layers.Dense(block.feature_channels, use_bias=False, name=f"{block.name}_feature")(outputs)
        outputs = _activate(outputs, block.activation, keras, form)
    return keras.layers.Dense(block.out_channels, name=f"{block.name}_classifier")(outputs)


_BUILDERS = {"stem": _stem, "mbconv": _inverted_residual, "bottleneck": _bottleneck, "head": _head}
