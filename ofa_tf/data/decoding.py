"""Encoded images to RGB pixels, whatever the file calls itself."""

from collections.abc import Callable

import tensorflow as tf

Window = Callable[[tf.Tensor], tf.Tensor]


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


def decode_and_crop(image: tf.Tensor, window: Window) -> tf.Tensor:
    """A part of an image; of a JPEG file, only the part that is needed is decoded.

    Args:
        image: scalar string (encoded), or uint8 (height, width, 3).
        window: called with the image's int32 (height, width), returns int32 (top, left, crop height, crop width).

    Returns:
        uint8 (crop height, crop width, 3).
    """
    if image.dtype != tf.string:
        return _crop(image, window)
    return tf.cond(
        tf.io.is_jpeg(image),
        lambda: _crop_jpeg(image, window),
        lambda: _crop(decode_image(image), window),
    )


def _crop_jpeg(encoded: tf.Tensor, window: Window) -> tf.Tensor:
    size = tf.io.extract_jpeg_shape(encoded)[:2]
    return tf.io.decode_and_crop_jpeg(encoded, window(size), channels=3)


def _crop(image: tf.Tensor, window: Window) -> tf.Tensor:
    top, left, height, width = tf.unstack(window(tf.shape(image)[:2]))
    return image[top : top + height, left : left + width]
