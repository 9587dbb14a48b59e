"""What holds for every file with a header: damaged, it is read or refused in one line."""

import json
import pathlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ofa_tf.common import InputError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**40),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=6,
)


def damaged(path: pathlib.Path) -> st.SearchStrategy[bytes]:
    """Other bytes, the first ones of the file alone, or the whole file with other values in its header."""
    whole = path.read_bytes()
    choices = [
        st.binary(max_size=200),
        st.binary(max_size=50).map(lambda end: whole[:20] + end),
        st.integers(0, len(whole) - 1).map(lambda end: whole[:end]),
    ]
    if path.suffix == ".npz":
        with np.load(path) as archive:
            arrays = dict(archive)
        name = next(name for name, array in arrays.items() if array.dtype.kind == "U")
        headers = _changed(json.loads(str(arrays[name]))) | VALUES
        choices.append(headers.map(lambda header: _npz(path, {**arrays, name: np.array(json.dumps(header))})))
    elif path.suffix == ".jsonl":
        header, _, rest = whole.partition(b"\n")
        choices.append(_changed(json.loads(header)).map(lambda header: json.dumps(header).encode() + b"\n" + rest))
    else:
        choices.append((_changed(json.loads(whole)) | VALUES).map(lambda value: json.dumps(value).encode()))
    return st.one_of(choices)


def _changed(header: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    change = st.dictionaries(st.sampled_from(sorted(header)), VALUES, min_size=1, max_size=2)
    left_out = st.sampled_from(sorted(header)).map(lambda name: {k: v for k, v in header.items() if k != name})
    return change.map(lambda fields: {**header, **fields}) | left_out


def _npz(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> bytes:
    other = path.with_name("other.npz")
    np.savez(other, **arrays)
    return other.read_bytes()


def assert_read_or_refused(read: Callable[[pathlib.Path], Any], path: pathlib.Path, data: bytes) -> bool:
    """Reads the data at a path; True where an `InputError` of one line refuses them, any other error is raised."""
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            read(path)
        except InputError as error:
            message = str(error)
        else:
            return False
    assert message
    assert "\n" not in message
    return True
