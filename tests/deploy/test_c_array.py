"""C arrays hold the model's bytes, compile as C and C++, and are the same every time."""

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_tf.common import InputError
from ofa_tf.deploy.micro_runtime import c_array, write_c_array

MODEL = bytes(range(256)) * 3 + b"TFL3"
PROGRAM = """
#include <stdio.h>
#include "net_1.h"
int main(void) {
  if ((unsigned long)(const void*)net_1_tflite % 16 != 0 || NET_1_ARENA_BYTES != 4096) return 1;
  return fwrite(net_1_tflite, 1, net_1_tflite_size, stdout) != net_1_tflite_size;
}
"""


@pytest.mark.parametrize(
    ("compiler", "suffix", "standard"), [("gcc", ".c", "-std=c11"), ("g++", ".cc", "-std=c++11")], ids=["C", "C++"]
)
def test_it_compiles_and_gives_the_bytes_back(tmp_path, compiler, suffix, standard):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    assert write_c_array(MODEL, tmp_path / f"net_1{suffix}", arena_bytes=4096) == tmp_path / "net_1.h"
    (tmp_path / f"main{suffix}").write_text(PROGRAM)
    command = [compiler, standard, "-Wall", "-Wextra", "-Werror", "-pedantic", f"net_1{suffix}", f"main{suffix}"]
    subprocess.run([*command, "-o", "program"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "program"], capture_output=True, check=True).stdout == MODEL


@given(st.binary(min_size=1, max_size=200))
def test_every_byte_stands_in_the_source(model):
    source, header = c_array(model, "net", header="net.h")
    numbers = re.findall(r"0x([0-9a-f]{2}),", source)
    assert bytes(int(number, 16) for number in numbers) == model
    assert f"net_tflite_size = {len(model)}u;" in source
    assert "ARENA" not in header


def test_names_come_from_the_file(tmp_path):
    """What C would not take as a name is made one; the same model gives the same text."""
    write_c_array(MODEL, tmp_path / "32x32 net.cc")
    text = (tmp_path / "32x32 net.cc").read_text()
    assert "model_32x32_net_tflite[]" in text
    assert '#include "32x32 net.h"' in text
    write_c_array(MODEL, tmp_path / "32x32 net.cc")
    assert (tmp_path / "32x32 net.cc").read_text() == text


def test_a_header_of_the_firmware_is_not_replaced(tmp_path):
    """Protects net.h of a project beside net.cc; one that was written here is written anew."""
    (tmp_path / "net.h").write_text("#pragma once\n")
    with pytest.raises(InputError, match=r"net\.h: is no header of a C array"):
        write_c_array(MODEL, tmp_path / "net.cc")
    assert (tmp_path / "net.h").read_text() == "#pragma once\n"
    assert not (tmp_path / "net.cc").exists()


@pytest.mark.parametrize(
    ("arguments", "options", "found"),
    [
        ((b"", "a.cc"), {}, "empty"),
        ((MODEL, "a.tflite"), {}, r"ends with \.cc"),
        ((MODEL, "a.cc"), {"name": "2 b"}, "'2 b'"),
        ((MODEL, "a.cc"), {"arena_bytes": 0}, "arena_bytes is 0"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, arguments, options, found):
    model, file = arguments
    with pytest.raises(InputError, match=found):
        write_c_array(model, tmp_path / file, **options)
    assert not list(tmp_path.iterdir())
