"""TFLite Model Metadata: what apps' libraries read of a file, and the names of its classes in a zip behind it.

The tables are written with flatbuffers' own builder, from the lists of their fields below. Source: TFLite's
`metadata_schema.fbs`, version 1.5.0; docs/deployment.md, "Standard metadata", says why not by a package.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flatbuffers

BUFFER_NAME = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"
_IDENTIFIER = b"M001"
# Of what is written here nothing is younger than the schema's first version.
_MIN_PARSER_VERSION = "1.0.0"
# Fields in the schema's order, of which each has a slot; a union has one for its type before its own.
_FIELDS = {
    "ModelMetadata": (
        "name", "description", "version", "subgraph_metadata", "author", "license", "associated_files",
        "min_parser_version",
    ),
    "SubGraphMetadata": ("name", "description", "input_tensor_metadata", "output_tensor_metadata"),
    "TensorMetadata": (
        "name", "description", "dimension_names", "content", "process_units", "stats", "associated_files",
    ),
    "Content": ("content_properties_type", "content_properties"),
    "FeatureProperties": (),
    "ImageProperties": ("color_space",),
    "ProcessUnit": ("options_type", "options"),
    "NormalizationOptions": ("mean", "std"),
    "Stats": ("max", "min"),
    "AssociatedFile": ("name", "description", "type"),
}  # fmt: skip
_FEATURE, _IMAGE, _RGB, _NORMALIZATION, _AXIS_LABELS = 1, 2, 1, 1, 2
# Mean and deviation by which pixels become what a file takes, and the least and the greatest of that.
_NORMALIZATIONS = {
    "uint8": (0.0, 1.0, 0.0, 255.0),
    "int8": (128.0, 1.0, -128.0, 127.0),
    "float32": (128.0, 128.0, -1.0, 127 / 128),
}


class _Table(NamedTuple):
    """A table of the schema: its kind, and values by field: texts, enumerators, tables, lists of numbers or tables."""

    kind: str
    values: Mapping[str, Any]


def standard_metadata(
    name: str,
    description: str,
    *,
    input_name: str,
    input_type: str,
    output_names: Sequence[str],
    output_range: tuple[float, float] | None,
    labelled: bool,
) -> bytes:
    """The metadata of a file that takes images.

    Args:
        name: of the model.
        description: of the model.
        input_name: of its images, as in the signature.
        input_type: of its images, one of `INPUT_OUTPUT_TYPES`.
        output_names: of its outputs, as in the signature.
        output_range: the least and the greatest value of each, None where that is not known.
        labelled: whether `with_labels` appends the names of its classes.
    """
    mean, std, low, high = _NORMALIZATIONS[input_type]
    options = _Table("NormalizationOptions", {"mean": [mean], "std": [std]})
    images = {
        "name": input_name,
        "description": "RGB images",
        "content": _content(_IMAGE, _Table("ImageProperties", {"color_space": _RGB})),
        "process_units": [_Table("ProcessUnit", {"options_type": _NORMALIZATION, "options": options})],
        "stats": _Table("Stats", {"max": [high], "min": [low]}),
    }
    scores = {"content": _content(_FEATURE, _Table("FeatureProperties", {}))}
    if output_range is not None:
        scores["stats"] = _Table("Stats", {"max": [output_range[1]], "min": [output_range[0]]})
    if labelled:
        file = {"name": LABELS_FILE, "description": "names of the classes", "type": _AXIS_LABELS}
        scores["associated_files"] = [_Table("AssociatedFile", file)]
    tensors = {
        "input_tensor_metadata": [_Table("TensorMetadata", images)],
        "output_tensor_metadata": [_Table("TensorMetadata", {"name": output, **scores}) for output in output_names],
    }
    model = {
        "name": name,
        "description": description,
        "subgraph_metadata": [_Table("SubGraphMetadata", tensors)],
        "author": "ofa_tf",
        "min_parser_version": _MIN_PARSER_VERSION,
    }
    builder = flatbuffers.Builder()
    builder.Finish(_written(builder, _Table("ModelMetadata", model)), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def with_labels(data: bytes, names: Sequence[str]) -> bytes:
    """A file with a zip behind it that holds the names of its classes, a line each; interpreters pass over it."""
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive:
        # Not compressed: apps' libraries read it where it lies. The date is 1980, whenever it is written.
        archive.writestr(zipfile.ZipInfo(LABELS_FILE), "".join(f"{name}\n" for name in names))
    return file.getvalue()


def _content(kind: int, properties: _Table) -> _Table:
    return _Table("Content", {"content_properties_type": kind, "content_properties": properties})


def _written(builder: flatbuffers.Builder, value: Any) -> int:
    """Writes a text, a list or a table, and what it holds before it; returns where it is."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        numbers = isinstance(value[0], float)
        places = value if numbers else [_written(builder, item) for item in value]
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependFloat32(place) if numbers else builder.PrependUOffsetTRelative(place)
        return builder.EndVector()
    fields = _FIELDS[value.kind]
    places = {
        field: content if isinstance(content, int) else _written(builder, content)
        for field, content in value.values.items()
    }
    builder.StartObject(len(fields))
    for slot, field in enumerate(fields):
        if isinstance(value.values.get(field), int):
            builder.PrependInt8Slot(slot, places[field], 0)
        elif field in places:
            builder.PrependUOffsetTRelativeSlot(slot, places[field], 0)
    return builder.EndObject()
