"""Networks that are trained as the integers they will be: the only module that imports tensorflow_model_optimization.

That package works with `tf_keras` alone and switches `tf.keras` over for its whole process: see `qat_process`.
"""

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras.quantize_wrapper import QuantizeWrapperV2
from tensorflow_model_optimization.python.core.quantization.keras.quantizers import LastValueQuantizer, Quantizer
from tensorflow_model_optimization.quantization.keras import QuantizeConfig

from ofa_tf.networks.plain import build_plain, folded_norm, formed_weights
from ofa_tf.spaces import Block

# Ranges are the mean over so many steps, at most.
_MEMORY_STEPS = 100
# Weights are symmetric integers of 8 bits without -128, one scale for each output channel.
_WEIGHTS = {"num_bits": 8, "per_axis": True, "symmetric": True, "narrow_range": True}

_layers = tf_keras.layers
# Integers pass through these as they are, so input and output have one range.
_MOVING = (
    _layers.AveragePooling2D,
    _layers.Cropping2D,
    _layers.MaxPooling2D,
    _layers.Reshape,
    _layers.ZeroPadding2D,
)
# The converter computes these in the operation before.
_FUSED = (_layers.BatchNormalization, _layers.ReLU)


class _FixedRange(Quantizer):
    """Rounds to 8 bits in a range that is known.

    Args:
        low: its lower end.
        high: its upper end.
    """

    def __init__(self, low: float, high: float):
        self.low, self.high = low, high

    def build(self, tensor_shape, name, layer):
        """No variables."""
        return {}

    def __call__(self, inputs, training, weights, **kwargs):
        """The rounded inputs."""
        return tf.quantization.fake_quant_with_min_max_args(inputs, self.low, self.high)

    def get_config(self):
        """The arguments."""
        return {"low": self.low, "high": self.high}


class _MeanRange(Quantizer):
    """Rounds to 8 bits in the mean range of the batches seen in training.

    tfmot's own begins at -6..6 and moves by a thousandth in each step: too slow for a few epochs.
    """

    def build(self, tensor_shape, name, layer):
        """The ends of the range, and how many batches they are the mean of."""
        return {
            part: layer.add_weight(f"{name}_{part}", shape=(), initializer="zeros", trainable=False)
            for part in ("low", "high", "steps")
        }

    def __call__(self, inputs, training, weights, **kwargs):
        """The rounded inputs; in training, the range moves first."""
        low, high = weights["low"], weights["high"]
        if training:
            kept = tf.minimum(weights["steps"], _MEMORY_STEPS - 1.0)
            for end, value in ((low, tf.reduce_min(inputs)), (high, tf.reduce_max(inputs))):
                value = tf.stop_gradient(value)
                # Zero is an integer, and paddings are zero.
                value = tf.minimum(value, 0.0) if end is low else tf.maximum(value, 0.0)
                end.assign((end * kept + value) / (kept + 1.0))
            weights["steps"].assign_add(1.0)
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)

    def get_config(self):
        """No arguments."""
        return {}


class _ChannelQuantizer(LastValueQuantizer):
    """Weights of a depthwise convolution, whose channels are not in the last axis."""

    def build(self, tensor_shape, name, layer):
        """One range for each channel."""
        return super().build(_channels_last(tensor_shape), name, layer)

    def __call__(self, inputs, training, weights, **kwargs):
        """The rounded weights."""
        moved = tf.reshape(inputs, _channels_last(inputs.shape))
        return tf.reshape(super().__call__(moved, training, weights, **kwargs), inputs.shape)


def _channels_last(shape) -> list[int]:
    height, width, channels, _ = shape
    return [height, width, 1, channels]


class _Quantization(QuantizeConfig):
    """How a layer is quantized.

    Args:
        weights: the name of the attribute with its kernel, None for a layer without.
        quantizer: of that.
        output: the quantizer of what it gives, None where the operation behind computes in integers, too.
    """

    def __init__(self, weights: str | None, quantizer: Quantizer | None, output: Quantizer | None):
        self.weights, self.quantizer, self.output = weights, quantizer, output

    def get_weights_and_quantizers(self, layer):
        """The kernel."""
        return [(getattr(layer, self.weights), self.quantizer)] if self.weights else []

    def set_quantize_weights(self, layer, quantize_weights):
        """Gives the layer the rounded kernel for this call."""
        if self.weights:
            setattr(layer, self.weights, quantize_weights[0])

    def get_activations_and_quantizers(self, layer):
        """None: a fused activation is part of the output."""
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        """Nothing."""

    def get_output_quantizers(self, layer):
        """The output's, if any."""
        return [self.output] if self.output else []

    def get_config(self):
        """The arguments."""
        return {"weights": self.weights, "quantizer": self.quantizer, "output": self.output}


