"""The training augmentation: stateless, inside its limits, the same for encoded and decoded images."""

import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_tf.common import InputError
from ofa_tf.common.resizing import RESIZES
from ofa_tf.data import Augmentation, training_image
from ofa_tf.data.augmentation import ATTEMPTS, LUMA, Draws, _window, draw, finished
from tests.data.image_files import encoded, gradient

PLAIN = Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=False, brightness=0.0, saturation=0.0)


def seeds(count: int) -> list[tf.Tensor]:
    return [tf.constant([7, number], tf.int64) for number in range(count)]


def rows(draws: Draws) -> list[Draws]:
    return [Draws(*values) for values in zip(*draws, strict=True)]


def test_same_seed_same_image():
    """The seed alone decides; another seed gives another image."""
    image = tf.constant(gradient(40, 50))
    first, second, other = (
        training_image(image, resolution=24, seed=seed, augmentation=Augmentation()).numpy()
        for seed in ((3, 4), (3, 4), (3, 5))
    )
    np.testing.assert_array_equal(first, second)
    assert first.shape == (24, 24, 3)
    assert first.dtype == np.uint8
    assert (first != other).any()


def test_encoded_and_decoded_agree():
    """The fused JPEG crop, a PNG and an array of the same picture give the same training image (up to JPEG's loss)."""
    image = gradient(40, 50)
    forms = (image, encoded(image, "PNG"), encoded(image, "JPEG", quality=100, subsampling=0))
    for seed in seeds(5):
        results = [
            training_image(tf.constant(form), resolution=32, seed=seed, augmentation=Augmentation()).numpy().astype(int)
            for form in forms
        ]
        np.testing.assert_array_equal(results[0], results[1])
        assert np.abs(results[0] - results[2]).max() <= 6


def test_nothing_drawn_leaves_the_image_alone():
    """Whole crop, no flip, no jitter, at its own resolution: the identity."""
    image = gradient(32, 32)
    for seed in seeds(3):
        np.testing.assert_array_equal(training_image(image, resolution=32, seed=seed, augmentation=PLAIN), image)


def test_fixed_square_crop_of_an_oblong_image():
    """Scale 1 and ratio 1 never fit into an oblong image: the largest square is taken, anywhere along it."""
    image = np.zeros((8, 24, 3), np.uint8)
    image[..., 0] = np.arange(24) * 10
    starts = set()
    for seed in seeds(40):
        result = training_image(image, resolution=8, seed=seed, augmentation=PLAIN).numpy()
        start = result[0, 0, 0] // 10
        np.testing.assert_array_equal(result, image[:, start : start + 8])
        starts.add(start)
    assert len(starts) > 8


def test_a_whole_crop_of_a_stretched_image_is_all_of_it():
    """Scale 1 and ratio 1 are of the square that the image is stretched to, encoded or not."""
    image = gradient(20, 30)
    expected = np.uint8(tf.image.resize(image, (24, 24)) + 0.5)
    forms = (image, encoded(image, "PNG"), encoded(image, "JPEG", quality=100, subsampling=0))
    for seed in seeds(3):
        results = [
            training_image(tf.constant(form), resolution=24, seed=seed, augmentation=PLAIN, resize="stretch").numpy()
            for form in forms
        ]
        np.testing.assert_array_equal(results[0], expected)
        np.testing.assert_array_equal(results[1], expected)
        assert np.abs(results[2].astype(int) - expected).max() <= 6
    with pytest.raises(InputError, match="resize is 'squeeze', expected one of crop, stretch"):
        training_image(tf.constant(image), resolution=24, seed=(0, 0), augmentation=PLAIN, resize="squeeze")


def test_a_stretched_image_is_padded_as_a_whole():
    """Both of its ends are in the padded square, where a centre square would lack them."""
    image = np.zeros((8, 24, 3), np.uint8)
    image[:, :8], image[:, -8:] = 100, 200
    padded = Augmentation(pad=1, flip=False, brightness=0.0, saturation=0.0)
    for resize, ends in (("stretch", {100, 200}), ("crop", set())):
        result = training_image(image, resolution=8, seed=(0, 0), augmentation=padded, resize=resize).numpy()
        assert ends == set(np.unique(result)) & {100, 200}


def test_flip_mirrors_half_of_the_images_and_only_if_asked():
    """About half of the images are mirrored; with flip=False (digits) none is."""
    image = gradient(16, 16)
    mirrored = {True: 0, False: 0}
    for flip in mirrored:
        augmentation = Augmentation((1.0, 1.0), (1.0, 1.0), flip, brightness=0.0, saturation=0.0)
        for seed in seeds(60):
            result = training_image(image, resolution=16, seed=seed, augmentation=augmentation).numpy()
            is_mirrored = (result == image[:, ::-1]).all()
            assert is_mirrored or (result == image).all()
            mirrored[flip] += is_mirrored
    assert 15 <= mirrored[True] <= 45
    assert mirrored[False] == 0


