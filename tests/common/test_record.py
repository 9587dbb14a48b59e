"""`RecordFormat`: what was written comes back, and what is something else is refused in one line."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_tf.common import InputError, RecordFormat
from tests.records import VALUES, assert_read_or_refused, damaged

FORMAT = RecordFormat("ofa_tf test record", "write one", version=2)
FIELDS = {"text": "a", "list": [1, 2.5, None], "object": {"a": True}}


def test_what_is_saved_is_loaded(tmp_path):
    FORMAT.save(tmp_path / "a.json", FIELDS)
    assert FORMAT.load(tmp_path / "a.json") == FIELDS
    FORMAT.save_npz(tmp_path / "a.npz", FIELDS, {"values": np.arange(3)})
    fields, arrays = FORMAT.load_npz(tmp_path / "a.npz")
    assert fields == FIELDS
    assert {name: array.tolist() for name, array in arrays.items()} == {"values": [0, 1, 2]}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([], "no header"),
        ({}, "no header"),
        ({"format": "other", "version": 2}, "format 'other'"),
        ({"format": 1}, "format 1"),
        ({"format": FORMAT.name}, "version None, this program reads 2"),
        ({"format": FORMAT.name, "version": 3}, "version 3, this program reads 2"),
        ({"format": FORMAT.name, "version": True}, "version True"),
    ],
)
def test_another_header_is_refused(tmp_path, value, found):
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=rf"a\.json: .*{FORMAT.name}.*{found}.*; write one$"):
        FORMAT.load(tmp_path / "a.json")


def test_former_headers_are_read():
    """Files of before there were versions."""
    former = RecordFormat("ofa_tf test record", "write one", former=(1, None))
    assert former.checked({"format": 1, "a": 2}, "x") == {"a": 2}
    assert former.checked({"a": 2}, "x") == {"a": 2}
    with pytest.raises(InputError, match="version 7"):
        former.checked({"format": former.name, "version": 7}, "x")


@pytest.mark.parametrize("name", ["a.json", "a.npz"])
def test_damaged_files_are_refused_in_one_line(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("records") / name
    if name == "a.npz":
        FORMAT.save_npz(path, FIELDS, {"values": np.arange(3)})
    else:
        FORMAT.save(path, FIELDS)
    read = FORMAT.load_npz if name == "a.npz" else FORMAT.load

    @given(data=damaged(path))
    def check(data):
        assert_read_or_refused(read, path.with_name(f"b{path.suffix}"), data)

    check()


@given(value=VALUES, number=st.integers(0, 3))
def test_wrong_types_inside_are_one_line(value, number):
    """Whatever Python raises on a value of another type than the reader expects."""

    def read(found):
        with FORMAT.reading("a.json"):
            return (
                lambda: sum(found["a"]) + found["a"][0],
                lambda: float(found["a"]["b"]),
                lambda: found["a"].items(),
                lambda: dict(found["b"]),
            )[number]()

    message = None
    try:
        read({"a": value})
    except InputError as error:
        message = str(error)
    if message is not None:
        assert message.startswith("a.json: ")
        assert message.endswith("; write one")
        assert "\n" not in message


def test_a_number_of_ten_thousand_digits_is_refused(tmp_path):
    """Python converts no more than 4,300."""
    (tmp_path / "a.json").write_text("9" * 10_000)
    with pytest.raises(InputError, match=r"a\.json"):
        FORMAT.load(tmp_path / "a.json")
