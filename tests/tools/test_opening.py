"""What flags of several binaries name: files of architectures, and what else stands in them."""

import json
import warnings

import pytest

from ofa_tf import spaces
from ofa_tf.common import InputError
from tools.opening import read_arch, written_as


def write(folder, **fields) -> str:
    path = folder / "arch.json"
    path.write_text(json.dumps(fields))
    return str(path)


def test_a_result_says_how_its_file_is_written(tmp_path):
    """Flags come first; another precision than the result's has its own usual form."""
    found = write(tmp_path, precision="float32", form="fused-same")
    assert written_as(found, None, None) == ("float32", "fused-same")
    assert written_as(found, "float32", "folded") == ("float32", "folded")
    assert written_as(found, "int8", None) == ("int8", None)
    assert written_as(write(tmp_path), None, None) == ("int8", None)


@pytest.mark.parametrize(
    ("field", "value"), [("form", ["x"]), ("form", "fusd"), ("form", 3), ("precision", {}), ("precision", "int4")]
)
def test_an_unknown_form_or_precision_is_named_with_its_file(tmp_path, field, value):
    """Protects those who wrote the file by hand, or have one of another version, from a TypeError."""
    with pytest.raises(InputError) as caught:
        written_as(write(tmp_path, **{field: value}), None, None)
    assert str(caught.value).startswith(f"{tmp_path / 'arch.json'}: {field} is {value!r}, expected one of ")


def test_an_architecture_of_another_space_is_warned_about(tmp_path):
    """Protects from another network's figures: spaces of other widths have architectures of the same shape."""
    half, whole = (spaces.get(f"ofa_mbv3_d234_e346_k357_w{width}") for width in ("0.5", "1.0"))
    arch = half.smallest()
    path = write(tmp_path, space=half.name, arch=arch.to_dict(), macs=half.count_macs(arch))
    with pytest.warns(UserWarning, match="arch.json: its architecture is of space ofa_mbv3_d234_e346_k357_w0.5, taken"):
        assert read_arch(whole, path) == arch
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_arch(half, path) == arch
        assert read_arch(whole, write(tmp_path, **arch.to_dict())) == arch