def test_jitter_is_brightness_and_saturation():
    """A pixel is multiplied by the brightness factor and drawn away from its own grey by the saturation factor."""
    augmentation = Augmentation((1.0, 1.0), (1.0, 1.0), flip=False)
    image = np.tile(np.array([[[90, 120, 60]]], np.uint8), (4, 4, 1))
    grey = np.dot([90, 120, 60], LUMA)
    brightness_factors, saturation_factors = [], []
    for seed in seeds(50):
        red, green, blue = training_image(image, resolution=4, seed=seed, augmentation=augmentation).numpy()[1, 2] / 1.0
        brightness = np.dot([red, green, blue], LUMA) / grey
        brightness_factors.append(brightness)
        saturation_factors.append((green - blue) / (60 * brightness))
    assert 1 - 32 / 255 - 0.02 < min(brightness_factors) < 0.92
    assert 1.08 < max(brightness_factors) < 1 + 32 / 255 + 0.02
    assert 0.48 < min(saturation_factors) < 0.65
    assert 1.35 < max(saturation_factors) < 1.52


def test_bright_pixels_are_clipped_not_wrapped():
    """White made brighter stays white."""
    augmentation = Augmentation((1.0, 1.0), (1.0, 1.0), flip=False, brightness=1.0, saturation=1.0)
    white = np.full((4, 4, 3), 255, np.uint8)
    results = [
        training_image(white, resolution=4, seed=seed, augmentation=augmentation).numpy().max() for seed in seeds(20)
    ]
    assert max(results) == 255
    assert min(results) < 250


@settings(max_examples=60)
@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    scale=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted).map(tuple),
    ratio=st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)).map(sorted).map(tuple),
    number=st.integers(0, 2**40),
    resize=st.sampled_from(RESIZES),
)
def test_crops_lie_inside_the_image_and_the_limits(height, width, scale, ratio, number, resize):
    """Any image, any limits: the crop is inside the image, and of an allowed area where a drawn one fitted."""
    augmentation = Augmentation(crop_scale=scale, crop_ratio=ratio)
    for draws in rows(draw(augmentation, tf.constant([1, number], tf.int64), 4)):
        top, left, crop_height, crop_width = _window(tf.constant([height, width]), draws, augmentation, resize).numpy()
        assert 0 <= top <= top + crop_height <= height
        assert 0 <= left <= left + crop_width <= width
        assert min(crop_height, crop_width) >= 1
        unit = np.float32([height, width]) if resize == "stretch" else np.sqrt(np.float32(height * width))
        tried = np.maximum(np.rint(draws.sides.numpy() * unit), 1)
        if (tried <= [height, width]).all(axis=1).any():
            # Half a pixel of rounding on either side.
            assert (crop_height + 0.51) * (crop_width + 0.51) >= scale[0] * height * width * 0.999
            assert (crop_height - 0.51) * (crop_width - 0.51) <= scale[1] * height * width * 1.001 or crop_height == 1


def test_crops_of_a_stretched_image_have_their_ratio_in_the_square():
    """Square crops of the square are as oblong as the image; where no drawn one fits, the largest that may is taken."""
    squares = Augmentation(crop_scale=(0.25, 0.25), crop_ratio=(1.0, 1.0))
    wide = Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(2.0, 2.0))
    for augmentation, expected in ((squares, (50, 150)), (wide, (50, 300))):
        [draws] = rows(draw(augmentation, tf.constant([1, 2], tf.int64), 1))
        window = _window(tf.constant([100, 300]), draws, augmentation, "stretch").numpy()
        assert tuple(window[2:]) == expected


def test_areas_and_ratios_are_spread_over_their_ranges():
    """Areas are uniform, ratios uniform on a logarithmic scale, as published."""
    sides = draw(Augmentation(), tf.constant([0, 0], tf.int64), 2000).sides.numpy()
    assert sides.shape == (2000, ATTEMPTS, 2)
    areas, ratios = sides.prod(axis=-1), np.log(sides[..., 1] / sides[..., 0])
    np.testing.assert_allclose(np.quantile(areas, [0, 0.25, 0.5, 0.75, 1]), [0.08, 0.31, 0.54, 0.77, 1], atol=0.02)
    np.testing.assert_allclose(np.quantile(ratios, [0, 0.5, 1]), np.log([3 / 4, 1, 4 / 3]), atol=0.02)


