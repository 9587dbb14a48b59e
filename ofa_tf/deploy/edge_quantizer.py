"""Quantization by `ai-edge-quantizer`: the only module that touches it."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import qtyping, quantizer, recipe

from ofa_tf.common import OfaError
from ofa_tf.deploy.captured_output import captured_output

_KEEP = "no_quantize"
_ALL = qtyping.TFLOperationName.ALL_SUPPORTED
_BORDERS = (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT)


def quantize_by_recipe(
    data: bytes, ranges: Mapping[str, tuple[float, float]], float_operations: Sequence[str] = ()
) -> bytes:
    """Quantizes a file by the recipe `static_wi8_ai8`: weights and activations in 8 bits, weights by channel.

    Args:
        data: a float32 TFLite file.
        ranges: least and greatest value, by the name of the tensor, of all that operations write.
        float_operations: those that stay in float, each by the name of the tensor that it writes.

    Returns:
        A file that takes and gives float32.

    Raises:
        OfaError: the quantizer refused.

    Example:
        quantize_by_recipe(graph.data, activation_ranges(graph, inputs))
    """
    with captured_output() as written:
        try:
            work = quantizer.Quantizer(data, recipe.static_wi8_ai8())
            for border in _BORDERS:
                work.update_quantization_recipe(".*", border, algorithm_key=_KEEP)
            if float_operations:
                # An operation's scope is the names of all that it writes, each with a semicolon.
                names = "|".join(map(re.escape, float_operations))
                work.update_quantization_recipe(f"^(?:{names});?$", _ALL, algorithm_key=_KEEP)
            found = {name: {"min": np.array([low]), "max": np.array([high])} for name, (low, high) in ranges.items()}
            result = work.quantize(found, enable_progress_report=False)
        except Exception as error:
            words = " ".join(f"{written()} {error}".split())[-300:]
            raise OfaError(f"quantization by ai-edge-quantizer failed: ...{words}") from error
    # It puts the weights behind the flatbuffer, where not all readers look.
    model = flatbuffer_utils.read_model_from_bytearray(bytes(result.quantized_model))
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
