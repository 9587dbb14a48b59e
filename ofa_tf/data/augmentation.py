"""`Augmentation`: what training does to an image, decided by a seed alone."""

import dataclasses
import math
from typing import Any, NamedTuple

import tensorflow as tf

from ofa_tf.common import InputError, config
from ofa_tf.data.decoding import decode_and_crop

# Random crops that are tried before one of the nearest fitting shape is taken.
ATTEMPTS = 10

# Above this many source pixels per target pixel, plain bilinear resizing would skip pixels and alias visibly; below
# it, the low-pass filter changes little and takes longer than decoding does.
ANTIALIAS_ABOVE = 1.5

# ITU-R 601, as PIL turns RGB to grey.
LUMA = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random-resized crop, horizontal flip, brightness and saturation.

    Args:
        crop_scale: least and greatest share of the image's area that is cropped, in (0, 1].
        crop_ratio: least and greatest width / height of the crop, drawn uniformly on a logarithmic scale.
        flip: whether half of the images are mirrored left to right (not for digits and letters).
        brightness: b: pixels are multiplied by a factor from 1 - b to 1 + b.
        saturation: s: colours are drawn away from grey by a factor from 1 - s to 1 + s.

    Example:
        Augmentation(crop_scale=(0.7, 1.0), flip=False)

    Source: reference facts, "Images" (the published training augmentation).
    """

    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    brightness: float = 32 / 255
    saturation: float = 0.5

    def __post_init__(self):
        config.check_numbers("augmentation: crop_scale", self.crop_scale, 2, 1e-4, 1)
        config.check_numbers("augmentation: crop_ratio", self.crop_ratio, 2, 1e-2, 1e2)
        config.check_numbers("augmentation: brightness", self.brightness, 1, 0, 1)
        config.check_numbers("augmentation: saturation", self.saturation, 1, 0, 1)
        for name, (low, high) in (("crop_scale", self.crop_scale), ("crop_ratio", self.crop_ratio)):
            if low > high:
                raise InputError(f"augmentation: {name} is {(low, high)}, expected the lesser value first")
        if not isinstance(self.flip, bool):
            raise InputError(f"augmentation: flip is {self.flip!r}, expected true or false")

    def to_config(self) -> dict[str, Any]:
        """JSON-ready fields, read back by `from_config`."""
        return config.to_config(self)

    @staticmethod
    def from_config(fields: dict[str, Any]) -> "Augmentation":
        """Reads what `to_config` wrote; raises `InputError` where it does not fit."""
        return config.from_config(Augmentation, fields, "augmentation")


class Draws(NamedTuple):
    """What was drawn for one image, or for a batch of them with one dimension more in front.

    Args:
        sides: float32 (ATTEMPTS, 2), height and width of the crops to try, in units of the root of the image's area.
        place: float32 (2,), where the crop lies, top and left, in [0, 1).
        mirror: bool (), whether the image is flipped.
        colour: float32 (3, 3), the matrix that a pixel (a row of red, green, blue) is multiplied by.
    """

    sides: tf.Tensor
    place: tf.Tensor
    mirror: tf.Tensor
    colour: tf.Tensor


def draw(augmentation: Augmentation, seed: tf.Tensor, count: int) -> Draws:
    """Draws for `count` images at once, which costs hardly more than for one.

    Args:
        augmentation: what is drawn.
        seed: int64 (2,); the same seed gives the same draws, always.
        count: images.

    Returns:
        `Draws` of a batch.
    """
    uniform = tf.random.stateless_uniform([count, 2 * ATTEMPTS + 5], seed, alg="philox")
    low, high = augmentation.crop_scale
    least, most = augmentation.crop_ratio
    scale = low + (high - low) * uniform[:, :ATTEMPTS]
    ratio = tf.exp(math.log(least) + (math.log(most) - math.log(least)) * uniform[:, ATTEMPTS : 2 * ATTEMPTS])
    rest = uniform[:, 2 * ATTEMPTS :]
    factors = 1 + [augmentation.brightness, augmentation.saturation] * (2 * rest[:, 3:5] - 1)
    brightness, saturation = factors[:, 0, None, None], factors[:, 1, None, None]
    grey = tf.constant([[luma] * 3 for luma in LUMA])
    return Draws(
        sides=tf.sqrt(tf.stack([scale / ratio, scale * ratio], axis=-1)),
        place=rest[:, :2],
        mirror=rest[:, 2] < 0.5,
        # Both factors are linear in the pixel.
        colour=brightness * (saturation * tf.eye(3) + (1 - saturation) * grey),
    )


def training_image(
    image: tf.Tensor, *, resolution: int | tf.Tensor, seed: tf.Tensor, augmentation: Augmentation
) -> tf.Tensor:
    """One training image; the same seed gives the same image, always.

    Args:
        image: scalar string (an encoded file; of JPEG, only the crop is decoded) or uint8 (height, width, 3).
        resolution: side of the result, in pixels; an int or a scalar int32 tensor.
        seed: int64 (2,).
        augmentation: what is drawn.

    Returns:
        uint8 (resolution, resolution, 3).

    Example:
        training_image(tf.io.read_file(path), resolution=128, seed=(0, 17), augmentation=Augmentation())
    """
    draws = Draws(*(tf.squeeze(values, 0) for values in draw(augmentation, seed, 1)))
    return apply(image, resolution, draws, augmentation)


def apply(image: tf.Tensor, resolution: int | tf.Tensor, draws: Draws, augmentation: Augmentation) -> tf.Tensor:
    """`training_image` with what was drawn instead of a seed."""
    image = decode_and_crop(image, lambda size: _window(size, draws, augmentation))
    image = _resize(image, resolution)
    if augmentation.brightness or augmentation.saturation:
        image = tf.reshape(tf.matmul(tf.reshape(image, [-1, 3]), draws.colour), tf.shape(image))
    image = tf.saturate_cast(tf.round(image), tf.uint8)
    if augmentation.flip:
        image = tf.cond(draws.mirror, lambda: tf.reverse(image, [1]), lambda: image)
    return image


def _window(size: tf.Tensor, draws: Draws, augmentation: Augmentation) -> tf.Tensor:
    """The first drawn crop that fits into the image, else the largest one of an allowed ratio.

    Args:
        size: int32 (2,), height and width of the image.

    Returns:
        int32 (4,): top, left, height, width.
    """
    height_width = tf.cast(size, tf.float32)
    least, most = augmentation.crop_ratio
    # height <= width / least and width <= height * most.
    last = tf.minimum(height_width, height_width[::-1] * [1 / least, most])
    sides = tf.concat([draws.sides * tf.sqrt(tf.reduce_prod(height_width)), last[None]], axis=0)
    sides = tf.maximum(tf.cast(tf.round(sides), tf.int32), 1)
    fits = tf.reduce_all(sides <= size, axis=1)
    first = tf.reduce_min(tf.where(fits, tf.range(ATTEMPTS + 1), ATTEMPTS))
    crop = tf.minimum(sides[first], size)
    spare = size - crop
    # In float32 the product can round up to spare + 1.
    start = tf.minimum(tf.cast(draws.place * tf.cast(spare + 1, tf.float32), tf.int32), spare)
    return tf.concat([start, crop], axis=0)


def _resize(image: tf.Tensor, resolution: int | tf.Tensor) -> tf.Tensor:
    longest = tf.cast(tf.reduce_max(tf.shape(image)), tf.float32)
    size = (resolution, resolution) if isinstance(resolution, int) else tf.stack([resolution, resolution])
    return tf.cond(
        longest > ANTIALIAS_ABOVE * tf.cast(resolution, tf.float32),
        lambda: tf.image.resize(image, size, antialias=True),
        lambda: tf.image.resize(image, size),
    )
