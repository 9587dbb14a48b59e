"""What a quantized file takes and gives."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

_TYPES = {"uint8": schema.TensorType.UINT8, "int8": schema.TensorType.INT8}
# Of images, 0..255, as (x - 128) / 128.
_IMAGE_SCALE = 1 / 128
_STEPS = 255


def with_border_types(data: bytes, input_type: str, output_type: str, output_range: tuple[float, float]) -> bytes:
    """A quantized file with other types at its borders.

    Args:
        data: a file of one float32 input and one float32 output, quantized inside.
        input_type: one of `BORDER_TYPES`; "uint8" stands for (x - 128) / 128.
        output_type: the same of the output.
        output_range: the least and the greatest output, for the scale of one that is computed in float.

    Example:
        with_border_types(data, "uint8", "uint8", (-8.0, 8.0))
    """
    model = flatbuffer_utils.read_model_from_bytearray(data)
    if input_type != "float32":
        _set_input(model, input_type)
    if output_type != "float32":
        _set_output(model, output_type, output_range)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def with_image_input(data: bytes) -> bytes:
    """A file with uint8 images in place of its float32 input, which they become as (x - 128) / 128.

    For "int16x8": no runtime quantizes bytes to 16 bits at once.
    """
    model = flatbuffer_utils.read_model_from_bytearray(data)
    _set_image_input(model, "uint8")
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _set_image_input(model: schema.ModelT, kind: str) -> None:
    graph = model.subgraphs[0]
    taken = int(graph.inputs[0])
    added = _add_tensor(graph, taken, kind, _IMAGE_SCALE, 0)
    graph.operators.insert(0, _operator(model, "DEQUANTIZE", added, taken))
    graph.inputs = [added]


def _set_input(model: schema.ModelT, kind: str) -> None:
    graph = model.subgraphs[0]
    taken = int(graph.inputs[0])
    readers = [operator for operator in graph.operators if taken in operator.inputs]
    quantizing = [operator for operator in readers if _kind(model, operator) == "QUANTIZE"]
    integers = [int(operator.outputs[0]) for operator in quantizing]
    if len(quantizing) == len(readers) == 1 and kind == "int8":
        graph.operators.remove(quantizing[0])
        graph.inputs = integers
    elif len(quantizing) == len(readers):
        _make_integer(graph.tensors[taken], kind, _IMAGE_SCALE, 0)
    else:
        # Something computes in float from the input on.
        _set_image_input(model, kind)


def _set_output(model: schema.ModelT, kind: str, output_range: tuple[float, float]) -> None:
    graph = model.subgraphs[0]
    given = int(graph.outputs[0])
    (writer,) = (operator for operator in graph.operators if given in operator.outputs)
    if _kind(model, writer) == "DEQUANTIZE":
        integer = int(writer.inputs[0])
        if kind == "int8":
            graph.operators.remove(writer)
            graph.outputs = [integer]
            return
        quantization = graph.tensors[integer].quantization
        _make_integer(graph.tensors[given], kind, quantization.scale[0], quantization.zeroPoint[0])
        writer.opcodeIndex, writer.builtinOptions = _code(model, "QUANTIZE"), None
        writer.builtinOptionsType = schema.BuiltinOptions.NONE
        return
    scale = (output_range[1] - output_range[0]) / _STEPS or 1.0
    added = _add_tensor(graph, given, kind, scale, round(-128 - output_range[0] / scale))
    graph.operators.append(_operator(model, "QUANTIZE", given, added))
    graph.outputs = [added]


def _make_integer(tensor: schema.TensorT, kind: str, scale: float, zero_point: int) -> None:
    """Gives a tensor an integer type; the zero point is that of "int8"."""
    tensor.type = _TYPES[kind]
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = [float(scale)]
    tensor.quantization.zeroPoint = [int(zero_point) + (128 if kind == "uint8" else 0)]


def _add_tensor(graph: schema.SubGraphT, like: int, kind: str, scale: float, zero_point: int) -> int:
    tensor = schema.TensorT()
    tensor.name, tensor.buffer = b"border_" + _bytes(graph.tensors[like].name), 0
    tensor.shape = np.array(graph.tensors[like].shape, np.int32)
    _make_integer(tensor, kind, scale, zero_point)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _operator(model: schema.ModelT, kind: str, taken: int, given: int) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = _code(model, kind), [taken], [given]
    return operator


def _code(model: schema.ModelT, kind: str) -> int:
    for place in range(len(model.operatorCodes)):
        if flatbuffer_utils.opcode_to_name(model, place) == kind:
            return place
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
    code.version = 2
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _kind(model: schema.ModelT, operator: schema.OperatorT) -> str:
    return flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)


def _bytes(name: bytes | str) -> bytes:
    return name if isinstance(name, bytes) else name.encode()
