"""Post-training quantization to int8, with ranges of our own."""

from collections.abc import Sequence

import keras
import numpy as np

from ofa_tf.common import InputError
from ofa_tf.deploy.activation_ranges import activation_ranges
from ofa_tf.deploy.border_types import with_border_types
from ofa_tf.deploy.convert import convert, quantize_ranged
from ofa_tf.deploy.float_graph import FloatGraph


def quantize(
    model: keras.Model,
    representative: Sequence[np.ndarray],
    *,
    input_type: str = "uint8",
    output_type: str = "uint8",
    batch_size: int = 1,
) -> bytes:
    """Quantizes a Keras model to an int8 TFLite file.

    Args:
        model: in a form for int8, that takes images as (x - 128) / 128.
        representative: float32 inputs of it, each (height, width, channels), -1 and 127/128 among their values.
        input_type: of the file, one of `BORDER_TYPES`.
        output_type: the same of its output.
        batch_size: images that the file takes at once.

    Raises:
        InputError: there is no representative input.
        OfaError: the converter refused.
    """
    if len(representative) == 0:
        raise InputError("quantization: no representative inputs; give at least one")
    graph = FloatGraph(convert(model, "float32", batch_size=batch_size))
    ranges = activation_ranges(graph, representative)
    data = quantize_ranged(graph.with_ranges(ranges))
    return with_border_types(data, input_type, output_type, ranges[graph.output])