class _Operation(_layers.Layer):
    """An inner operation of a hard-swish or of a gate, with the rounding of its own that makes it one of integers.

    Args:
        function: of tensors.
        output: the quantizer of what it gives, None for none.
    """

    def __init__(self, function, output: Quantizer | None, **options):
        super().__init__(**options)
        self.function, self.output_quantizer = function, output
        self.ranges = output.build(None, "output", self) if output else None

    def call(self, *operands, training=None, **options):
        """The function, rounded."""
        outputs = self.function(*operands, **options)
        return outputs if self.ranges is None else self.output_quantizer(outputs, training, self.ranges)


def quantized(blocks: list[Block], weights: dict[str, list[np.ndarray]], form: str) -> tf_keras.Model:
    """A network in which every value is rounded as in an int8 file; batch norms are in the weights before.

    What is trained is then what the file computes: a batch norm's own statistics would be another thing in training.

    Args:
        blocks: of the network, whose inputs are (x - 128) / 128.
        weights: by layer name, as `Supernet.plain_weights` gives them.
        form: how it is written, one of `common.form.FORMS`, "split" or "folded" (and more).
    """
    formed = formed_weights(blocks, weights, form)
    plain = build_plain(blocks, tf_keras, form=form)
    net = tf_keras.models.clone_model(plain, clone_function=_quantized_layer)
    # The input is a function of the file's border alone: scale 1/128 and zero point 128.
    images = tf_keras.Input(plain.input_shape[1:], name="images")
    border = _FixedRange(-1.0, 127 / 128)
    net = tf_keras.Model(images, net(_Operation(tf.identity, border, name="border")(images)), name="subnet")
    inner = {layer.name: layer for layer in net.layers[-1].layers}
    for layer in plain.layers:
        if layer.weights and not isinstance(layer, _layers.BatchNormalization):
            # Called, a wrapped layer holds its rounded kernel in the place of the variable.
            variables = {it.name.rpartition("/")[2]: it for it in inner[layer.name].trainable_weights}
            kernel, bias = _with_norm(layer, formed)
            variables[f"{_kernel_of(layer)}:0"].assign(kernel)
            variables["bias:0"].assign(bias)
    return net


def _consumers(layer) -> list:
    return [node.outbound_layer for node in layer.outbound_nodes]


def _kernel_of(layer) -> str | None:
    if isinstance(layer, _layers.DepthwiseConv2D):
        return "depthwise_kernel"
    return "kernel" if isinstance(layer, (_layers.Conv2D, _layers.Dense)) else None


def _with_norm(layer, formed: dict[str, list[np.ndarray]]) -> list[np.ndarray]:
    """Kernel and bias of a layer and the batch norm behind it."""
    kernel, *bias = formed[layer.name]
    (consumer,) = _consumers(layer)[:1] or [None]
    channels = kernel.shape[2] if isinstance(layer, _layers.DepthwiseConv2D) else kernel.shape[-1]
    if not isinstance(consumer, _layers.BatchNormalization):
        return [kernel, *(bias or [np.zeros(channels, np.float32)])]
    factor, bias = folded_norm(formed[consumer.name], consumer.epsilon)
    return [kernel * (factor[:, None] if isinstance(layer, _layers.DepthwiseConv2D) else factor), bias]


def _quantized_layer(layer):
    """What stands in a quantized network for a layer of the plain one."""
    output = None if isinstance(layer, _MOVING) or _fused_behind(layer) else _MeanRange()
    if hasattr(layer, "function"):
        return _Operation(layer.function, output, name=layer.name.replace("tf.", "").strip("_"))
    config = layer.get_config()
    if isinstance(layer, _layers.ReLU) and hasattr(layer.inbound_nodes[0].inbound_layers, "function"):
        # The gate of a hard-swish, relu6(x + 3): its whole range is used whatever the images.
        output = _FixedRange(0.0, float(config["max_value"]))
    if isinstance(layer, _layers.BatchNormalization):
        copied = _layers.Activation("linear", name=layer.name)
    else:
        kernel = _kernel_of(layer)
        copied = type(layer).from_config(config | ({"use_bias": True} if kernel else {}))
        if kernel:
            kind = _ChannelQuantizer if kernel == "depthwise_kernel" else LastValueQuantizer
            # The converter does not take a dense layer's weights with one scale for each output.
            per_axis = not isinstance(layer, _layers.Dense)
            quantizer = kind(**(_WEIGHTS | {"per_axis": per_axis}))
            return QuantizeWrapperV2(copied, _Quantization(kernel, quantizer, output), name=layer.name)
    return QuantizeWrapperV2(copied, _Quantization(None, None, output), name=layer.name) if output else copied


def _fused_behind(layer) -> bool:
    consumers = _consumers(layer)
    return len(consumers) == 1 and isinstance(consumers[0], _FUSED)
