"""What training does to images: `Augmentation`, decided by a seed alone, and `Mixing` of whole batches."""

import dataclasses
import math
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ofa_tf.common import InputError, config
from ofa_tf.common.resizing import CROP, RESIZES, STRETCH
from ofa_tf.data.preprocessing import Encoded, as_pixels, decode_and_crop

# Random crops that are tried before one of the nearest fitting shape is taken.
ATTEMPTS = 10

# From this many source pixels per target pixel on, plain bilinear resizing, which reads two, skips pixels and aliases;
# below it, a low-pass filter changes little and takes longer than decoding does.
ANTIALIAS_FROM = 2

# More than that of a small image is black.
MAX_PAD = 64

# ITU-R 601, as PIL turns RGB to grey.
LUMA = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random-resized crop or, for small images, pad and crop; horizontal flip, brightness and saturation.

    Args:
        crop_scale: least and greatest share of the image's area that is cropped, in (0, 1].
        crop_ratio: least and greatest width / height of the crop, drawn uniformly on a logarithmic scale.
        pad: pixels of black that are added on each side of an image, of which a window as large as before is taken,
            anywhere; 0 for random-resized crops. The image is its whole centre square (or all of it, stretched, see
            `Preprocessing`), resized where it has another size than the batch; `crop_scale` and `crop_ratio` have no
            effect.
        flip: whether half of the images are mirrored left to right (not for digits and letters).
        brightness: b: pixels are multiplied by a factor from 1 - b to 1 + b.
        saturation: s: colours are drawn away from grey by a factor from 1 - s to 1 + s.
        randaugment: how many operations RandAugment applies to each batch, 0 for none.
        randaugment_factor: their strength, 0..1.
        mixup: alpha of mixup (images of a batch are blended in pairs, and so are their labels), 0 for none.
        cutmix: alpha of CutMix (a part of one image is pasted into another), 0 for none; where both are given, each
            batch has one of the two.

    Example:
        Augmentation(crop_scale=(0.7, 1.0), flip=False)
        Augmentation(pad=4, brightness=0.0, saturation=0.0)  # what is usual for CIFAR-10

    Source: Cai et al., the published training code; for pad and crop He et al., "Deep Residual Learning for Image
    Recognition", CVPR 2016, section 4.2.
    """

    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    brightness: float = 32 / 255
    saturation: float = 0.5
    randaugment: int = 0
    randaugment_factor: float = 0.3
    mixup: float = 0.0
    cutmix: float = 0.0
    pad: int = 0

    def __post_init__(self):
        config.check_numbers("augmentation: crop_scale", self.crop_scale, 2, 1e-4, 1)
        config.check_numbers("augmentation: crop_ratio", self.crop_ratio, 2, 1e-2, 1e2)
        config.check_whole("augmentation: pad", self.pad, 0, MAX_PAD)
        config.check_numbers("augmentation: brightness", self.brightness, 1, 0, 1)
        config.check_numbers("augmentation: saturation", self.saturation, 1, 0, 1)
        config.check_numbers("augmentation: randaugment_factor", self.randaugment_factor, 1, 0, 1)
        config.check_numbers("augmentation: mixup", self.mixup, 1, 0, 10)
        config.check_numbers("augmentation: cutmix", self.cutmix, 1, 0, 10)
        for name, (low, high) in (("crop_scale", self.crop_scale), ("crop_ratio", self.crop_ratio)):
            if low > high:
                raise InputError(f"augmentation: {name} is {(low, high)}, expected the lesser value first")
        config.check_bool("augmentation: flip", self.flip)
        config.check_whole("augmentation: randaugment", self.randaugment, 0, 8)

    def to_config(self) -> dict[str, Any]:
        """JSON-ready fields, read back by `from_config`."""
        return config.to_config(self)

    @staticmethod
    def from_config(fields: dict[str, Any]) -> "Augmentation":
        """Reads what `to_config` wrote; raises `InputError` where it does not fit."""
        return config.from_config(Augmentation, fields, "augmentation")


class Draws(NamedTuple):
    """What was drawn for one image, or for a batch of them with one dimension more in front."""

    sides: tf.Tensor  # float32 (ATTEMPTS, 2), height and width of the crops to try, in roots of the area (`_window`)
    place: tf.Tensor  # float32 (2,), where the crop lies, top and left, in [0, 1)
    mirror: tf.Tensor  # bool (), whether the image is flipped
    colour: tf.Tensor  # float32 (3, 3), what a pixel (a row of red, green, blue) is multiplied by


def draw(augmentation: Augmentation, seed: tf.Tensor, count: int) -> Draws:
    """Draws for `count` images at once, decided by an int64 (2,) seed; this costs hardly more than for one."""
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
        # Less than 1 by so much that in float32 the product with a number of places is less than that number.
        place=tf.minimum(rest[:, :2], 1 - 2**-20),
        mirror=tf.logical_and(rest[:, 2] < 0.5, augmentation.flip),
        # Both factors are linear in the pixel.
        colour=brightness * (saturation * tf.eye(3) + (1 - saturation) * grey),
    )


def training_image(
    image: tf.Tensor, *, resolution: int | tf.Tensor, seed: tf.Tensor, augmentation: Augmentation, resize: str = CROP
) -> tf.Tensor:
    """One training image; the same seed gives the same image, always.

    Args:
        image: scalar string (an encoded file; of JPEG, only the crop is decoded) or uint8 (height, width, 3).
        resolution: side of the result, in pixels; an int or a scalar int32 tensor.
        seed: int64 (2,).
        augmentation: what is drawn.
        resize: as in `Preprocessing`.

    Returns:
        uint8 (resolution, resolution, 3).

    Raises:
        InputError: `resize` is unknown.

    Example:
        training_image(tf.io.read_file(path), resolution=128, seed=(0, 17), augmentation=Augmentation())
    """
    config.check_one_of("resize", resize, RESIZES)
    draws = draw(augmentation, seed, 1)
    image = fitted(image, resolution, tf.nest.map_structure(lambda values: values[0], draws), augmentation, resize)
    return finished(image[None], draws, augmentation)[0]


def fitted(
    image: tf.Tensor | Encoded, resolution: int | tf.Tensor, draws: Draws, augmentation: Augmentation, resize: str
) -> tf.Tensor:
    """One image, encoded or not, at the size of its batch: uint8 (resolution, resolution, 3); the first part."""
    if augmentation.pad:
        return square(as_pixels(image), resolution, resize)
    return crop(image, resolution, draws, augmentation, resize)


def finished(images: tf.Tensor, draws: Draws, augmentation: Augmentation) -> tf.Tensor:
    """The rest, of a whole batch of `fitted` images at once: uint8 (batch, r, r, 3)."""
    if not augmentation.pad:
        return finish(images, draws.mirror, draws.colour)
    images = pad_and_crop(images, draws.place, draws.mirror, augmentation.pad)
    if augmentation.brightness or augmentation.saturation:
        images = finish(images, tf.zeros_like(draws.mirror), draws.colour)
    return images


def square(images: tf.Tensor, resolution: int | tf.Tensor, resize: str) -> tf.Tensor:
    """The largest square in the middle of uint8 images (..., height, width, 3), or all of them, at the resolution."""
    if images.shape[-3:-1] == (resolution, resolution):
        return images
    if resize == CROP:
        sides = tf.shape(images)[-3:-1]
        side = tf.reduce_min(sides)
        top, left = tf.unstack((sides - side) // 2)
        images = images[..., top : top + side, left : left + side, :]
    resized = tf.image.resize(images, tf.stack([resolution, resolution]), antialias=True)
    return tf.cast(resized + 0.5, tf.uint8)


def pad_and_crop(images: tf.Tensor, place: tf.Tensor, mirror: tf.Tensor, pad: int) -> tf.Tensor:
    """A window of each uint8 image (batch, r, r, 3) after padding with black, mirrored or not."""
    count, side = tf.shape(images)[0], tf.shape(images)[1]
    padded = tf.pad(images, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
    top, left = tf.unstack(tf.cast(place * (2 * pad + 1), tf.int32), axis=1)
    along = tf.range(side)
    rows = top[:, None] + along
    columns = left[:, None] + tf.where(mirror[:, None], along[::-1], along)
    # One look-up of whole pixels for the batch; a slice for each image takes many times as long.
    wide = side + 2 * pad
    rows += wide * tf.range(count)[:, None]
    found = tf.gather(tf.reshape(padded, [-1, 3]), wide * rows[:, :, None] + columns[:, None, :])
    return tf.ensure_shape(found, images.shape)


def crop(
    image: tf.Tensor | Encoded, resolution: int | tf.Tensor, draws: Draws, augmentation: Augmentation, resize: str
) -> tf.Tensor:
    """The drawn crop of one image, resized: uint8 (resolution, resolution, 3)."""
    image = decode_and_crop(image, lambda size: _window(size, draws, augmentation, resize), resolution)
    sides = tf.shape(image)[:2]
    size = (resolution, resolution) if isinstance(resolution, int) else tf.stack([resolution, resolution])
    resized = tf.cond(
        tf.reduce_min(sides) >= ANTIALIAS_FROM * resolution,
        lambda: tf.image.resize(image, size, antialias=True),
        lambda: tf.image.resize(image, size),
    )
    # Rounded before the colours, too, as PIL does: a batch is a quarter as large to copy and to read.
    return tf.cast(resized + 0.5, tf.uint8)


# Compiled, the arithmetic on a batch is one pass over its pixels. As operations of their own on single images, the
# colours alone take as long as decoding.
@tf.function(jit_compile=True, autograph=False)
def finish(images: tf.Tensor, mirror: tf.Tensor, colour: tf.Tensor) -> tf.Tensor:
    """Colour and flip of a batch of cropped uint8 images (batch, r, r, 3)."""
    channels = tf.unstack(tf.cast(images, tf.float32), axis=-1)
    factors = colour[..., None, None]
    mixed = [sum(channels[source] * factors[:, source, target] for source in range(3)) for target in range(3)]
    images = tf.cast(tf.clip_by_value(tf.round(tf.stack(mixed, axis=-1)), 0.0, 255.0), tf.uint8)
    return tf.where(mirror[:, None, None, None], images[:, :, ::-1], images)


def _window(size: tf.Tensor, draws: Draws, augmentation: Augmentation, resize: str = CROP) -> tf.Tensor:
    """Top, left, height, width of the first drawn crop that fits, else of the largest one of an allowed ratio.

    Of an image that is stretched, area and ratio are those in the square, where each of its sides is 1.
    """
    height_width = tf.cast(size, tf.float32)
    least, most = augmentation.crop_ratio
    if resize == STRETCH:
        unit, other = height_width, height_width
    else:
        unit, other = tf.sqrt(tf.reduce_prod(height_width)), height_width[::-1]
    # In these units height <= width / least and width <= height * most.
    last = tf.round(tf.minimum(height_width, other * [1 / least, most]))
    sides = tf.round(draws.sides * unit)
    fits = tf.reduce_all(sides <= height_width, axis=1)
    first = tf.argmax(fits)
    sides = tf.maximum(tf.where(fits[first], sides[first], last), 1.0)
    start = draws.place * (height_width - sides + 1)
    # Truncates both.
    return tf.cast(tf.concat([start, sides], axis=0), tf.int32)


class Mixing:
    """RandAugment, mixup and CutMix of whole batches, by Keras' layers, whose random state is set before each batch.

    RandAugment draws its operations once for the batch, and their strengths for each image.

    Source: Cubuk et al., "RandAugment", 2020; Zhang et al., "mixup", 2018; Yun et al., "CutMix", 2019.
    """

    def __init__(self, augmentation: Augmentation, num_classes: int, seed: int):
        self.num_classes = num_classes
        self.seed = seed
        self._operations = None
        if augmentation.randaugment:
            self._operations = keras.layers.RandAugment(
                value_range=(0, 255), num_ops=augmentation.randaugment, factor=augmentation.randaugment_factor
            )
        self._blends = [
            layer(alpha)
            for layer, alpha in ((keras.layers.MixUp, augmentation.mixup), (keras.layers.CutMix, augmentation.cutmix))
            if alpha
        ]

    @staticmethod
    def wanted(augmentation: Augmentation) -> bool:
        """Whether there is anything to do."""
        return bool(augmentation.randaugment or augmentation.mixup or augmentation.cutmix)

    def __call__(self, step: int, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The uint8 images of a step, and their labels or, where images were blended, soft targets (batch, classes)."""
        with tf.device("CPU:0"):
            images = tf.cast(images, tf.float32)
            if self._operations is not None:
                self._reset(self._operations, step)
                images = self._operations(images, training=True)
            if self._blends:
                blend = self._blends[int(np.random.default_rng([self.seed, step]).integers(len(self._blends)))]
                self._reset(blend, step)
                mixed = blend({"images": images, "labels": tf.one_hot(labels, self.num_classes)}, training=True)
                images, labels = mixed["images"], mixed["labels"]
            return tf.saturate_cast(tf.round(images), tf.uint8), labels

    def _reset(self, layer: keras.layers.Layer, step: int) -> None:
        # The second number is advanced with each draw: there are fewer than 256 of them.
        layer.generator.state.assign(np.array([self.seed, 256 * step], dtype=layer.generator.state.dtype))
