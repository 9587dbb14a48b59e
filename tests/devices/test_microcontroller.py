"""mobile_bench.microcontroller: what it is given besides a file is checked, in one line."""

import json

import keras
import numpy as np
import pytest

from ofa_tf import deploy
from tests.binaries import run_binary

BINARY = "mobile_bench.microcontroller"


@pytest.fixture(name="model", scope="module")
def _model(tmp_path_factory):
    """A file that the microcontroller's runtime runs."""
    pytest.importorskip("tflite_micro")
    inputs = keras.Input((8, 8, 3))
    path = tmp_path_factory.mktemp("micro") / "model.tflite"
    path.write_bytes(deploy.convert(keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs)), "float32"))
    return path


def check_mistake(*arguments, says):
    done = run_binary(BINARY, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert says in done.stderr


def test_the_first_images_of_a_file(model, tmp_path):
    """As many as --count says."""
    np.save(tmp_path / "images.npy", np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype(np.float32))
    output = tmp_path / "result.json"
    done = run_binary(
        BINARY, f"--model={model}", f"--images={tmp_path / 'images.npy'}", "--count=3", f"--output={output}"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text())["images"] == 3


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda path: np.savez(path, images=np.zeros((2, 8, 8, 3), np.float32)), "holds several arrays by name"),
        (lambda path: np.save(path, np.float32(1)), "holds no images, but an array ()"),
        (lambda path: np.save(path, np.zeros((0, 8, 8, 3), np.float32)), "holds no images, but an array (0, 8, 8, 3)"),
        (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "cannot be read as images"),
        (lambda path: path.write_bytes(b"no array"), "cannot be read as images"),
        (lambda path: np.save(path, np.zeros((2, 8, 9, 3), np.float32)), "expected float32 (8, 8, 3)"),
    ],
    ids=["npz", "number", "none", "damaged", "text", "wide"],
)
def test_files_without_images_are_named(model, tmp_path, made, says):
    """Protects users from tracebacks of NumPy and zipfile."""
    made(tmp_path / "images")
    # NumPy adds the ending.
    [written] = tmp_path.iterdir()
    check_mistake(f"--model={model}", f"--images={written}", says=says)


def test_limits_that_are_no_numbers_are_refused(model):
    """Protects the board: every file is inside a limit that is none."""
    for limit in ("--max_arena_bytes=inf", "--max_arena_bytes=nan", "--max_model_bytes=nan"):
        check_mistake(f"--model={model}", limit, says=f"{limit}: expected a finite number")


def test_places_that_cannot_be_written_are_found_first(model, tmp_path):
    """Before the file is run: its figures would be lost."""
    for flag in ("output", "c_array"):
        check_mistake(f"--model={model}", f"--{flag}={tmp_path}", says=f"{tmp_path}: is a folder")
