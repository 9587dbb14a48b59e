import time

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_tf import deploy
from ofa_tf.common import InputError
from ofa_tf.deploy import Runner, summarize


@pytest.fixture(scope="module")
def model_bytes() -> bytes:
    inputs = keras.Input((2, 2, 1))
    return deploy.convert(keras.Model(inputs, 2 * inputs + 1), "float32")


def test_predict_runs_every_image(model_bytes):
    images = np.arange(12, dtype=np.float32).reshape(3, 2, 2, 1)
    np.testing.assert_allclose(deploy.Runner(model_bytes).predict(images), 2 * images + 1)


def test_predict_refuses_other_images(model_bytes):
    runner = deploy.Runner(model_bytes)
    for images in (np.zeros((1, 3, 3, 1), np.float32), np.zeros((1, 2, 2, 1), np.uint8)):
        with pytest.raises(InputError, match="expected float32"):
            runner.predict(images)


@given(st.integers(0, 10_000))
def test_truncated_files_are_one_line(model_bytes, length):
    """Protects against crashes of the interpreter on what an interrupted copy leaves."""
    with pytest.raises(InputError, match="export it anew") as error:
        deploy.Runner(model_bytes[: length % len(model_bytes)])
    assert "\n" not in str(error.value)


def test_what_is_no_model_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        deploy.Runner(tmp_path / "missing.tflite")
    (tmp_path / "page.tflite").write_text("<html>" * 100)
    with pytest.raises(InputError, match="not a whole TFLite model"):
        deploy.Runner(tmp_path / "page.tflite")


def test_time_runs_as_often_and_as_long_as_asked(model_bytes):
    """Protects what a latency means: count, duration, and the order of its figures."""
    runner = deploy.Runner(model_bytes)
    assert runner.time(50, 0.0).count == 50
    start = time.perf_counter()
    timing = runner.time(1, 0.05)
    assert time.perf_counter() - start >= 0.05
    assert timing.count * timing.mean_ms >= 50
    assert 0 < timing.min_ms <= timing.median_ms <= timing.p95_ms


@pytest.mark.parametrize("threads", [0, True, 1.5])
def test_threads_are_checked(model_bytes, threads):
    with pytest.raises(InputError, match="threads"):
        deploy.Runner(model_bytes, threads=threads)


def test_an_int8_file_of_one_partition(int8_models):
    """Protects "all in int8, all in XNNPACK": only the borders stand outside, conversions and softmax."""
    summary = summarize(Runner(int8_models["folded"]))
    assert summary.partitions == 1
    assert summary.int8_share == 1.0
    assert summary.float_tensors == 0
    assert summary.outside_xnnpack == {"QUANTIZE": 2, "SOFTMAX": 1}
    assert summary.operations["DEPTHWISE_CONV_2D"] == 3
    assert sum(summary.operations.values()) == len(Runner(int8_models["folded"]).operations) - 1


def test_what_xnnpack_leaves_is_named(int8_models):
    """Protects the answer to "why is my int8 file slow": the operations that break the partition."""
    summary = summarize(Runner(int8_models["fused"]))
    assert summary.partitions > 1
    assert summary.outside_xnnpack["HARD_SWISH"] == summary.operations["HARD_SWISH"] > 0
    assert set(summary.outside_xnnpack) == {"HARD_SWISH", "QUANTIZE", "SOFTMAX"}


def test_float_files_have_no_int8(float_model):
    """Protects the share of operations in int8 from counting weights or shapes."""
    summary = summarize(Runner(float_model))
    # A file in float takes uint8 images, and casts them.
    assert summary.int8_share == 0.0
    assert summary.float_tensors == sum(summary.operations.values())
