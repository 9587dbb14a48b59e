"""Seeded damage to files, as copies, disks and curious people do it."""

import json
from typing import Any

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils

_HUGE = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 0x40000000, 0x00010000)


def mutant(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with one to three kinds of damage; never the bytes themselves."""
    for _ in range(100):
        damaged = data
        # One small damage passes more checks than many, and so gets further.
        for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
            damaged = _DAMAGES[rng.integers(len(_DAMAGES))](damaged, rng)
        if damaged != data:
            return damaged
    raise ValueError("nothing to damage")


def _place(data: bytes, rng: np.random.Generator) -> int:
    # What holds a file together stands at its ends more often than anywhere else.
    edge = min(len(data), 2048)
    return int(
        (rng.integers(edge + 1), len(data) - rng.integers(edge + 1), rng.integers(len(data) + 1))[rng.integers(3)]
    )


def _part(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    start = _place(data, rng)
    return start, min(start + int(rng.integers(1, 257)), len(data))


def _flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 2, 4, 8]))):
        place = _place(data, rng)
        if place < len(changed):
            changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _small_number(data: bytes, rng: np.random.Generator) -> bytes:
    place = _place(data, rng) // 4 * 4
    return data[:place] + int(rng.integers(256)).to_bytes(4, "little")[: max(len(data) - place, 0)] + data[place + 4 :]


def _change_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _part(data, rng)
    return data[:start] + rng.bytes(end - start) + data[end:]


def _truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: _place(data, rng)]


def _insert_zeros(data: bytes, rng: np.random.Generator) -> bytes:
    place = _place(data, rng)
    return data[:place] + bytes(int(rng.integers(1, 65))) + data[place:]


def _remove(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _part(data, rng)
    return data[:start] + data[end:]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _part(data, rng)
    return data[:end] + data[start:end] + data[end:]


def _splice(data: bytes, rng: np.random.Generator) -> bytes:
    (start, end), place = _part(data, rng), _place(data, rng)
    return data[:place] + data[start:end] + data[place + end - start :]


def _swap(data: bytes, rng: np.random.Generator) -> bytes:
    first, second, third = sorted(_place(data, rng) for _ in range(3))
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def _huge_number(data: bytes, rng: np.random.Generator) -> bytes:
    place = _place(data, rng) // 4 * 4
    number = _HUGE[rng.integers(len(_HUGE))].to_bytes(4, "little")
    return data[:place] + number[: max(len(data) - place, 0)] + data[place + 4 :]


_DAMAGES = (
    _flip_bits, _flip_bits, _small_number, _huge_number, _change_bytes, _truncate, _insert_zeros, _remove, _repeat,
    _splice, _swap,
)  # fmt: skip


def tflite_mutant(data: bytes, rng: np.random.Generator) -> bytes:
    """A whole flatbuffer that says something else: what its checks cannot see, and the interpreter may not survive."""
    while True:
        model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
        for _ in range(int(rng.choice([1, 1, 2]))):
            _NONSENSE[rng.integers(len(_NONSENSE))](model, rng)
        try:
            return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
        except (TypeError, ValueError):
            # No flatbuffer can say that.
            continue


def _one(items, rng: np.random.Generator):
    return items[rng.integers(len(items))]


def _tensor_shape(model: Any, rng: np.random.Generator) -> None:
    tensor = _one([it for it in model.subgraphs[0].tensors if it.shape is not None and len(it.shape)], rng)
    tensor.shape = np.array(tensor.shape)
    tensor.shape[rng.integers(len(tensor.shape))] = _one([0, 1, -1, 2, 7, 1000, 100_000, 2**31 - 1], rng)


def _tensor_type(model: Any, rng: np.random.Generator) -> None:
    _one(model.subgraphs[0].tensors, rng).type = int(rng.integers(16))


def _edges(model: Any, rng: np.random.Generator) -> None:
    graph = model.subgraphs[0]
    operator, side = _one(graph.operators, rng), _one(["inputs", "outputs"], rng)
    indices = np.array(getattr(operator, side))
    indices[rng.integers(len(indices))] = _one([-1, rng.integers(len(graph.tensors))], rng)
    setattr(operator, side, indices)


def _operation(model: Any, rng: np.random.Generator) -> None:
    _one(model.subgraphs[0].operators, rng).opcodeIndex = int(rng.integers(len(model.operatorCodes)))


def _option(model: Any, rng: np.random.Generator) -> None:
    options = _one([it for it in model.subgraphs[0].operators if it.builtinOptions is not None], rng).builtinOptions
    names = [name for name, value in vars(options).items() if isinstance(value, int)]
    if names:
        setattr(options, _one(names, rng), int(_one([0, 1, 2, 3, 4, 5, 100, -1], rng)))


def _constant(model: Any, rng: np.random.Generator) -> None:
    buffer = _one([it for it in model.buffers if it.data is not None and len(it.data)], rng)
    length = len(buffer.data)
    shorter, other = np.array(buffer.data)[: rng.integers(length)], np.frombuffer(rng.bytes(length), np.uint8)
    buffer.data = (shorter, other)[rng.integers(2)]


_NONSENSE = (_tensor_shape, _tensor_type, _edges, _operation, _option, _constant)


def json_mutant(value: Any, rng: np.random.Generator) -> Any:
    """Valid JSON in which a value or two are not what they should be."""
    value = json.loads(json.dumps(value))
    for _ in range(int(rng.choice([1, 1, 2]))):
        places = list(_places(value))
        if not places:
            break
        holder, place = _one(places, rng)
        damage = rng.integers(4)
        if damage == 0:
            del holder[place]
        elif damage == 1 and isinstance(holder, dict):
            holder[_one(["", "x", "format", "\x1b[31m", str(place).upper()], rng)] = holder.pop(place)
        else:
            holder[place] = json.loads(_one(_JUNK, rng))
    return value


def _places(value: Any):
    for place, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, place
        if isinstance(item, (dict, list)):
            yield from _places(item)


_JUNK = (
    "null", "true", "false", "0", "1", "-1", "2.5", "1e308", "1e400", "-1e400", "NaN", "4294967296", "1" + "0" * 40,
    '""', '"8"', '"x"', '"\\u0000\\n"', '"' + "long " * 1000 + '"', "[]", "[[]]", "[null]", "[1, 1]", '["a", "b"]',
    "[3, 2, 1]", "{}", '{"a": []}',
)  # fmt: skip


def npz_mutant(arrays: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The arrays of a whole archive, of which one or two are not what they should be; texts are taken as JSON."""
    arrays = dict(arrays)
    texts = [name for name, array in arrays.items() if array.dtype.kind == "U"]
    for _ in range(int(rng.choice([1, 1, 2]))):
        name = (
            _one([name for name in texts if name in arrays] or list(arrays), rng)
            if rng.integers(2)
            else _one(list(arrays), rng)
        )
        array, damage = arrays[name], rng.integers(6)
        texts = [text for text in texts if text != name] if damage < 4 else texts
        if damage == 0:
            del arrays[name]
        elif damage == 1:
            arrays[_one([f"{name}/x", "x", f"net/{name}", "layer0_weights"], rng)] = arrays.pop(name)
        elif damage == 2:
            kind = _one(["float16", "int8", "complex64", "S3", "U5", "bool", "datetime64[s]"], rng)
            arrays[name] = np.zeros(array.shape, kind)
        elif damage == 3:
            arrays[name] = np.zeros(
                _one([(), (0,), (1,), (2, 3), (*array.shape, 1), array.shape[1:], array.shape[::-1]], rng), array.dtype
            )
        elif name in texts:
            arrays[name] = np.array(json.dumps(json_mutant(json.loads(str(array)), rng)))
        else:
            arrays[name] = np.full_like(array, _one([np.nan, np.inf, -1, 0], rng) if array.dtype.kind == "f" else -1)
    return arrays
