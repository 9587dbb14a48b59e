"""Descriptions, signatures and image inputs that are written into files."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ofa_tf.common import InputError
from ofa_tf.deploy import Runner, read_description
from ofa_tf.deploy.model_file import described
from tests.mutations import mutant


def test_a_description_comes_back_and_is_replaced(int8_models):
    """Protects metadata, and files from growing with every description."""
    data = int8_models["folded"]
    first = described(data, {"labels": ["cat", "dog"], "name": "\u00e9"})
    again = described(first, {"labels": ["dog"] * 2, "name": "x"})
    assert read_description(first) == {"labels": ["cat", "dog"], "name": "\u00e9"}
    assert read_description(again)["name"] == "x"
    assert abs(len(again) - len(first)) < 64
    images = np.random.default_rng(0).integers(0, 256, (4, *Runner(data).input_shape[1:]), np.uint8)
    np.testing.assert_array_equal(Runner(again).predict(images), Runner(data).predict(images))


def test_buffers_are_aligned_as_the_schema_asks(int8_models):
    """Protects boards: kernels read weights in place, and flatbuffers' Python code aligns bytes to nothing."""
    data = described(int8_models["folded"], {"labels": ["cat", "dog"], "precision": "int8"})
    model = schema.Model.GetRootAs(data, 0)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    starts = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]
    assert len(starts) > 10
    assert {start % 16 for start in starts} == {0}


@pytest.mark.parametrize(("precision", "version"), [("int8", b"1.15.0"), ("int16x8", b"2.4.0")])
def test_the_oldest_runtime_is_the_one_that_was_found(int8_models, precision, version):
    """Protects apps that ask the file: the converter's own entry is too old for some (docs/deployment.md)."""
    model = flatbuffer_utils.read_model_from_bytearray(described(int8_models["folded"], {"precision": precision}))
    (entry,) = [entry for entry in model.metadata if entry.name == b"min_runtime_version"]
    assert bytes(bytearray(model.buffers[entry.buffer].data)).rstrip(b"\0") == version


def test_files_without_a_description_are_told_apart(int8_models, tmp_path):
    """Protects users who give a file from elsewhere, a truncated one, or none."""
    with pytest.raises(InputError, match=r"holds no description.*tools\.export_tflite"):
        read_description(int8_models["folded"])
    path = tmp_path / "half.tflite"
    path.write_bytes(described(int8_models["folded"], {"name": "x"})[:100])
    with pytest.raises(InputError, match="not a whole TFLite file"):
        read_description(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_description(tmp_path / "none.tflite")


def test_damaged_files_are_read_or_refused_in_words(int8_models):
    """Protects the reader of descriptions, which opens files from elsewhere in this process: 300 damaged ones."""
    data = described(int8_models["folded"], {"labels": ["cat", "dog"]})
    refusals = []
    for seed in range(300):
        try:
            found = read_description(mutant(data, np.random.default_rng(seed)))
            assert isinstance(found, dict)
        except InputError as error:
            refusals.append(str(error))
    assert 0 < len(refusals) < 300
    assert not any("\n" in words for words in refusals)
