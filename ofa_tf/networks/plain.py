"""Plain Keras models from lists of blocks: the one place where a block becomes standard layers.

`keras` for users, `tf_keras` for quantization-aware training, one block at a time for the bench: the Keras module is an
argument. Layers are named `<block>_<part>`; `Supernet.plain_weights` uses the same names.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ofa_tf.common.form import Form
from ofa_tf.spaces import Block

_SIXTH = 1.0 / 6.0


def build_plain(blocks: Sequence[Block], keras: Any, *, form: str = "fused", batch_size: int | None = None):
    """A functional Keras model of standard layers that runs the blocks one after the other.

    Args:
        blocks: what `Space.blocks` gives, or any part of it (one block is a model, too).
        keras: the Keras module to build with.
        form: one of `common.form.FORMS`; for its weights, see `formed_weights`.
        batch_size: fixed batch size of the input, None for any.

    Returns:
        A model from normalized float32 images (batch, input_size, input_size, in_channels) of the first block to the
        output of the last (logits, where that is a head).

    Example:
        model = build_plain(space.blocks(arch), keras)
    """
    written = Form.parse(form)
    first = blocks[0]
    shape = (first.input_size, first.input_size, first.in_channels)
    inputs = outputs = keras.Input(shape, batch_size=batch_size, name="images")
    for block in blocks:
        outputs = _BUILDERS[block.kind](outputs, block, keras, written)
    return keras.Model(inputs, outputs, name="subnet")


def formed_weights(
    blocks: Sequence[Block], weights: Mapping[str, Sequence[np.ndarray]], form: str
) -> dict[str, list[np.ndarray]]:
    """The weights with which a model in a form computes what the plain ones do in the form "fused".

    Args:
        blocks: of the model.
        weights: by layer name, as `Supernet.plain_weights` gives them.
        form: one of `common.form.FORMS`.

    Example:
        set_plain_weights(build_plain(blocks, keras, form=form), formed_weights(blocks, weights, form))
    """
    written = Form.parse(form)
    formed = {name: list(values) for name, values in weights.items()}
    for block in blocks:
        for name, factor in _folded(block, written).items():
            formed[name][0] = formed[name][0] * np.float32(factor)
        groups = _row_groups(block, written)
        if groups:
            kernel, bias = _without_norm(formed, block)
            for place, (first, count) in enumerate(groups):
                formed[_row_name(block, first)] = [kernel[first : first + count], bias][: 1 + (place == 0)]
        elif block.kind in _SPATIAL:
            name = f"{block.name}_{_SPATIAL[block.kind]}"
            more = written.kernel_side(block.kernel_size, block.stride, block.input_size) - block.kernel_size
            formed[name][0] = np.pad(formed[name][0], ((0, more), (0, more), (0, 0), (0, 0)))
    return formed


def folded_norm(norm: Sequence[np.ndarray], epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """What a batch norm multiplies each channel by and what it adds, float32 (channels,) both.

    Args:
        norm: its gamma, beta, mean and variance.
        epsilon: of its variance.
    """
    gamma, beta, mean, variance = norm
    factor = gamma / np.sqrt(variance + epsilon)
    return factor.astype(np.float32), (beta - mean * factor).astype(np.float32)


# The layer with the kernel of more than one pixel.
_SPATIAL = {"stem": "conv", "mbconv": "depthwise", "bottleneck": "spatial"}


def _row_groups(block: Block, form: Form) -> list[tuple[int, int]]:
    """The groups of rows that a block's depthwise kernel is written in; none where it is whole."""
    if block.kind != "mbconv":
        return []
    groups = form.row_groups(block.kernel_size, block.stride, block.input_size)
    return [] if groups == [(0, block.kernel_size)] else groups


def _row_name(block: Block, first: int) -> str:
    return f"{block.name}_depthwise_rows{first}"


def _without_norm(weights: dict[str, list[np.ndarray]], block: Block) -> tuple[np.ndarray, np.ndarray]:
    """The depthwise kernel and a bias that do what it and its batch norm do: a sum has no norm to take into itself."""
    (kernel,) = weights.pop(f"{block.name}_depthwise")
    factor, bias = folded_norm(weights.pop(f"{block.name}_depthwise_norm"), block.norm_epsilon)
    return kernel * factor[:, None], bias


def _folded(block: Block, form: Form) -> dict[str, float]:
    """What the kernels of a block's layers are multiplied by, because what they read is six times too large."""
    if form.hard_swish != "folded":
        return {}
    swish = _SIXTH if block.activation == "h_swish" else 1.0
    if block.kind == "mbconv":
        factors = {"depthwise": swish} if block.expand else {}
        factors |= {"project": swish * _SIXTH, "se_reduce": swish} if block.se_channels else {"project": swish}
    elif block.kind == "head":
        factors = {"feature": swish if block.mid_channels else 1.0} if block.feature_channels else {}
        factors["classifier"] = swish if block.mid_channels or block.feature_channels else 1.0
    else:
        # What a stem gives may be added to something else.
        return {}
    return {f"{block.name}_{part}": factor for part, factor in factors.items()}


def _activate(inputs, name: str, keras, form: Form, *, may_fold: bool = True):
    if name == "relu":
        return keras.layers.ReLU()(inputs)
    if name == "relu6":
        return keras.layers.ReLU(6.0)(inputs)
    if form.hard_swish == "fused":
        return inputs * (keras.layers.ReLU(6.0)(inputs + 3.0) * _SIXTH)
    if form.hard_swish == "folded" and may_fold:
        return inputs * keras.layers.ReLU(6.0)(inputs + 3.0)
    return (inputs * _SIXTH) * keras.layers.ReLU(6.0)(inputs + 3.0)