def test_large_images_are_low_pass_filtered():
    """A fine checkerboard shrunk far becomes grey; without a filter it would alias to black and white."""
    board = np.indices((200, 200)).sum(axis=0) % 2 * np.uint8(255)
    image = np.repeat(board[..., None], 3, axis=-1).astype(np.uint8)
    result = training_image(image, resolution=32, seed=(0, 0), augmentation=PLAIN).numpy().astype(int)
    assert np.abs(result[2:-2, 2:-2] - 128).max() <= 12


def test_config_round_trip():
    """A run's augmentation survives its JSON file, and a field left out takes the published value."""
    augmentation = Augmentation(crop_scale=(0.5, 0.9), flip=False, saturation=0.25)
    assert Augmentation.from_config(json.loads(json.dumps(augmentation.to_config()))) == augmentation
    assert Augmentation.from_config({"flip": False}) == Augmentation(flip=False)


@pytest.mark.parametrize(
    "fields",
    [
        {"crop_scale": [0.9, 0.5]},
        {"crop_scale": [0, 1]},
        {"crop_scale": 0.5},
        {"crop_ratio": [1]},
        {"flip": "yes"},
        {"brightness": -1},
        {"saturation": True},
    ],
)
def test_bad_config_names_the_field(fields):
    """A value that makes no sense is one line with the field's name."""
    with pytest.raises(InputError, match=next(iter(fields))) as caught:
        Augmentation.from_config(fields)
    assert "\n" not in str(caught.value)


def padded_and_cropped(image: np.ndarray, top: int, left: int, mirror: bool, pad: int) -> np.ndarray:
    """The reference: pad with black, cut, mirror."""
    side = len(image)
    window = np.pad(image, [(pad, pad), (pad, pad), (0, 0)])[top : top + side, left : left + side]
    return window[:, ::-1] if mirror else window


def test_pad_and_crop_is_that_of_numpy():
    """Every image of a batch is the window that its draws say; all windows and both directions occur."""
    augmentation = Augmentation(pad=4, brightness=0.0, saturation=0.0)
    images = np.random.default_rng(0).integers(0, 256, (400, 12, 12, 3), dtype=np.uint8)
    draws = draw(augmentation, tf.constant([1, 2], tf.int64), 400)
    found = finished(tf.constant(images), draws, augmentation).numpy()
    starts = (draws.place.numpy() * 9).astype(int)
    for image, result, (top, left), mirror in zip(images, found, starts, draws.mirror.numpy(), strict=True):
        np.testing.assert_array_equal(result, padded_and_cropped(image, top, left, mirror, 4))
    assert {tuple(start) for start in starts} == {(top, left) for top in range(9) for left in range(9)}
    assert 150 < draws.mirror.numpy().sum() < 250
    # One by one they are the same images.
    alone = training_image(images[0], resolution=12, seed=(1, 2), augmentation=augmentation).numpy()
    first = draw(augmentation, tf.constant([1, 2], tf.int64), 1)
    top, left = (first.place.numpy()[0] * 9).astype(int)
    np.testing.assert_array_equal(alone, padded_and_cropped(images[0], top, left, bool(first.mirror[0]), 4))


def test_pad_and_crop_takes_the_centre_square_and_keeps_colours_and_flips_where_asked():
    """An oblong image of another size is cut to a square and resized; brightness counts; flip=False mirrors none."""
    image = np.zeros((20, 32, 3), np.uint8)
    image[:, 6:26] = gradient(20, 20)
    plain = Augmentation(pad=1, flip=False, brightness=0.0, saturation=0.0)
    windows = [padded_and_cropped(gradient(20, 20), top, left, False, 1) for top in range(3) for left in range(3)]
    for seed in seeds(20):
        result = training_image(image, resolution=20, seed=seed, augmentation=plain).numpy()
        assert any((result == window).all() for window in windows)
    halved = training_image(image, resolution=10, seed=(0, 0), augmentation=plain).numpy()
    inside = halved[1:-1, 1:-1].astype(int)
    assert halved.shape == (10, 10, 3)
    assert inside.min() >= gradient(20, 20).min()
    bright = Augmentation(pad=1, flip=False, brightness=1.0, saturation=0.0)
    means = {training_image(image, resolution=20, seed=seed, augmentation=bright).numpy().mean() for seed in seeds(5)}
    assert len(means) == 5


@pytest.mark.parametrize("pad", [-1, 65, 1.5, "4", True])
def test_a_pad_that_is_none_is_refused(pad):
    """One line says what was found and what is expected."""
    with pytest.raises(InputError, match=r"augmentation: pad is .*expected a whole number from 0 to 64"):
        Augmentation(pad=pad)
