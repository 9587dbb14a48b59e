"""Post-training quantization to int8, with ranges of our own.

tf.lite's own calibration is not used: it notes what an operation read after the operation ran, when one that writes
where it reads has overwritten it, and so finds ranges of which some are six times too wide (docs/results/int8.md,
"Ranges").
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils

from ofa_tf.common import InputError
from ofa_tf.common.quiet import captured_output
from ofa_tf.deploy.borders import serialized, text_of, with_borders
from ofa_tf.deploy.conversion import convert, quantize_ranged

# Of images, by the least and the greatest value that a tensor has for each.
_PERCENTILE = 90


def quantize(
    model: keras.Model,
    representative: Sequence[np.ndarray],
    *,
    input_type: str = "uint8",
    output_type: str = "uint8",
    outputs: str = "logits",
    batch_size: int = 1,
) -> bytes:
    """Quantizes a Keras model to an int8 TFLite file.

    Args:
        model: in a form for int8, that takes images as (x - 128) / 128.
        representative: float32 inputs of it, each (height, width, channels), -1 and 127/128 among their values.
        input_type: of the file, one of `INPUT_OUTPUT_TYPES`.
        output_type: the same of its output.
        outputs: "logits", what the model gives, or "probabilities", their softmax.
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
    return with_borders(data, input_type, output_type, outputs, ranges[graph.outputs[0]])


class FloatGraph:
    """The graph of a float32 file of one input."""

    def __init__(self, data: bytes):
        self.data = data
        self._model = flatbuffer_utils.read_model_from_bytearray(data)
        self._graph = self._model.subgraphs[0]
        self.input = self._name(self._graph.inputs[0])
        self.outputs = [self._name(tensor) for tensor in self._graph.outputs]

    @functools.cached_property
    def needed_ranges(self) -> dict[str, tuple[float, float]]:
        """The values that matter, by tensor, where not all do.

        x * relu6(x + 3) is zero for all x below -3: a range that ends there costs nothing, and is finer.
        """
        readers: dict[int, list[schema.OperatorT]] = {}
        for operator in self._graph.operators:
            for tensor in operator.inputs:
                readers.setdefault(tensor, []).append(operator)
        found = {}
        for tensor, reading in readers.items():
            gates = {operator.outputs[0] for operator in reading if self._is_gate(operator)}
            others = [operator for operator in reading if operator.outputs[0] not in gates]
            if not gates or self._constant(tensor) is not None:
                continue
            if all(self._multiplies(operator, gates) for operator in others):
                found[self._name(tensor)] = (-3.0, np.inf) if others else (-3.0, 3.0)
            elif len(others) == 1 and self._kind(others[0]) == "MUL":
                # x / 6, which only the gate multiplies.
                (sixth,) = others[0].outputs
                factors = [self._constant(part) for part in others[0].inputs]
                factor = next((value for value in factors if value is not None and value.size == 1), None)
                if factor is not None and factor > 0 and all(self._multiplies(o, gates) for o in readers[sixth]):
                    found[self._name(tensor)] = (-3.0, np.inf)
                    found[self._name(sixth)] = (-3.0 * float(factor.item()), np.inf)
        return found

    def with_ranges(self, ranges: Mapping[str, tuple[float, float]]) -> bytes:
        """The file with ranges of its tensors in it, as converters that quantize read them."""
        model = flatbuffer_utils.read_model_from_bytearray(self.data)
        for tensor in model.subgraphs[0].tensors:
            if text_of(tensor.name) in ranges:
                low, high = ranges[text_of(tensor.name)]
                tensor.quantization = schema.QuantizationParametersT()
                tensor.quantization.min, tensor.quantization.max = [float(low)], [float(high)]
        return serialized(model)

    def _kind(self, operator: schema.OperatorT) -> str:
        return flatbuffer_utils.opcode_to_name(self._model, operator.opcodeIndex)

    def _name(self, tensor: int) -> str:
        return text_of(self._graph.tensors[tensor].name)

    def _constant(self, tensor: int) -> np.ndarray | None:
        data = self._model.buffers[self._graph.tensors[tensor].buffer].data
        is_float = self._graph.tensors[tensor].type == schema.TensorType.FLOAT32
        return np.frombuffer(bytes(bytearray(data)), np.float32) if data is not None and is_float else None

    def _is_gate(self, operator: schema.OperatorT) -> bool:
        """Whether it is relu6(x + 3)."""
        if self._kind(operator) != "ADD":
            return False
        if operator.builtinOptions.fusedActivationFunction != schema.ActivationFunctionType.RELU6:
            return False
        constants = [self._constant(tensor) for tensor in operator.inputs]
        return any(value is not None and value.size == 1 and value.item() == 3 for value in constants)

    def _multiplies(self, operator: schema.OperatorT, gates: set[int]) -> bool:
        return self._kind(operator) == "MUL" and any(tensor in gates for tensor in operator.inputs)


def activation_ranges(graph: FloatGraph, inputs: Sequence[np.ndarray]) -> dict[str, tuple[float, float]]:
    """The range of every tensor that is worth an 8-bit scale.

    The ends are the 10th and 90th percentile, over the inputs, of the least and the greatest value that a tensor has
    for each: a few images would else make all others coarse. What does not matter (`FloatGraph.needed_ranges`) is left
    out. Input and output keep all that occurred.
    """
    ends: dict[str, list[tuple[float, float]]] = {}
    for tensors in inner_tensors(graph.data, inputs):
        for name, values in tensors.items():
            ends.setdefault(name, []).append((float(values.min()), float(values.max())))
    ranges = {}
    for name, found in ends.items():
        lows, highs = np.array(found).T
        if name == graph.input or name in graph.outputs:
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
