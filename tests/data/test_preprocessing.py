"""Pixels to network inputs: the formula, the published evaluation crop, and its JSON form."""

import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_tf.common import InputError
from ofa_tf.common.resizing import RESIZES
from ofa_tf.data import PUBLISHED, SYMMETRIC, Preprocessing, evaluation_image


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 (height, width, 3): smooth shapes with noise on them, as photos have."""
    rng = np.random.default_rng(seed)
    coarse = PIL.Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), PIL.Image.Resampling.BICUBIC), np.int64)
    return np.clip(smooth + rng.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)


def published_evaluation(image: np.ndarray, resolution: int, short: int) -> np.ndarray:
    """What the published accuracies were measured with, by PIL."""
    height, width = image.shape[:2]
    lesser = min(height, width)
    size = (short * width // lesser, short * height // lesser)
    resized = np.asarray(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BILINEAR))
    top, left = (round((side - resolution) / 2) for side in resized.shape[:2])
    return resized[top : top + resolution, left : left + resolution]


def test_normalize_is_the_published_formula():
    """Networks with published weights see exactly the inputs that they were trained on."""
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    expected = (images / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    for given_images in (images, images.astype(np.float32)):
        result = PUBLISHED.normalize(given_images)
        assert result.dtype == tf.float32
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_symmetric_is_exact():
    """Every pixel value becomes a multiple of 1/128, which an int8 input holds without rounding."""
    values = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    np.testing.assert_array_equal(SYMMETRIC.normalize(values), (values.astype(np.float32) - 128) / 128)


def test_normalize_is_cheap_in_a_graph():
    """One cast, one multiplication, one addition per image; no division."""
    graph = tf.function(PUBLISHED.normalize).get_concrete_function(tf.TensorSpec((None, 8, 8, 3), tf.uint8)).graph
    work = [operation.type for operation in graph.get_operations()]
    assert sorted(set(work) - {"Placeholder", "Const", "Identity"}) == ["AddV2", "Cast", "Mul"]
    assert work.count("Mul") == work.count("AddV2") == 1


@pytest.mark.parametrize(
    ("height", "width"), [(160, 213), (301, 200), (97, 97), (40, 333), (64, 33), (2, 3000), (3000, 3)]
)
@pytest.mark.parametrize("resolution", [64, 100])
def test_evaluation_image_is_the_published_one(height, width, resolution):
    """Resized (with a low-pass filter where it shrinks) and cropped like PIL, to two grey levels."""
    image = photo(height, width)
    expected = published_evaluation(image, resolution, short=-(-resolution * 8 // 7))
    result = evaluation_image(tf.constant(image), resolution, 0.875)
    assert result.dtype == tf.uint8
    difference = np.abs(result.numpy().astype(int) - expected.astype(int))
    assert result.shape == (resolution, resolution, 3)
    assert difference.max() <= 2
    assert difference.mean() < 0.5


def test_evaluation_image_of_its_own_size_is_unchanged():
    """With crop_fraction 1 a square image of the resolution comes out as it went in."""
    image = photo(40, 40)
    np.testing.assert_array_equal(evaluation_image(tf.constant(image), 40, 1.0), image)


@pytest.mark.parametrize(("height", "width"), [(160, 213), (301, 97), (97, 97), (40, 333), (33, 64)])
def test_a_stretched_evaluation_image_is_the_whole_one(height, width):
    """Of any proportions, resized like PIL to two grey levels; what share a crop would keep does not matter."""
    image = photo(height, width)
    expected = np.asarray(PIL.Image.fromarray(image).resize((64, 64), PIL.Image.Resampling.BILINEAR))
    result = evaluation_image(tf.constant(image), 64, 0.5, "stretch")
    assert (result.dtype, result.shape) == (tf.uint8, (64, 64, 3))
    difference = np.abs(result.numpy().astype(int) - expected.astype(int))
    assert difference.max() <= 2
    assert difference.mean() < 0.5
    np.testing.assert_array_equal(result, evaluation_image(tf.constant(image), 64, 1.0, "stretch"))


def test_images_are_cropped_unless_said_otherwise():
    """Also those of runs and packed supernets that were written before there was a choice."""
    before = {"mean": [0.5] * 3, "std": [0.5] * 3, "crop_fraction": 0.875}
    assert Preprocessing.from_config(before) == Preprocessing((0.5,) * 3, (0.5,) * 3)
    assert PUBLISHED.resize == SYMMETRIC.resize == "crop"
    with pytest.raises(InputError, match="resize is 'squeeze', expected one of crop, stretch"):
        evaluation_image(tf.zeros((8, 8, 3), tf.uint8), 8, 1.0, "squeeze")


unit = st.floats(0, 1, allow_nan=False)
positive = st.floats(0.01, 2, allow_nan=False)


@settings(max_examples=50)
@given(
    mean=st.tuples(unit, unit, unit),
    std=st.tuples(positive, positive, positive),
    fraction=st.floats(0.1, 1),
    resize=st.sampled_from(RESIZES),
)
def test_config_round_trip(mean, std, fraction, resize):
    """A run's preprocessing survives its JSON file exactly."""
    preprocessing = Preprocessing(mean, std, fraction, resize)
    assert Preprocessing.from_config(json.loads(json.dumps(preprocessing.to_config()))) == preprocessing


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"mean": [0.5, 0.5]}, "std"),
        ({"mean": [0.5] * 3, "std": [0.5] * 3, "stdd": 1}, "stdd"),
        ({"mean": [0.5] * 2, "std": [0.5] * 3}, "mean"),
        ({"mean": [0.5] * 3, "std": [0.0] * 3}, "std"),
        ({"mean": ["a"] * 3, "std": [0.5] * 3}, "mean"),
        ({"mean": [0.5] * 3, "std": [0.5] * 3, "crop_fraction": 1.5}, "crop_fraction"),
        (
            {"mean": [0.5] * 3, "std": [0.5] * 3, "resize": "squeeze"},
            "resize is 'squeeze', expected one of crop, stretch",
        ),
        ({"mean": [0.5] * 3, "std": [0.5] * 3, "resize": ["crop"]}, "resize"),
        ([1, 2], "list"),
    ],
)
def test_bad_config_is_one_line(fields, word):
    """A damaged preprocessing entry names the field, not a traceback."""
    with pytest.raises(InputError, match=word) as caught:
        Preprocessing.from_config(fields)
    assert "\n" not in str(caught.value)
