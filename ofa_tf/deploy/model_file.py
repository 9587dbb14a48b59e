"""What a TFLite file says of itself: a named signature, TFLite's standard metadata, a description of our own, and the
model card that is written from it.

The description is JSON in a metadata buffer of the file, which interpreters pass over.
"""

import html
import itertools
import json
import math
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ofa_tf.common import InputError
from ofa_tf.common.form import FEATURE_NAMES
from ofa_tf.common.resizing import CROP, STRETCH
from ofa_tf.deploy.borders import serialized
from ofa_tf.deploy.runner import read_model
from ofa_tf.deploy.standard_metadata import BUFFER_NAME, standard_metadata, with_labels

METADATA_NAME = "ofa_tf"
# The name of what goes in, for apps: `interpreter.get_signature_runner("classify")`.
INPUT_NAME = "images"
_MANY_LABELS = 20
# What a card's third line ends with, and by which one is told from a page of the user's.
_CARD_MARK = "exported by ofa_tf; this page is written from what the file says of itself."
# The first versions of the runtime in which files answered right; what the converter writes is earlier for some.
# Source: docs/deployment.md, "Old runtimes".
_MIN_RUNTIMES = {"float32": "1.15.0", "float16": "1.15.0", "dynamic": "2.4.0", "int8": "1.15.0", "int16x8": "2.4.0"}
# What an app does with a pixel, by the input's type.
_PIXELS = {
    "uint8": "the pixels as they are, 0 to 255",
    "int8": "pixel - 128",
    "float32": "(pixel - 128) / 128",
}
# What MediaPipe's ImageClassifier takes, one image at a time; it refuses other files when it opens them.
_MEDIAPIPE_TYPES = ("uint8", "float32")
_TYPE_NAMES = {
    schema.TensorType.FLOAT32: "float32", schema.TensorType.INT8: "int8", schema.TensorType.UINT8: "uint8"
}  # fmt: skip
_COUNTS = (("macs", "multiply-accumulates"), ("params", "parameters"))
_FIELDS = {
    "ks": "kernel size of each block (0: skipped)",
    "e": "expand ratio of each block",
    "d": "depth of each stage",
    "w": "width index of each stage",
    "r": "image side in pixels",
}


def described(data: bytes, description: Mapping[str, Any]) -> bytes:
    """A file with a signature, metadata and a description, which take the place of earlier ones."""
    model = flatbuffer_utils.read_model_from_bytearray(data)
    graph = model.subgraphs[0]
    values = _values(description)
    outputs = [values] if len(graph.outputs) == 1 and values != "features" else list(FEATURE_NAMES.values())
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = signature_of(values), 0
    signature.inputs = [_entry(INPUT_NAME, graph.inputs[0])]
    signature.outputs = [_entry(name, tensor) for name, tensor in zip(outputs, graph.outputs, strict=False)]
    model.signatureDefs = [signature]
    names = None if values == "features" else description.get("names") or description.get("labels")
    taken, given = (graph.tensors[tensors[0]] for tensors in (graph.inputs, graph.outputs))
    what = "Backbone" if values == "features" else f"Image classifier of {given.shape[-1]} classes"
    ranges = {"probabilities": (0.0, 1.0), "logits": _range(given)}
    standard = standard_metadata(
        description.get("name", ""),
        f"{what}, exported by ofa_tf; the metadata {METADATA_NAME} says more",
        input_name=INPUT_NAME,
        input_type=_TYPE_NAMES[taken.type],
        output_names=[_text(entry.name) for entry in signature.outputs],
        output_range=ranges.get(values),
        labelled=bool(names),
    )
    if description.get("precision") in _MIN_RUNTIMES:
        # Sixteen bytes, as the converter writes it.
        _set_metadata(model, "min_runtime_version", _MIN_RUNTIMES[description["precision"]].encode().ljust(16, b"\0"))
    _set_metadata(model, BUFFER_NAME, standard)
    _set_metadata(model, METADATA_NAME, json.dumps(description).encode())
    data = serialized(model)
    return with_labels(data, names) if names else data


def signature_of(values: str) -> str:
    """The name of the signature of a file that gives such outputs."""
    return "extract" if values == "features" else "classify"


def _values(facts: Mapping[str, Any]) -> str:
    # Files of before gave logits only, and did not say so.
    return facts.get("output", {}).get("values", "logits")


