"""`FloatGraph`: what a float32 TFLite file consists of."""

import functools
from collections.abc import Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils


class FloatGraph:
    """The graph of a float32 file of one input and one output.

    Args:
        data: the file.

    Example:
        FloatGraph(convert(model, "float32")).needed_ranges
    """

    def __init__(self, data: bytes):
        self.data = data
        self._model = flatbuffer_utils.read_model_from_bytearray(data)
        self._graph = self._model.subgraphs[0]
        self.input = self._name(self._graph.inputs[0])
        self.output = self._name(self._graph.outputs[0])

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
            if text(tensor.name) in ranges:
                low, high = ranges[text(tensor.name)]
                tensor.quantization = schema.QuantizationParametersT()
                tensor.quantization.min, tensor.quantization.max = [float(low)], [float(high)]
        return bytes(flatbuffer_utils.convert_object_to_bytearray(model))

    def _kind(self, operator: schema.OperatorT) -> str:
        return flatbuffer_utils.opcode_to_name(self._model, operator.opcodeIndex)

    def _name(self, tensor: int) -> str:
        return text(self._graph.tensors[tensor].name)

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


def text(name: bytes | str) -> str:
    """A name in a flatbuffer, which comes in either type."""
    return name.decode() if isinstance(name, bytes) else name
