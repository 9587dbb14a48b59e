"""What a TFLite file carries besides its graph: a named signature, a description of the model.

The description is JSON in a metadata buffer of the file, which interpreters pass over.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ofa_tf.common import InputError
from ofa_tf.deploy.runner import read_model

METADATA_NAME = "ofa_tf"
# The signature and the names of what goes in and out, for apps: `interpreter.get_signature_runner("classify")`.
SIGNATURE, INPUT_NAME, OUTPUT_NAME = "classify", "images", "logits"


def described(data: bytes, description: Mapping[str, Any]) -> bytes:
    """The file with the signature "classify" and a description; outputs and speed stay what they were.

    Args:
        data: a TFLite file of one input and one output.
        description: JSON-ready data; it takes the place of an earlier one.

    Example:
        read_description(described(data, {"labels": ["cat", "dog"]}))
    """
    model = flatbuffer_utils.read_model_from_bytearray(data)
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    signature.inputs, signature.outputs = [_entry(INPUT_NAME, graph.inputs)], [_entry(OUTPUT_NAME, graph.outputs)]
    model.signatureDefs = [signature]
    model.metadata = model.metadata or []
    entry = next((entry for entry in model.metadata if _text(entry.name) == METADATA_NAME), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = METADATA_NAME, len(model.buffers)
        model.buffers.append(schema.BufferT())
        model.metadata.append(entry)
    model.buffers[entry.buffer].data = np.frombuffer(json.dumps(description).encode(), np.uint8)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def read_description(model: str | os.PathLike | bytes) -> dict[str, Any]:
    """The description inside a file that was exported here.

    Args:
        model: the path of a `.tflite` file, or its bytes.

    Raises:
        InputError: there is no such file, it is no TFLite file, or it has no description.
    """
    data, source = read_model(model)
    try:
        found = _metadata(data)
    # What the reader of a flatbuffer meets in a damaged one depends on where the damage is.
    except Exception as error:
        raise InputError(f"{source}: not a whole TFLite file ({error}); export it anew") from error
    if not isinstance(found, dict):
        raise InputError(f"{source}: holds no description of {METADATA_NAME}; give a file of tools.export_tflite")
    return found


def _entry(name: str, tensors) -> schema.TensorMapT:
    if len(tensors) != 1:
        raise InputError(f"model: {len(tensors)} tensors as {name}, expected one")
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, int(tensors[0])
    return entry


def _metadata(data: bytes) -> Any:
    # Without making objects of the weights.
    model = schema.Model.GetRootAs(data, 0)
    for place in range(model.MetadataLength()):
        entry = model.Metadata(place)
        if _text(entry.Name()) == METADATA_NAME:
            return json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def _text(name: bytes | str | None) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name or ""
