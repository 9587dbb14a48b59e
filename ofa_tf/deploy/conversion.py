"""Keras models to TFLite files: the only module that touches `tf.lite`."""

from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from ofa_tf.common import InputError, OfaError
from ofa_tf.common.form import PRECISIONS, precision_of
from ofa_tf.common.quiet import captured_output

_OPERATIONS = {
    "int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    "int16x8": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
}
# How much of the converter's own words an error repeats: the cause stands at their end.
_ERROR_CHARACTERS = 300


def convert(
    model: keras.Model,
    precision: str,
    *,
    representative: Iterable[np.ndarray] | None = None,
    trained_ranges: bool = False,
    prepare: Callable[[tf.Tensor], tf.Tensor] | None = None,
    input_type: str | None = None,
    output_type: str | None = None,
    batch_size: int = 1,
) -> bytes:
    """Converts a Keras model to a TFLite file, without a word on the terminal.

    Args:
        model: a functional model of one input with static height, width and channels.
        precision: "float32"; "float16" (weights stored in 16 bits); "dynamic" (weights in 8 bits, computed in float
            where the runtime cannot do better); "int8" (weights, activations and arithmetic in 8 bits); "int16x8"
            (weights in 8 bits, activations in 16; the file takes and gives float32).
        representative: for "int8" and "int16x8", float32 inputs of the model, each (height, width, channels), from
            which the ranges of all activations are taken.
        trained_ranges: for "int8" instead, a model that rounds all its values itself, in ranges that it was trained in.
        prepare: what the graph does to images before the model, for the float precisions. Without it the file takes
            what the model takes.
        input_type: of the file. For "int8" one of `INPUT_OUTPUT_TYPES`, "int8" unless given; with `prepare` "uint8" or
            "float32", "uint8" unless given.
        output_type: of a file in "int8", one of `INPUT_OUTPUT_TYPES`, "int8" unless given.
        batch_size: images that the file takes at once.

    Returns:
        The file's bytes.

    Raises:
        InputError: the precision is unknown, or representative inputs are missing.
        OfaError: the converter refused; the message ends with what it wrote.

    Example:
        data = convert(net.extract(arch), "float16")
    """
    integer = precision_of(precision).integer
    if integer != (representative is not None) + trained_ranges or (trained_ranges and precision != "int8"):
        raise InputError(
            f"conversion to {precision}: representative inputs (or, for int8, trained ranges) are needed for "
            f"{' and '.join(name for name, it in PRECISIONS.items() if it.integer)}, and only there"
        )
    if integer and prepare is not None:
        raise InputError(
            f"conversion to {precision}: the input's scale normalizes images; fold the rest into the weights"
        )
    taken = "float32" if prepare is None else input_type or "uint8"
    function = _concrete_function(model, prepare, (batch_size, *model.inputs[0].shape[1:]), taken)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    # Writing and reading a SavedModel is most of the time that a small model takes.
    converter.experimental_lower_to_saved_model = False
    # Runtimes up to 2.9 read dense weights with a scale for each output as if they had one, and say nothing.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    # With the operations of int8 set, the converter would ask for representative inputs whatever the model rounds.
    if integer and not trained_ranges:
        inputs = [np.asarray(image, np.float32)[None].repeat(batch_size, axis=0) for image in representative]
        if not inputs:
            raise InputError(f"conversion to {precision}: no representative inputs; give at least one")
        converter.representative_dataset = lambda: ([image] for image in inputs)
        converter.target_spec.supported_ops = [_OPERATIONS[precision]]
    if precision == "int8":
        converter.inference_input_type = tf.as_dtype(input_type or "int8")
        converter.inference_output_type = tf.as_dtype(output_type or "int8")
    with captured_output() as written:
        try:
            return converter.convert()
        except Exception as error:
            words = " ".join(f"{written()} {error}".split())[-_ERROR_CHARACTERS:]
            raise OfaError(f"conversion of {model.name} to {precision} failed: ...{words}") from error


def quantize_ranged(data: bytes) -> bytes:
    """Quantizes a float32 file with the ranges of all that operations write in it; it takes and gives float32 still."""
    with captured_output() as written:
        try:
            # What `QuantizationDebugger.get_nondebug_quantized_model` calls, after a calibration of its own.
            return mlir_quantize(data, disable_per_channel_for_dense_layers=True)
        except Exception as error:
            words = " ".join(f"{written()} {error}".split())[-_ERROR_CHARACTERS:]
            raise OfaError(f"quantization by tf.lite failed: ...{words}") from error


def _concrete_function(model: keras.Model, prepare: Callable | None, shape: tuple[int, ...], input_type: str):
    signature = [tf.TensorSpec(shape, input_type, name="images")]

    def forward(images):
        return model(images if prepare is None else prepare(images), training=False)

    return tf.function(forward, input_signature=signature, autograph=False).get_concrete_function()
