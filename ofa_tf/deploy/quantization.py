"""Post-training quantization to int8, by tf.lite or ai-edge-quantizer, with the worst layers left in float if asked."""

import dataclasses
import functools
from collections.abc import Sequence

import keras
import numpy as np

from ofa_tf.common import InputError
from ofa_tf.deploy.activation_ranges import activation_ranges
from ofa_tf.deploy.border_types import with_border_types
from ofa_tf.deploy.convert import convert, quantize_ranged
from ofa_tf.deploy.float_graph import FloatGraph
from ofa_tf.deploy.layer_error import LayerError
from ofa_tf.deploy.layer_errors import layer_errors, worst_layers
from ofa_tf.spaces.form import QUANTIZERS

# Representative inputs that layers are judged on: their order hardly changes with more.
_ERROR_INPUTS = 16


@dataclasses.dataclass(frozen=True)
class Quantized:
    """A quantized file, and what was found on the way.

    Args:
        data: the file.
        float_layers: names of the layers that stayed in float, the worst first.
        errors: of all layers, the worst first; empty where none were asked for.
    """

    data: bytes
    float_layers: tuple[str, ...] = ()
    errors: tuple[LayerError, ...] = ()


def quantize(
    model: keras.Model,
    representative: Sequence[np.ndarray],
    *,
    quantizer: str = "tflite",
    float_layers: int = 0,
    with_errors: bool = False,
    input_type: str = "uint8",
    output_type: str = "uint8",
    batch_size: int = 1,
) -> Quantized:
    """Quantizes a Keras model to an int8 TFLite file.

    Both quantizers get the same ranges of activations (`activation_ranges`), and give all but the same file.

    Args:
        model: in a form for int8, that takes images as (x - 128) / 128.
        representative: float32 inputs of it, each (height, width, channels), -1 and 127/128 among their values.
        quantizer: one of `QUANTIZERS`.
        float_layers: so many layers stay in float, those that cost the logits the most.
        with_errors: whether to measure the layers' errors also where none stays in float; takes about a second for each
            layer.
        input_type: of the file, one of `BORDER_TYPES`.
        output_type: the same of its output.
        batch_size: images that the file takes at once.

    Raises:
        InputError: there is no such quantizer, no representative input, or are not so many layers.
        OfaError: the converter or the quantizer refused.

    Example:
        data = quantize(model, representative, quantizer="ai_edge", float_layers=3).data
    """
    if quantizer not in QUANTIZERS:
        raise InputError(f"quantizer {quantizer!r} is unknown; known are {', '.join(QUANTIZERS)}")
    if len(representative) == 0:
        raise InputError("quantization: no representative inputs; give at least one")
    graph = FloatGraph(convert(model, "float32", batch_size=batch_size))
    if not 0 <= float_layers <= len(graph.layers):
        raise InputError(f"float_layers is {float_layers}, expected 0 to {len(graph.layers)}, the number of layers")
    ranges = activation_ranges(graph, representative)
    if quantizer == "tflite":
        work = functools.partial(quantize_ranged, graph.with_ranges(ranges))
    else:
        # Takes most of a second to import.
        from ofa_tf.deploy.edge_quantizer import quantize_by_recipe

        work = functools.partial(quantize_by_recipe, graph.data, ranges)
    errors, kept = [], []
    if float_layers or with_errors:
        errors = layer_errors(graph, ranges, work, representative[:_ERROR_INPUTS])
        kept = worst_layers(graph, errors, float_layers)
    data = work([operation for layer in kept for operation in layer.operations])
    data = with_border_types(data, input_type, output_type, ranges[graph.output])
    return Quantized(data, tuple(layer.name for layer in kept), tuple(errors))
