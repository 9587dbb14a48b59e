"""Keras models to TFLite files: the only module that touches `tf.lite`."""

from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from ofa_tf.common import InputError, OfaError
from ofa_tf.deploy.captured_output import captured_output

PRECISIONS = ("float32", "float16", "dynamic", "int8")

# How much of the converter's own words an error repeats: the cause stands at their end.
_ERROR_CHARACTERS = 300


def default_form(precision: str) -> str:
    """The form (one of `spaces.form.FORMS`) that XNNPACK runs fastest in a precision.

    Source: tflite_notes.md, "Hard-swish in int8"; `python -m benchmarks.int8_forms`, docs/results/int8.md.
    """
    return "folded-rows" if check_precision(precision) == "int8" else "fused-rows"


def check_precision(precision: str) -> str:
    """Returns the precision; raises `InputError` where it is unknown."""
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is unknown; known are {', '.join(PRECISIONS)}")
    return precision


def convert(
    model: keras.Model,
    precision: str,
    *,
    representative: Iterable[np.ndarray] | None = None,
    trained_ranges: bool = False,
    prepare: Callable[[tf.Tensor], tf.Tensor] | None = None,
    input_type: str = "int8",
    output_type: str = "int8",
) -> bytes:
    """Converts a Keras model to a TFLite file for one image at a time, without a word on the terminal.

    Args:
        model: a functional model of one input with static height, width and channels.
        precision: "float32"; "float16" (weights stored in 16 bits); "dynamic" (weights in 8 bits, computed in float
            where the runtime cannot do better); "int8" (weights, activations and arithmetic in 8 bits).
        representative: for "int8", float32 inputs of the model, each (height, width, channels), from which the
            ranges of all activations are taken.
        trained_ranges: for "int8" instead, a model that rounds all its values itself, in ranges that it was trained in.
        prepare: what the graph does to uint8 images before the model, for the float precisions: the file then takes
            uint8. Without it the file takes what the model takes.
        input_type: "int8" or "uint8", of the file's input in "int8".
        output_type: the same of its output.

    Returns:
        The file's bytes.

    Raises:
        InputError: the precision is unknown, or representative inputs are missing.
        OfaError: the converter refused; the message ends with what it wrote.

    Example:
        data = convert(net.extract(arch), "float16")
    """
    check_precision(precision)
    if (representative is not None) + trained_ranges != (precision == "int8"):
        raise InputError(
            f"conversion to {precision}: representative inputs, or trained ranges, are for int8, and needed there"
        )
    if precision == "int8" and prepare is not None:
        raise InputError("conversion to int8: the input's scale normalizes images; fold the rest into the weights")
    function = _concrete_function(model, prepare)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    # Writing and reading a SavedModel is most of the time that a small model takes.
    converter.experimental_lower_to_saved_model = False
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    # With the operations of int8 set, the converter would ask for representative inputs whatever the model rounds.
    if precision == "int8" and not trained_ranges:
        inputs = [np.asarray(image, np.float32)[None] for image in representative]
        if not inputs:
            raise InputError("conversion to int8: no representative inputs; give at least one")
        converter.representative_dataset = lambda: ([image] for image in inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if precision == "int8":
        converter.inference_input_type = tf.as_dtype(input_type)
        converter.inference_output_type = tf.as_dtype(output_type)
    with captured_output() as written:
        try:
            return converter.convert()
        except Exception as error:
            words = " ".join(f"{written()} {error}".split())[-_ERROR_CHARACTERS:]
            raise OfaError(f"conversion of {model.name} to {precision} failed: ...{words}") from error


def _concrete_function(model: keras.Model, prepare: Callable | None):
    shape = (1, *model.inputs[0].shape[1:])
    signature = [tf.TensorSpec(shape, tf.float32 if prepare is None else tf.uint8, name="images")]

    def forward(images):
        return model(images if prepare is None else prepare(images), training=False)

    return tf.function(forward, input_signature=signature, autograph=False).get_concrete_function()
