"""`Preprocessing`: the one owner of how pixels become network inputs."""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from ofa_tf.common import InputError, config


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
