"""The ranges that activations are quantized in, and how they are found: by running the float32 file.

tf.lite's own calibration is not used: it notes what an operation read after the operation ran, when one that writes
where it reads has overwritten it, and so finds ranges of which some are six times too wide (docs/results/int8.md,
"Ranges").
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils

from ofa_tf.deploy.captured_output import captured_output
from ofa_tf.deploy.float_graph import FloatGraph

# Of images, by the least and the greatest value that a tensor has for each.
_PERCENTILE = 90


def activation_ranges(graph: FloatGraph, inputs: Sequence[np.ndarray]) -> dict[str, tuple[float, float]]:
    """The range of every tensor that is worth an 8-bit scale.

    The ends are the 10th and 90th percentile, over the inputs, of the least and the greatest value that a tensor has
    for each: a few images would else make all others coarse. What does not matter (`FloatGraph.needed_ranges`) is left
    out. Input and output keep all that occurred.

    Args:
        graph: of the float32 file.
        inputs: float32 representative inputs, each (height, width, channels).

    Returns:
        (least, greatest) by the name of the tensor.

    Source: docs/results/int8.md, "Ranges".
    """
    ends: dict[str, list[tuple[float, float]]] = {}
    for tensors in inner_tensors(graph.data, inputs):
        for name, values in tensors.items():
            ends.setdefault(name, []).append((float(values.min()), float(values.max())))
    ranges = {}
    for name, found in ends.items():
        lows, highs = np.array(found).T
        if name in (graph.input, graph.output):
            ranges[name] = (float(lows.min()), float(highs.max()))
            continue
        low, high = np.percentile(lows, 100 - _PERCENTILE), np.percentile(highs, _PERCENTILE)
        needed = graph.needed_ranges.get(name, (-np.inf, np.inf))
        # Ranges hold zero, as quantization needs.
        ranges[name] = (min(0.0, max(float(low), needed[0])), max(0.0, min(float(high), needed[1])))
    return ranges


def inner_tensors(data: bytes, inputs: Iterable[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Runs a file, and gives what each operation wrote, by name; integers are dequantized.

    Without XNNPACK, which keeps the tensors inside its partitions to itself, and with memory of its own for every
    tensor: operations that write where they read would else have overwritten it.

    Args:
        data: a TFLite file of one input.
        inputs: float32 or integer inputs as the file takes them, each (height, width, channels).

    Yields:
        float32 arrays by the name of the tensor, the input first: of one input of the file after the other.
    """
    with captured_output():
        interpreter = Interpreter(
            model_content=data,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    graph = flatbuffer_utils.read_model_from_bytearray(data).subgraphs[0]
    written = [taken["index"], *(int(tensor) for operator in graph.operators for tensor in operator.outputs)]
    for image in inputs:
        interpreter.set_tensor(taken["index"], np.broadcast_to(image, taken["shape"]))
        interpreter.invoke()
        yield {
            details[index]["name"]: _dequantized(interpreter.get_tensor(index), *details[index]["quantization"])
            for index in written
        }


def _dequantized(values: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    return (values.astype(np.float32) - zero_point) * np.float32(scale) if scale else values
