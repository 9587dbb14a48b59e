"""What a file takes and gives: types, quantization and softmax at its borders, written into the finished graph."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

_TYPES = {"uint8": schema.TensorType.UINT8, "int8": schema.TensorType.INT8}
# Of images, 0..255, as (x - 128) / 128.
_IMAGE_SCALE = 1 / 128
_STEPS = 255
# Where the schema lets the bytes of a buffer begin (`force_align`), so that kernels read weights in place.
_BUFFER_ALIGNMENT = 16
# What every runtime expects of a softmax in 8 bits.
_PROBABILITY_SCALE, _PROBABILITY_ZERO_POINT = 1 / 256, -128


def with_borders(
    data: bytes, input_type: str, output_type: str, outputs: str, logits_range: tuple[float, float] | None = None
) -> bytes:
    """A quantized file of float32 borders with other types, and "probabilities" where `outputs` says so.

    The range is needed for logits that are computed in float.
    """
    model = flatbuffer_utils.read_model_from_bytearray(data)
    if outputs == "probabilities":
        _add_softmax(model, output_type)
        logits_range = (0.0, _STEPS * _PROBABILITY_SCALE)
    if input_type != "float32":
        _set_input(model, input_type)
    if output_type != "float32":
        _set_output(model, output_type, logits_range)
    return serialized(model)


def with_probabilities(data: bytes) -> bytes:
    """A file that gives float32 logits, with their softmax in their place."""
    model = flatbuffer_utils.read_model_from_bytearray(data)
    _add_softmax(model, "float32")
    return serialized(model)


def with_image_input(data: bytes) -> bytes:
    """A file with uint8 images in place of its float32 input, which they become as (x - 128) / 128.

    For "int16x8": no runtime quantizes bytes to 16 bits at once.
    """
    model = flatbuffer_utils.read_model_from_bytearray(data)
    _set_image_input(model, "uint8")
    return serialized(model)


def _set_image_input(model: schema.ModelT, kind: str) -> None:
    graph = model.subgraphs[0]
    taken = int(graph.inputs[0])
    added = _add_tensor(graph, taken, kind, _IMAGE_SCALE, 0)
    graph.operators.insert(0, _operator(model, "DEQUANTIZE", 2, added, taken))
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


def _set_output(model: schema.ModelT, kind: str, output_range: tuple[float, float] | None) -> None:
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
        writer.opcodeIndex, writer.builtinOptions = _code(model, "QUANTIZE", 1), None
        writer.builtinOptionsType = schema.BuiltinOptions.NONE
        return
    scale = (output_range[1] - output_range[0]) / _STEPS or 1.0
    added = _add_tensor(graph, given, kind, scale, round(-128 - output_range[0] / scale))
    graph.operators.append(_operator(model, "QUANTIZE", 1, given, added))
    graph.outputs = [added]


def _add_softmax(model: schema.ModelT, output_type: str) -> None:
    """In 8 bits where the logits are so and the file is to give such; else of float numbers, which are finer."""
    graph = model.subgraphs[0]
    given = int(graph.outputs[0])
    (writer,) = (operator for operator in graph.operators if given in operator.outputs)
    if output_type == "float32" or _kind(model, writer) != "DEQUANTIZE":
        added = _add_tensor(graph, given)
        graph.operators.append(_softmax(model, given, added, version=1))
        graph.outputs = [added]
    else:
        logits = int(writer.inputs[0])
        added = _add_tensor(graph, logits, "int8", _PROBABILITY_SCALE, _PROBABILITY_ZERO_POINT)
        graph.operators.insert(graph.operators.index(writer), _softmax(model, logits, added, version=2))
        writer.inputs = [added]


def _make_integer(tensor: schema.TensorT, kind: str, scale: float, zero_point: int) -> None:
    """Gives a tensor an integer type; the zero point is that of "int8"."""
    tensor.type = _TYPES[kind]
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = [float(scale)]
    tensor.quantization.zeroPoint = [int(zero_point) + (128 if kind == "uint8" else 0)]


def _add_tensor(graph: schema.SubGraphT, like: int, kind: str = "", scale: float = 0.0, zero_point: int = 0) -> int:
    """A tensor of the shape of another one; of float32 where no integer type is given."""
    tensor = schema.TensorT()
    tensor.name, tensor.buffer = f"border_{text_of(graph.tensors[like].name)}".encode(), 0
    tensor.shape = np.array(graph.tensors[like].shape, np.int32)
    if kind:
        _make_integer(tensor, kind, scale, zero_point)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _operator(model: schema.ModelT, kind: str, version: int, taken: int, given: int) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = _code(model, kind, version), [taken], [given]
    return operator


def _softmax(model: schema.ModelT, taken: int, given: int, *, version: int) -> schema.OperatorT:
    operator = _operator(model, "SOFTMAX", version, taken, given)
    operator.builtinOptionsType, operator.builtinOptions = (
        schema.BuiltinOptions.SoftmaxOptions,
        schema.SoftmaxOptionsT(),
    )
    operator.builtinOptions.beta = 1.0
    return operator


def _code(model: schema.ModelT, kind: str, version: int) -> int:
    for index, code in enumerate(model.operatorCodes):
        if flatbuffer_utils.opcode_to_name(model, index) == kind and code.version >= version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _kind(model: schema.ModelT, operator: schema.OperatorT) -> str:
    return flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)


def text_of(name: bytes | str) -> str:
    """A name in a flatbuffer, which comes in either type."""
    return name.decode() if isinstance(name, bytes) else name


def serialized(model: schema.ModelT) -> bytes:
    """The file of a model, its buffers aligned as the schema asks; flatbuffers' Python code leaves that out."""
    builder = _AligningBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _AligningBuilder(flatbuffers.Builder):
    """Aligns the vectors of bytes, which are buffers' contents."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        return super().StartVector(elemSize, numElems, _BUFFER_ALIGNMENT if elemSize == 1 else alignment)