def _range(logits: schema.TensorT) -> tuple[float, float] | None:
    """What 8-bit logits can be."""
    if _TYPE_NAMES[logits.type] == "float32":
        return None
    scale, zero_point = float(logits.quantization.scale[0]), int(logits.quantization.zeroPoint[0])
    limits = np.iinfo(_TYPE_NAMES[logits.type])
    return (limits.min - zero_point) * scale, (limits.max - zero_point) * scale


def _set_metadata(model: schema.ModelT, name: str, content: bytes) -> None:
    model.metadata = model.metadata or []
    entry = next((entry for entry in model.metadata if _text(entry.name) == name), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(schema.BufferT())
        model.metadata.append(entry)
    model.buffers[entry.buffer].data = np.frombuffer(content, np.uint8)


def read_description(model: str | os.PathLike | bytes) -> dict[str, Any]:
    """The description inside a file that was exported here.

    Args:
        model: the path of a `.tflite` file, or its bytes.

    Raises:
        InputError: there is no such file, it is no TFLite file, or it has no description.

    Example:
        read_description("model.tflite")["labels"]
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


def _entry(name: str, tensor: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, int(tensor)
    return entry


def _metadata(data: bytes) -> Any:
    # Without making objects of the weights.
    model = schema.Model.GetRootAs(data, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if _text(entry.Name()) == METADATA_NAME:
            return json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def _text(name: bytes | str | None) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name or ""


def model_card(name: str, data: bytes) -> str:
    """The model card of a file with a description inside, in Markdown."""
    facts = read_description(data)
    parts = [_title(name, facts, len(data)), _use(name, facts), _accuracy(facts), _network(facts), _provenance(facts)]
    return "\n\n".join(part for part in parts if part) + "\n"


def is_model_card(path: str | os.PathLike) -> bool:
    """Whether a file is a model card: one that an export wrote, whatever was added below its head."""
    with pathlib.Path(path).open(encoding="utf-8", errors="replace") as file:
        return any(line.rstrip().endswith(_CARD_MARK) for line in itertools.islice(file, 3))


def _plain(value: Any) -> str:
    """A text of others in Markdown: shown as it is, whatever letters of Markdown or HTML are in it."""
    marked = re.sub(r"([\\`*\[\]|~$]|\b_|_\b)", r"\\\1", html.escape(str(value), quote=False))
    return "".join(it if it.isprintable() else f"&#{ord(it)};" if ord(it) < 0xD800 else "?" for it in marked)


def _title(name: str, facts: Mapping[str, Any], size: int) -> str:
    what = "Backbone" if _values(facts) == "features" else f"Image classifier of {facts['output']['shape'][-1]} classes"
    return (
        f"# {_plain(name)}\n\n"
        f"{what} in TensorFlow Lite format: {facts['precision']}, {size:,} bytes. "
        f"A Once-for-All sub-network, {_CARD_MARK}"
    )


def _use(name: str, facts: Mapping[str, Any]) -> str:
    taken, given, values = facts["input"], facts["output"], _values(facts)
    batch, side = taken["shape"][0], taken["shape"][1]
    in_mediapipe = values != "features" and batch == 1 and taken["type"] in _MEDIAPIPE_TYPES
    lines = [
        "## Input and output",
        "",
        f"- `{INPUT_NAME}`: {taken['type']} {tuple(taken['shape'])}, RGB, {_PIXELS[taken['type']]}. "
        "Normalization is inside the file.",
    ]
    lines.append(
        "- Images are upright: where a photo's EXIF orientation says that it is turned, the app turns it first. "
        "Transparent parts are white."
    )
    if "crop_fraction" in facts.get("preprocessing", {}):
        lines.append(_preparation(facts["preprocessing"], side, in_mediapipe))
    if values == "features":
        lines += [f"- `{it}`: {given['type']} {tuple(shape)}, a feature map" for it, shape in given["shapes"].items()]
    else:
        lines.append(_scores(given, values))
    lines.append(f"- Signature `{signature_of(values)}`. {'One image' if batch == 1 else f'{batch} images'} at a time.")
    if values != "features" and not in_mediapipe:
        lines.append(
            f"- MediaPipe's `ImageClassifier` does not read this file: it takes {' or '.join(_MEDIAPIPE_TYPES)}, one "
            f"image at a time. Export it so for that, or run it in LiteRT."
        )
    labels = facts.get("names") or facts.get("labels")
    if labels and values != "features":
        shown = ", ".join(map(_plain, labels[:_MANY_LABELS])) + (", ..." if len(labels) > _MANY_LABELS else "")
        lines.append(f"- Classes, in the output's order (all of them are in the file's metadata): {shown}.")
    part, signature = "" if values == "features" else f'["{values}"]', signature_of(values)
    lines += [
        "",
        "```python",
        "from ai_edge_litert.interpreter import Interpreter",
        "",
        f'{signature} = Interpreter({json.dumps(name)}).get_signature_runner("{signature}")',
        f"{values} = {signature}({INPUT_NAME}=images){part}  # images: {taken['type']} {tuple(taken['shape'])}",
        "```",
    ]
    return "\n".join(lines)


def _preparation(preprocessing: Mapping[str, Any], side: int, in_mediapipe: bool) -> str:
    """How an app makes its photos what the file was checked on, and what of that MediaPipe does."""
    if preprocessing.get("resize", CROP) == STRETCH:
        line = (
            f"- Images are to be prepared as those it was checked on: the whole upright image stretched to "
            f"{side}x{side} pixels, whatever its proportions (bilinear, low-pass filtered), nothing cropped."
        )
        mediapipe = " MediaPipe stretches whole photos by itself, without the filter."
    else:
        fraction = preprocessing["crop_fraction"]
        line = (
            f"- Images are to be prepared as those it was checked on: the short side resized to "
            f"{math.ceil(side / fraction)} pixels (bilinear, low-pass filtered), the centre {side}x{side} cropped."
        )
        mediapipe = (
            f" MediaPipe stretches whole photos instead, which costs about two points of top-1 on the (square) photos "
            f"that ship with ofa_tf: give it the centre square, {fraction:g} of the short side, as "
            f"`region_of_interest`."
        )
    return line + mediapipe if in_mediapipe else line


def _scores(given: Mapping[str, Any], values: str) -> str:
    line = f"- `{values}`: {given['type']} {tuple(given['shape'])}; the largest is the answer"
    if values == "probabilities":
        line += ", and how sure it is of it; they sum to 1"
    if "scale" in given:
        line += f"; {values} are (value - {given['zero_point']}) * {given['scale']:.6g}"
    return f"{line}."


def _accuracy(facts: Mapping[str, Any]) -> str:
    checked = facts["checked"]
    if _values(facts) == "features":
        return (
            f"## Checked\n\nOn {checked['images']} images: the maps differ from those of the same network in float, in "
            f"Keras, by {checked['output_error']:.2g} of their spread (root mean square)."
        )
    split = f" of the split {checked['split']}" if "split" in checked else ""
    lines = ["## Accuracy", "", f"On {checked['images']} images{split}, run through this file:", ""]
    if "tflite_top1" in checked:
        lines += ["| | top-1 | top-5 |", "|---|---|---|"]
        for title, kind in (("this file", "tflite"), ("the same network in float, in Keras", "keras")):
            values = [checked.get(f"{kind}_{top}") for top in ("top1", "top5")]
            lines.append(f"| {title} | " + " | ".join("" if v is None else f"{100 * v:.1f}%" for v in values) + " |")
        lines.append("")
    lines.append(f"Both give the same class on {100 * checked['agreement']:.1f}% of them.")
    lines.append("On images of another kind than those it was trained on it may be worse; nothing here says how much.")
    return "\n".join(lines)


def _network(facts: Mapping[str, Any]) -> str:
    if "arch" not in facts:
        return ""
    lines = ["## Network", ""]
    counts = [f"{facts[key] / 1e6:.2f} million {words}" for key, words in _COUNTS if key in facts]
    lines.append(f"Space `{facts.get('space', 'unnamed')}`" + (f": {', '.join(counts)}." if counts else "."))
    lines += ["", "| choice | |", "|---|---|"]
    for field, value in facts["arch"].items():
        shown = " ".join(f"{item:g}" for item in value) if isinstance(value, list) else value
        lines.append(f"| {_FIELDS.get(field, field)} | {shown} |")
    lines.append("")
    lines.append(f"Written in the form `{facts['form']}` (ofa_tf/common/form.py).")
    return "\n".join(lines)


def _provenance(facts: Mapping[str, Any]) -> str:
    found = facts.get("provenance", {})
    if not found:
        return ""
    return "\n".join(["## Provenance", "", *(f"- {_plain(key)}: {_plain(value)}" for key, value in found.items())])
