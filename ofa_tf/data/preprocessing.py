"""From a file's bytes to network inputs: decoding, the evaluation crop, and normalization."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ofa_tf.common import InputError, config
from ofa_tf.common.resizing import CROP, RESIZES, STRETCH
from ofa_tf.data.image_file import (
    JPEG,
    ORIENTATIONS,
    PILLOW,
    TRANSPARENT,
    UNKNOWN,
    OtherFile,
    UnreadableImage,
    pillow_pixels,
    route_of,
)

Window = Callable[[tf.Tensor], tf.Tensor]

# What the JPEG decoder can divide the sides of an image by.
RATIOS = (1, 2, 4, 8)

# By EXIF orientation - 1: whether rows and whether columns run backwards. From the fifth on, both change places first.
_BACKWARDS = ((0, 0), (0, 1), (1, 1), (1, 0), (0, 0), (0, 1), (1, 1), (1, 0))
_TRANSPOSED_FROM = 4

_ALL_ROUTES = tuple(range(ORIENTATIONS * (PILLOW + 1)))


class Encoded(NamedTuple):
    """An image's file, and how it is decoded: its `image_file` route, and all routes that it may have.

    A graph gets branches for those alone: what is not taken still costs something, operation by operation.
    """

    data: tf.Tensor
    route: int | tf.Tensor
    routes: tuple[int, ...]


def decode_image(image: tf.Tensor | Encoded) -> tf.Tensor:
    """Decodes an image whose format its bytes tell: JPEG, PNG, WebP, and by Pillow BMP, GIF, TIFF, AVIF and others.

    The image is turned upright as its EXIF orientation says. Transparent parts are white, grey is repeated, of
    an animation the first frame is taken, and of 16 bits the upper eight.

    Args:
        image: scalar string (whose route is then found in Python), or `Encoded`.

    Returns:
        uint8 (height, width, 3), RGB.

    Source: docs/images.md, "Which pixels".
    """
    image = _with_route(image)
    pixels = _by_route(
        image,
        {
            ORIENTATIONS * JPEG: lambda: _decode_opaque(image.data),
            ORIENTATIONS * TRANSPARENT: lambda: _decode_transparent(image.data),
            ORIENTATIONS * PILLOW: lambda: _decode_by_pillow(image.data),
        },
    )
    turned = {route % ORIENTATIONS > 0 for route in image.routes}
    if turned == {False}:
        return pixels
    orientation = image.route % ORIENTATIONS
    if turned == {True}:
        return upright(pixels, orientation)
    pixels = tf.cond(orientation > 0, lambda: upright(pixels, orientation), lambda: pixels)
    return tf.ensure_shape(pixels, (None, None, 3))


def as_pixels(image: tf.Tensor | Encoded) -> tf.Tensor:
    """An image decoded, where it is not pixels already."""
    return decode_image(image) if _is_encoded(image) else image


def _is_encoded(image: tf.Tensor | Encoded) -> bool:
    return isinstance(image, Encoded) or image.dtype == tf.string


def _with_route(image: tf.Tensor | Encoded) -> Encoded:
    if isinstance(image, Encoded):
        return image
    route = _of_bytes(_route_or_tensorflow, image, tf.int32)
    return Encoded(image, tf.ensure_shape(route, ()), _ALL_ROUTES)


def _by_route(image: Encoded, branches: dict[int, Callable[[], tf.Tensor]]) -> tf.Tensor:
    """What the branch of the image's route gives; each begins at a route and ends where the next one begins."""
    reached = sorted({max(first for first in branches if first <= route) for route in image.routes})
    if len(reached) == 1:
        return branches[reached[0]]()
    index = tf.raw_ops.Bucketize(input=image.route, boundaries=reached[1:])
    return tf.switch_case(index, [branches[first] for first in reached])


