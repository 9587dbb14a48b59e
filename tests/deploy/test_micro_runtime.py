"""Files in the microcontroller's runtime: what comes out, what it takes, and that nothing it does ends this process."""

import importlib.util

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofa_tf import deploy
from ofa_tf.common import InputError, OfaError
from ofa_tf.deploy import micro_runtime
from ofa_tf.deploy.micro_runtime import run_micro


@pytest.fixture(autouse=True)
def _runtime():
    pytest.importorskip("tflite_micro")


@pytest.fixture(name="model", scope="module")
def _model() -> bytes:
    """int8, of one convolution; its figures can be worked out by hand."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Conv2D(16, 3, padding="same", name="conv")(inputs)
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    return deploy.convert(keras.Model(inputs, outputs), "int8", representative=images)


def test_outputs_are_those_of_the_other_runtime(model):
    """Every image's, to two steps of the output's scale."""
    runner = deploy.Runner(model)
    images = np.random.default_rng(1).integers(-128, 128, (5, 8, 8, 3), np.int8)
    run = run_micro(model, images)
    scale, _ = runner.output_details["quantization"]
    assert run.outputs.dtype == np.float32
    np.testing.assert_allclose(run.outputs, runner.predict(images), atol=2.01 * scale)
    assert np.ptp(run.outputs) > 20 * scale


def test_memory_is_told(model):
    """The head by hand: input and output at once. The tail on a board: smaller, but its numbers stay."""
    run = run_micro(model)
    assert run.outputs is None
    assert run.head_bytes == 8 * 8 * (3 + 16)
    assert run.model_bytes == len(model)
    assert run.arena_bytes == run.head_bytes + run.tail_bytes
    assert 16 * 8 < run.board_tail_bytes < run.tail_bytes
    assert run.board_arena_bytes < run.arena_bytes


def test_the_arena_it_names_is_enough_and_no_larger_than_needed(model):
    images = np.zeros((1, 8, 8, 3), np.int8)
    run = run_micro(model, images)
    run_micro(model, images, arena_bytes=run.arena_bytes)
    with pytest.raises(InputError, match=r"in an arena of \d+ bytes \(.*larger arena"):
        run_micro(model, arena_bytes=run.arena_bytes - 512)


def check_refused(model: bytes, *found: str, **options) -> None:
    with pytest.raises(InputError) as caught:
        run_micro(model, **options)
    assert "\n" not in str(caught.value)
    for words in found:
        assert words in str(caught.value)


def test_what_it_does_not_run_is_one_line(tmp_path):
    """An operation that it lacks, and weights that it does not read, are named."""
    inputs = keras.Input((4, 4, 3))
    largest = keras.Model(inputs, keras.ops.top_k(keras.ops.mean(inputs, (1, 2)), 2)[0])
    check_refused(deploy.convert(largest, "float32"), "TOPK_V2")
    half = keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs))
    check_refused(deploy.convert(half, "float16"), "DEQUANTIZE", "export it anew in int8")
    check_refused(b"", "is empty")
    with pytest.raises(InputError, match=r"none\.tflite: cannot be read"):
        run_micro(tmp_path / "none.tflite")


def test_images_that_do_not_fit_are_named(model):
    wide = np.zeros((1, 8, 9, 3), np.int8)
    check_refused(model, "images are int8 (8, 9, 3), the model takes int8 (8, 8, 3)", images=wide)
    check_refused(model, "images are uint8", images=np.zeros((1, 8, 8, 3), np.uint8))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_damage_ends_in_numbers_or_in_one_line(model, place, noise):
    """Bytes written over any part of the file."""
    place %= len(model)
    damaged = (model[:place] + noise + model[place + len(noise) :])[: len(model)]
    said = ""
    try:
        run_micro(damaged, np.zeros((1, 8, 8, 3), np.int8), timeout_s=60)
    except OfaError as error:
        said = str(error)
    assert "\n" not in said


def test_a_crash_and_a_hang_are_one_line(model, monkeypatch):
    """Stood in for by a child that kills itself, and one that sleeps."""
    monkeypatch.setattr(micro_runtime, "_RUN", "tests.common.children:crash")
    check_refused(model, "SIGSEGV")
    monkeypatch.setattr(micro_runtime, "_RUN", "tests.common.children:hang")
    with pytest.raises(OfaError, match=r"not done in 0\.5 s"):
        run_micro(model, timeout_s=0.5)


def test_without_the_package_a_line_says_how_to_get_it(model, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_refused(model, "pip install --pre tflite-micro")
