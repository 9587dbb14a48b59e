"""Encoded images to RGB pixels, whatever the file calls itself."""

from collections.abc import Callable

import tensorflow as tf

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
    """A part of an image; of a JPEG file, only the part that is needed is decoded, and no finer than is needed.

    Args:
        image: scalar string (encoded), or uint8 (height, width, 3).
        window: called with the image's int32 (height, width), returns int32 (top, left, crop height, crop width).
        resolution: the side, in pixels, that the part is resized to afterwards.

    Returns:
        uint8 (crop height, crop width, 3), of a JPEG file at a half, quarter or eighth where no side of that is less
        than `resolution`: the decoder then averages pixels, and has less to do.
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
