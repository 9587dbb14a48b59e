"""From a file's bytes to network inputs: decoding, the evaluation crop, and normalization."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from ofa_tf.common import InputError, config

Window = Callable[[tf.Tensor], tf.Tensor]

# What the JPEG decoder can divide the sides of an image by.
RATIOS = (1, 2, 4, 8)


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes JPEG (grey and CMYK too), PNG, BMP or the first frame of a GIF; the format is told by the bytes.

    Args:
        encoded: scalar string.

    Returns:
        uint8 (height, width, 3), RGB; transparency is dropped, grey is repeated.
    """
    is_bmp = tf.equal(tf.strings.substr(encoded, 0, 2), b"BM")
    return tf.cond(is_bmp, lambda: _decode_bmp(encoded), lambda: _decode_other(encoded))


def _decode_other(encoded: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def _decode_bmp(encoded: tf.Tensor) -> tf.Tensor:
    # The BMP decoder refuses to change the number of channels.
    image = tf.io.decode_bmp(encoded, channels=0)
    channels = tf.shape(image)[2]
    image = tf.cond(channels < 3, lambda: tf.repeat(image[..., :1], 3, axis=2), lambda: image[..., :3])
    return tf.ensure_shape(image, (None, None, 3))


def decode_and_crop(image: tf.Tensor, window: Window, resolution: int | tf.Tensor) -> tf.Tensor:
    """A window (top, left, height, width) of an image, encoded or not, as uint8 pixels.

    Of a JPEG file only the window is decoded, at a half, quarter or eighth where no side of that is less than the
    resolution that it is resized to: the decoder then averages pixels, and has less to do.
    """
    if image.dtype != tf.string:
        return _crop(image, window)
    return tf.cond(
        tf.io.is_jpeg(image),
        lambda: _crop_jpeg(image, window, resolution),
        lambda: _crop(decode_image(image), window),
    )


def _crop_jpeg(encoded: tf.Tensor, window: Window, resolution: int | tf.Tensor) -> tf.Tensor:
    part = window(tf.io.extract_jpeg_shape(encoded)[:2])
    # How many of the boundaries are reached, in one operation; small ones on scalars are what this path spends time on.
    step = tf.raw_ops.Bucketize(input=tf.reduce_min(part[2:]) // resolution, boundaries=RATIOS[1:])

    def decode(ratio: int) -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(encoded, part // ratio, channels=3, ratio=ratio)

    return tf.switch_case(step, [lambda ratio=ratio: decode(ratio) for ratio in RATIOS])


def _crop(image: tf.Tensor, window: Window) -> tf.Tensor:
    top, left, height, width = tf.unstack(window(tf.shape(image)[:2]))
    return image[top : top + height, left : left + width]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What is done to an image between the file and the network; kept with a run and quoted by export.

    Args:
        mean: per channel (red, green, blue), in units of 0..1.
        std: per channel, in units of 0..1, not 0.
        crop_fraction: share of the resized short side that evaluation keeps, in (0, 1].

    Example:
        inputs = PUBLISHED.normalize(images)
        assert Preprocessing.from_config(PUBLISHED.to_config()) == PUBLISHED
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_fraction: float = 0.875

    def __post_init__(self):
        config.check_numbers("preprocessing: mean", self.mean, 3, 0, 1)
        config.check_numbers("preprocessing: std", self.std, 3, 1e-3, 10)
        config.check_numbers("preprocessing: crop_fraction", self.crop_fraction, 1, 1e-2, 1)

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


def evaluation_image(image: tf.Tensor, resolution: int, crop_fraction: float) -> tf.Tensor:
    """Resizes the short side to `ceil(resolution / crop_fraction)` and crops the centre.

    The resizing is bilinear and, where it makes the image smaller, low-pass filtered (as PIL does it, which the
    published accuracies were measured with).

    Args:
        image: uint8 (height, width, 3).
        resolution: side of the result, in pixels.
        crop_fraction: as in `Preprocessing`.

    Returns:
        uint8 (resolution, resolution, 3), rounded.

    Raises:
        InputError: the resolution is less than 1.

    Source: docs/method.md, "Images".
    """
    if resolution < 1:
        raise InputError(f"resolution is {resolution}, expected an image side of at least 1 pixel")
    short = math.ceil(resolution / crop_fraction)
    height, width = tf.unstack(tf.shape(image)[:2])
    shortest = tf.minimum(height, width)
    size = tf.stack([short * height // shortest, short * width // shortest])
    resized = tf.image.resize(image, size, antialias=True)
    # Half to even, as the published centre crop rounds.
    top, left = tf.unstack(tf.cast(tf.round((size - resolution) / 2), tf.int32))
    cropped = resized[top : top + resolution, left : left + resolution]
    cropped = tf.ensure_shape(cropped, (resolution, resolution, 3))
    return tf.saturate_cast(tf.round(cropped), tf.uint8)