def _gate(inputs, keras, form: Form):
    """A hard sigmoid, or six times that."""
    gate = keras.layers.ReLU(6.0)(inputs + 3.0)
    return gate if form.hard_swish == "folded" else gate * _SIXTH


def _conv(inputs, block: Block, part: str, filters: int, kernel_size: int, stride: int, keras, form: Form):
    inputs, side, padding = _padded(inputs, kernel_size, stride, block, keras, form)
    layer = keras.layers.Conv2D(filters, side, stride, padding, use_bias=False, name=f"{block.name}_{part}")
    return layer(inputs)


def _padded(inputs, kernel_size: int, stride: int, block: Block, keras, form: Form):
    """What a convolution reads, the side of its kernel, and its own padding."""
    # At stride 1, SAME is the symmetric padding.
    if stride == 1 or form.padding == "same":
        return inputs, form.kernel_side(kernel_size, stride, block.input_size), "same"
    return keras.layers.ZeroPadding2D(kernel_size // 2)(inputs), kernel_size, "valid"


def _norm(inputs, block: Block, part: str, keras):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=block.norm_epsilon, name=f"{block.name}_{part}")(
        inputs
    )


def _stem(inputs, block: Block, keras, form: Form):
    outputs = _conv(inputs, block, "conv", block.out_channels, block.kernel_size, block.stride, keras, form)
    outputs = _activate(_norm(outputs, block, "norm", keras), block.activation, keras, form, may_fold=False)
    if block.residual:
        outputs = keras.layers.Add()([outputs, inputs])
    if block.pool:
        # Zeros never win: they come after an activation without negative values.
        outputs = keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(outputs))
    return outputs


def _bottleneck(inputs, block: Block, keras, form: Form):
    def normalized(outputs, part: str, filters: int, kernel_size: int = 1, stride: int = 1):
        outputs = _conv(outputs, block, part, filters, kernel_size, stride, keras, form)
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


def _depthwise(inputs, block: Block, keras, form: Form):
    """The depthwise convolution and its batch norm."""
    groups = _row_groups(block, form)
    if not groups:
        outputs, side, padding = _padded(inputs, block.kernel_size, block.stride, block, keras, form)
        layer = keras.layers.DepthwiseConv2D(
            side, block.stride, padding, use_bias=False, name=f"{block.name}_depthwise"
        )
        return _norm(layer(outputs), block, "depthwise_norm", keras)
    parts = []
    for first, count in groups:
        # The rows and columns that these rows of the kernel reach: zeros are added, or what they never reach left out.
        edges = []
        for begin, size in ((first, count), (0, block.kernel_size)):
            before = block.kernel_size // 2 - begin
            edges.append((before, (block.output_size - 1) * block.stride + size - block.input_size - before))
        part = inputs
        if min(map(min, edges)) < 0:
            part = keras.layers.Cropping2D([(max(-begin, 0), max(-end, 0)) for begin, end in edges])(part)
        if max(map(max, edges)) > 0:
            part = keras.layers.ZeroPadding2D([(max(begin, 0), max(end, 0)) for begin, end in edges])(part)
        layer = keras.layers.DepthwiseConv2D(
            (count, block.kernel_size), block.stride, "valid", use_bias=not parts, name=_row_name(block, first)
        )
        parts.append(layer(part))
    outputs = parts[0]
    for part in parts[1:]:
        outputs = keras.layers.Add()([outputs, part])
    return outputs


def _inverted_residual(inputs, block: Block, keras, form: Form):
    outputs = inputs
    if block.expand:
        outputs = _conv(outputs, block, "expand", block.mid_channels, 1, 1, keras, form)
        outputs = _activate(_norm(outputs, block, "expand_norm", keras), block.activation, keras, form)
    outputs = _activate(_depthwise(outputs, block, keras, form), block.activation, keras, form)
    if block.se_channels:
        pooled = keras.layers.GlobalAveragePooling2D()(outputs)
        squeezed = keras.layers.Dense(block.se_channels, activation="relu", name=f"{block.name}_se_reduce")(pooled)
        gate = _gate(keras.layers.Dense(block.mid_channels, name=f"{block.name}_se_expand")(squeezed), keras, form)
        outputs = outputs * keras.layers.Reshape((1, 1, block.mid_channels))(gate)
    outputs = _norm(
        _conv(outputs, block, "project", block.out_channels, 1, 1, keras, form), block, "project_norm", keras
    )
    return keras.layers.Add()([outputs, inputs]) if block.residual else outputs


def _head(inputs, block: Block, keras, form: Form):
    outputs = inputs
    if block.mid_channels:
        outputs = _norm(_conv(inputs, block, "conv", block.mid_channels, 1, 1, keras, form), block, "norm", keras)
        outputs = _activate(outputs, block.activation, keras, form)
    outputs = keras.layers.GlobalAveragePooling2D()(outputs)
    if block.feature_channels:
        outputs = keras.layers.Dense(block.feature_channels, use_bias=False, name=f"{block.name}_feature")(outputs)
        outputs = _activate(outputs, block.activation, keras, form)
    return keras.layers.Dense(block.out_channels, name=f"{block.name}_classifier")(outputs)


_BUILDERS = {"stem": _stem, "mbconv": _inverted_residual, "bottleneck": _bottleneck, "head": _head}
