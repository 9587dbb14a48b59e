"""Plain Keras models from lists of blocks: the one place where a block becomes standard layers.

`keras` for users, `tf_keras` for quantization-aware training, one block at a time for the bench: the Keras module is an
argument. Layers are named `<block>_<part>`; `Supernet.plain_weights` uses the same names.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.common.form import FEATURE_NAMES, Form
from ofa_tf.spaces import Block, Operation, operations

_SIXTH = 1.0 / 6.0


def build_plain(
    blocks: Sequence[Block], keras: Any, *, form: str = "fused", outputs: str = "logits", batch_size: int | None = None
):
    """A functional Keras model of standard layers that runs the blocks one after the other.

    Args:
        blocks: what `Space.blocks` gives, or any part of it (one block is a model, too).
        keras: the Keras module to build with.
        form: one of `common.form.FORMS`; for its weights, see `formed_weights`.
        outputs: "logits", the output of the last block, or "features", of those before a head.
        batch_size: fixed batch size of the input, None for any.

    Returns:
        A model from normalized float32 images (batch, input_size, input_size, in_channels) of the first block to the
        output of the last (logits, where that is a head); or to a dict of feature maps, the last ones of each stride,
        by their names in `common.form.FEATURE_NAMES`.

    Example:
        model = build_plain(space.blocks(arch), keras)
    """
    if outputs not in ("logits", "features"):
        raise InputError(f"plain model: outputs is {outputs!r}, expected logits or features")
    first = blocks[0]
    shape = (first.input_size, first.input_size, first.in_channels)
    inputs = last = keras.Input(shape, batch_size=batch_size, name="images")
    features, stride = {}, 1
    for block in blocks:
        if outputs == "features" and block.kind == "head":
            break
        tensors = [last]
        for operation in operations(block, Form.parse(form)):
            read = [tensors[number] for number in operation.reads]
            tensors.append(_written(keras, operation, block, *read))
        last = tensors[-1]
        stride *= block.stride * (2 if block.pool else 1)
        if stride in FEATURE_NAMES:
            features[FEATURE_NAMES[stride]] = last
    return keras.Model(inputs, features if outputs == "features" else last, name="subnet")


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
    formed = {name: list(values) for name, values in weights.items()}
    for block in blocks:
        for operation in operations(block, Form.parse(form)):
            name = f"{block.name}_{operation.name}"
            factor = np.float32(operation.factor)
            if operation.first_row is not None:
                whole = name.rpartition("_rows")[0]
                # A sum has no batch norm to take into itself.
                scale, bias = folded_norm(weights[f"{whole}_norm"], block.norm_epsilon)
                kernel = weights[whole][0] * factor * scale[:, None]
                for replaced in (whole, f"{whole}_norm"):
                    formed.pop(replaced, None)
                rows = slice(operation.first_row, operation.first_row + operation.kernel[0])
                formed[name] = [kernel[rows], bias][: 1 + operation.bias]
            elif operation.kind in ("conv", "depthwise"):
                more = operation.kernel[0] - formed[name][0].shape[0]
                formed[name][0] = np.pad(formed[name][0] * factor, ((0, more), (0, more), (0, 0), (0, 0)))
            elif operation.kind == "dense":
                formed[name][0] = formed[name][0] * factor
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


def _written(keras, operation: Operation, block: Block, inputs, *others):
    """What standard layers give for an operation, of what it reads."""
    layers, name = keras.layers, f"{block.name}_{operation.name}"
    window = operation.kernel, operation.stride, operation.padding
    match operation.kind:
        case "conv":
            return layers.Conv2D(operation.out_channels, *window, use_bias=operation.bias, name=name)(inputs)
        case "depthwise":
            return layers.DepthwiseConv2D(*window, use_bias=operation.bias, name=name)(inputs)
        case "dense":
            return layers.Dense(operation.out_channels, use_bias=operation.bias, name=name)(inputs)
        case "norm":
            return layers.BatchNormalization(momentum=0.9, epsilon=block.norm_epsilon, name=name)(inputs)
        case "pad":
            return layers.ZeroPadding2D(operation.edges)(inputs)
        case "crop":
            return layers.Cropping2D(operation.edges)(inputs)
        case "max_pool":
            return layers.MaxPooling2D(*window)(inputs)
        case "average_pool":
            return layers.AveragePooling2D(*window)(inputs)
        case "global_pool":
            return layers.GlobalAveragePooling2D()(inputs)
        case "add":
            return layers.Add()([inputs, *others])
        case "multiply":
            (factor,) = others
            is_gate = len(factor.shape) < len(inputs.shape)
            return inputs * (layers.Reshape((1, 1, operation.out_channels))(factor) if is_gate else factor)
        case "sixth":
            return inputs * _SIXTH
        case "relu":
            return layers.ReLU()(inputs)
        case "relu6":
            return layers.ReLU(6.0)(inputs)
        case "shifted_relu6":
            return layers.ReLU(6.0)(inputs + 3.0)
        case "hard_swish":
            # What TFLite recognises as one operation.
            return inputs * (layers.ReLU(6.0)(inputs + 3.0) * _SIXTH)
    return layers.Activation(operation.kind)(inputs)
