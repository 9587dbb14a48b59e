"""What a TFLite file says of itself: a named signature, a description, and the model card that is written from it.

The description is JSON in a metadata buffer of the file, which interpreters pass over.
"""

import html
import json
import math
import os
import re
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
_MANY_LABELS = 20
# What an app does with a pixel, by the input's type.
_PIXELS = {
    "uint8": "the pixels as they are, 0 to 255",
    "int8": "pixel - 128",
    "float32": "(pixel - 128) / 128",
}
_COUNTS = (("macs", "multiply-accumulates"), ("params", "parameters"))
_FIELDS = {
    "ks": "kernel size of each block (0: skipped)",
    "e": "expand ratio of each block",
    "d": "depth of each stage",
    "w": "width index of each stage",
    "r": "image side in pixels",
}


def described(data: bytes, description: Mapping[str, Any]) -> bytes:
    """A file with the signature "classify" and a description, which takes the place of an earlier one."""
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


def _entry(name: str, tensors) -> schema.TensorMapT:
    if len(tensors) != 1:
        raise InputError(f"model: {len(tensors)} tensors as {name}, expected one")
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, int(tensors[0])
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


def _plain(value: Any) -> str:
    """A text of others in Markdown: shown as it is, whatever letters of Markdown or HTML are in it."""
    marked = re.sub(r"([\\`*\[\]|~$]|\b_|_\b)", r"\\\1", html.escape(str(value), quote=False))
    return "".join(it if it.isprintable() else f"&#{ord(it)};" if ord(it) < 0xD800 else "?" for it in marked)


def _title(name: str, facts: Mapping[str, Any], size: int) -> str:
    classes = facts["output"]["shape"][-1]
    return (
        f"# {_plain(name)}\n\n"
        f"Image classifier of {classes} classes in TensorFlow Lite format: {facts['precision']}, {size:,} bytes. "
        f"A Once-for-All sub-network, exported by ofa_tf; this page is written from what the file says of itself."
    )


def _use(name: str, facts: Mapping[str, Any]) -> str:
    taken, given = facts["input"], facts["output"]
    batch, side = taken["shape"][0], taken["shape"][1]
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
    fraction = facts.get("preprocessing", {}).get("crop_fraction")
    if fraction:
        lines.append(
            f"- Images are to be prepared as those it was checked on: the short side resized to "
            f"{math.ceil(side / fraction)} pixels (bilinear, low-pass filtered), the centre {side}x{side} cropped."
        )
    logits = f"- `{OUTPUT_NAME}`: {given['type']} {tuple(given['shape'])}; the largest is the answer"
    if "scale" in given:
        logits += f"; logits are (value - {given['zero_point']}) * {given['scale']:.6g}"
    lines.append(f"{logits}.")
    lines.append(f"- Signature `{SIGNATURE}`. {'One image' if batch == 1 else f'{batch} images'} at a time.")
    labels = facts.get("labels")
    if labels:
        shown = ", ".join(map(_plain, labels[:_MANY_LABELS])) + (", ..." if len(labels) > _MANY_LABELS else "")
        lines.append(f"- Classes, in the output's order (all of them are in the file's metadata): {shown}.")
    lines += [
        "",
        "```python",
        "from ai_edge_litert.interpreter import Interpreter",
        "",
        f'classify = Interpreter({json.dumps(name)}).get_signature_runner("{SIGNATURE}")',
        f'logits = classify({INPUT_NAME}=images)["{OUTPUT_NAME}"]  # images: {taken["type"]} {tuple(taken["shape"])}',
        "```",
    ]
    return "\n".join(lines)


def _accuracy(facts: Mapping[str, Any]) -> str:
    checked = facts["checked"]
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
