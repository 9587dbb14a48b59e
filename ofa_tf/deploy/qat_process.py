"""The process in which a quantized network is trained; `deploy.qat` starts it, and nothing imports it.

What tensorflow_model_optimization needs, `tf_keras`, must not meet the Keras of the calling process, for which it
switches `tf.keras` over. The job's folder says what to train (`job.json`, `weights.npz`). Batches come on stdin, as
bytes, and each is answered; at the end the folder holds `model.tflite`.
"""

import pathlib
import sys

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras.quantize_wrapper import QuantizeWrapperV2
from tensorflow_model_optimization.python.core.quantization.keras.quantizers import LastValueQuantizer, Quantizer
from tensorflow_model_optimization.quantization.keras import QuantizeConfig

from ofa_tf.common import InputError, RecordFormat, load_npz, read_json
from ofa_tf.common.child import Answer
from ofa_tf.common.config import check_whole
from ofa_tf.deploy.conversion import convert
from ofa_tf.networks.plain import build_plain, folded_norm, formed_weights
from ofa_tf.spaces import Block

_FORMAT = RecordFormat(
    "ofa_tf quantization-aware training",
    "delete it to begin anew, or give the former settings to resume",
    former=(None,),
)
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


def train(answer: Answer, name: str) -> None:
    """Trains the job of a folder."""
    folder = pathlib.Path(name)
    job = read_json(folder / "job.json", "job of quantization-aware training")
    weights: dict[str, list[np.ndarray]] = {}
    for key, values in load_npz(folder / "weights.npz").items():
        weights.setdefault(key.rpartition("/")[0], []).append(values)
    net = quantized([Block(**block) for block in job["blocks"]], weights, job["form"])
    schedule = tf_keras.optimizers.schedules.CosineDecay(job["learning_rate"], job["steps"])
    optimizer = tf_keras.optimizers.Adam(schedule)
    optimizer.build(net.trainable_variables)
    epoch = _resumed(job, net, optimizer)
    step_of = _traced_step(net, optimizer)
    answer(epoch=epoch)
    if epoch == 0:
        for _ in range(job["range_batches"]):
            images, _ = _batch(job)
            net(_inputs(images), training=True)
            answer()
    for step in range(epoch * job["epoch_steps"], job["steps"]):
        loss, agreement = step_of(*_batch(job))
        if (step + 1) % job["epoch_steps"] == 0:
            _save(job, net, optimizer, (step + 1) // job["epoch_steps"])
        answer(loss=float(loss), agreement=float(agreement))
    data = convert(net, "int8", trained_ranges=True, input_type="float32", output_type="float32")
    (folder / "model.tflite").write_bytes(data)
    answer()


def _batch(job: dict) -> tuple[np.ndarray, np.ndarray]:
    """The next images, uint8 (batch, r, r, 3), and the float network's logits, float32 (batch, classes)."""
    side, classes = job["blocks"][0]["input_size"], job["blocks"][-1]["out_channels"]
    arrays = []
    for shape, kind in (((side, side, 3), np.uint8), ((classes,), np.float32)):
        values = np.empty((job["batch_size"], *shape), kind)
        if sys.stdin.buffer.readinto(memoryview(values).cast("B")) < values.nbytes:
            # The calling process is gone, and with it whoever wants to know.
            sys.exit(1)
        arrays.append(values)
    return tuple(arrays)


def _inputs(images: tf.Tensor) -> tf.Tensor:
    return (tf.cast(images, tf.float32) - 128.0) / 128.0


def _traced_step(net, optimizer):
    """One step towards the float network's outputs; gives the divergence from them and the share of equal classes."""

    @tf.function(autograph=False)
    def step(images, expected):
        variables = net.trainable_variables
        target = tf.nn.log_softmax(expected)
        with tf.GradientTape() as tape:
            logits = net(_inputs(images), training=True)
            difference = target - tf.nn.log_softmax(logits)
            loss = tf.reduce_mean(tf.reduce_sum(tf.exp(target) * difference, axis=1))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        equal = tf.equal(tf.argmax(logits, 1), tf.argmax(expected, 1))
        return loss, tf.reduce_mean(tf.cast(equal, tf.float32))

    return step


def _state(net, optimizer) -> dict[str, tf.Variable]:
    variables = [("net", net.variables), ("optimizer", optimizer.variables)]
    return {f"{part}/{index}": variable for part, found in variables for index, variable in enumerate(found)}


def _save(job: dict, net, optimizer, epoch: int) -> None:
    if job["checkpoint"]:
        arrays = {name: variable.numpy() for name, variable in _state(net, optimizer).items()}
        _FORMAT.save_npz(job["checkpoint"], {"identity": job["identity"], "epoch": epoch}, arrays)


def _resumed(job: dict, net, optimizer) -> int:
    """Restores an interrupted run; returns how many epochs are done."""
    path = job["checkpoint"]
    if not path or not pathlib.Path(path).is_file():
        return 0
    fields, arrays = _FORMAT.load_npz(path)
    with _FORMAT.reading(path):
        if fields["identity"] != job["identity"]:
            raise InputError("is of another network, other images or another recipe")
        for name, variable in _state(net, optimizer).items():
            variable.assign(arrays[name])
        check_whole("epoch", fields["epoch"], 1)
        return fields["epoch"]


class _FixedRange(Quantizer):
    """Rounds to 8 bits in a range that is known."""

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
    """How a layer is quantized."""

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
    """An inner operation of a hard-swish or of a gate, with the rounding of its own that makes it one of integers."""

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
    Inputs are (x - 128) / 128.
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