def _of_bytes(function: Callable[[bytes], Any], encoded: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """What a Python function makes of a scalar string: inside a graph it is given as bytes, outside as an array.

    Raises:
        tf.errors.InvalidArgumentError: the function raises a ValueError; outside a graph TensorFlow passes that on.
    """

    def call(value: bytes | np.ndarray) -> Any:
        return function(value if isinstance(value, bytes) else value.item())

    try:
        return tf.numpy_function(call, [encoded], dtype, stateful=False)
    except ValueError as error:
        raise tf.errors.InvalidArgumentError(None, None, str(error)) from error


def _route_or_tensorflow(encoded: bytes) -> np.int32:
    # What is no image is given to TensorFlow, whose error says what it expects.
    try:
        return np.int32(route_of(encoded))
    except (UnreadableImage, OtherFile):
        return np.int32(UNKNOWN)


def _decode_opaque(encoded: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def _decode_transparent(encoded: tf.Tensor) -> tf.Tensor:
    image = tf.cast(tf.io.decode_png(encoded, channels=4), tf.int32)
    alpha = image[..., 3:]
    return tf.cast((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def _decode_by_pillow(encoded: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(_of_bytes(pillow_pixels, encoded, tf.uint8), (None, None, 3))


def upright(image: tf.Tensor, orientation: int | tf.Tensor) -> tf.Tensor:
    """An image (height, width, channels) as its EXIF orientation, less 1, says that it is seen."""
    order = tf.where(orientation >= _TRANSPOSED_FROM, [1, 0, 2], [0, 1, 2])
    axes = tf.where(tf.gather(tf.constant(_BACKWARDS), orientation))[:, 0]
    return tf.ensure_shape(tf.reverse(tf.transpose(image, order), axes), (None, None, 3))


def _as_stored(part: tf.Tensor, size: tf.Tensor, orientation: int | tf.Tensor) -> tf.Tensor:
    """Where a part (top, left, height, width) of the upright image of a size lies in the one that is stored."""
    start, extent = part[:2], part[2:]
    backwards = tf.gather(tf.constant(_BACKWARDS), orientation) > 0
    start = tf.where(backwards, size - start - extent, start)
    order = tf.where(orientation >= _TRANSPOSED_FROM, [1, 0, 3, 2], [0, 1, 2, 3])
    return tf.gather(tf.concat([start, extent], axis=0), order)


def decode_and_crop(image: tf.Tensor | Encoded, window: Window, resolution: int | tf.Tensor) -> tf.Tensor:
    """A window (top, left, height, width) of an upright image, encoded or not, as uint8 pixels.

    Of a JPEG file only the window is decoded, at a half, quarter or eighth where no side of that is less than the
    resolution that it is resized to: the decoder then averages pixels, and has less to do.
    """
    if not _is_encoded(image):
        return _crop(image, window)
    image = _with_route(image)
    others = image._replace(routes=tuple(route for route in image.routes if route >= ORIENTATIONS))
    return _by_route(
        image,
        {
            0: lambda: _crop_jpeg(image.data, window, resolution),
            1: lambda: _crop_jpeg(image.data, window, resolution, image.route),
            ORIENTATIONS: lambda: _crop(decode_image(others), window),
        },
    )


def _crop_jpeg(
    encoded: tf.Tensor, window: Window, resolution: int | tf.Tensor, orientation: int | tf.Tensor | None = None
) -> tf.Tensor:
    size = tf.io.extract_jpeg_shape(encoded)[:2]
    if orientation is not None:
        size = tf.where(orientation >= _TRANSPOSED_FROM, size[::-1], size)
    part = window(size)
    # How many of the boundaries are reached, in one operation; small ones on scalars are what this path spends time on.
    step = tf.raw_ops.Bucketize(input=tf.reduce_min(part[2:]) // resolution, boundaries=RATIOS[1:])
    if orientation is not None:
        part = _as_stored(part, size, orientation)

    def decode(ratio: int) -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(encoded, part // ratio, channels=3, ratio=ratio)

    image = tf.switch_case(step, [lambda ratio=ratio: decode(ratio) for ratio in RATIOS])
    return image if orientation is None else upright(image, orientation)


def _crop(image: tf.Tensor, window: Window) -> tf.Tensor:
    top, left, height, width = tf.unstack(window(tf.shape(image)[:2]))
    return image[top : top + height, left : left + width]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What is done to an image between the file and the network; kept with a run and quoted by export.

    Args:
        mean: per channel (red, green, blue), in units of 0..1.
        std: per channel, in units of 0..1, not 0.
        crop_fraction: share of the resized short side that evaluation keeps, in (0, 1]; of no effect where images are
            stretched.
        resize: "crop", which keeps the proportions, or "stretch", the whole image resized to the square; in evaluation,
            training and calibration.

    Example:
        inputs = PUBLISHED.normalize(images)
        assert Preprocessing.from_config(PUBLISHED.to_config()) == PUBLISHED
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_fraction: float = 0.875
    resize: str = CROP

    def __post_init__(self):
        config.check_numbers("preprocessing: mean", self.mean, 3, 0, 1)
        config.check_numbers("preprocessing: std", self.std, 3, 1e-3, 10)
        config.check_numbers("preprocessing: crop_fraction", self.crop_fraction, 1, 1e-2, 1)
        config.check_one_of("preprocessing: resize", self.resize, RESIZES)

    def normalize(self, images: Any) -> tf.Tensor:
        """Returns float32 `((images / 255) - mean) / std` of the same shape.

        Args:
            images: uint8 or float, (..., 3), RGB, values 0..255.
        """
        # One multiplication and one addition by constants, which a converter folds into the stem convolution.
        scale = [1 / (255 * std) for std in self.std]
        offset = [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        if len(set(scale + offset)) == 2:
            # Three equal channels need no broadcasting, which takes several times as long.
            scale, offset = scale[0], offset[0]
        return tf.cast(images, tf.float32) * tf.constant(scale) + tf.constant(offset)

    def to_config(self) -> dict[str, Any]:
        """JSON-ready fields, read back by `from_config`."""
        return config.to_config(self)

    @staticmethod
    def from_config(fields: dict[str, Any]) -> "Preprocessing":
        """Reads what `to_config` wrote; raises `InputError` where it does not fit."""
        return config.from_config(Preprocessing, fields, "preprocessing")


# Source: docs/method.md, "Images".
PUBLISHED = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

# (x - 128) / 128, exact in binary: what int8 inputs of scale 1/128 hold without any rounding.
SYMMETRIC = Preprocessing(mean=(128 / 255,) * 3, std=(128 / 255,) * 3)


# Of a strip that is longer than so many times its short side, the middle is resized: all of it would not fit in memory.
_LONGEST = 32


def _middle(image: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
    """The middle of an image, of which no side is longer than `most`."""
    size = tf.shape(image)[:2]
    kept = tf.minimum(size, most)
    top, left = tf.unstack((size - kept) // 2)
    return image[top : top + kept[0], left : left + kept[1]]


def evaluation_image(image: tf.Tensor, resolution: int, crop_fraction: float, resize: str = CROP) -> tf.Tensor:
    """Resizes the short side to `ceil(resolution / crop_fraction)` and crops the centre, or stretches the whole image.

    The resizing is bilinear and, where it makes the image smaller, low-pass filtered (as PIL does it, which the
    published accuracies were measured with).

    Args:
        image: uint8 (height, width, 3).
        resolution: side of the result, in pixels.
        crop_fraction: as in `Preprocessing`.
        resize: as in `Preprocessing`.

    Returns:
        uint8 (resolution, resolution, 3), rounded.

    Raises:
        InputError: the resolution is less than 1, or `resize` is unknown.

    Source: docs/method.md, "Images".
    """
    if resolution < 1:
        raise InputError(f"resolution is {resolution}, expected an image side of at least 1 pixel")
    config.check_one_of("resize", resize, RESIZES)
    if resize == STRETCH:
        square = tf.image.resize(image, (resolution, resolution), antialias=True)
    else:
        short = math.ceil(resolution / crop_fraction)
        height, width = tf.unstack(tf.shape(image)[:2])
        shortest = tf.minimum(height, width)
        is_strip = tf.maximum(height, width) > _LONGEST * shortest
        image = tf.cond(is_strip, lambda: _middle(image, _LONGEST * shortest), lambda: image)
        height, width = tf.unstack(tf.shape(image)[:2])
        size = tf.stack([short * height // shortest, short * width // shortest])
        resized = tf.image.resize(image, size, antialias=True)
        # Half to even, as the published centre crop rounds.
        top, left = tf.unstack(tf.cast(tf.round((size - resolution) / 2), tf.int32))
        square = resized[top : top + resolution, left : left + resolution]
    square = tf.ensure_shape(square, (resolution, resolution, 3))
    return tf.saturate_cast(tf.round(square), tf.uint8)
