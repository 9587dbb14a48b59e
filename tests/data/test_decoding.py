"""Every file format that a folder of photos holds becomes RGB."""

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from ofa_tf.data import decode_image
from ofa_tf.data.preprocessing import decode_and_crop
from tests.data.image_files import encoded, gradient

IMAGE = gradient(20, 31)


def variant(mode: str) -> PIL.Image.Image:
    return PIL.Image.fromarray(IMAGE).convert(mode)


@pytest.mark.parametrize(
    ("kind", "mode", "tolerance"),
    [
        ("JPEG", "RGB", 6),
        ("JPEG", "L", 6),
        ("JPEG", "CMYK", 6),
        ("PNG", "RGB", 0),
        ("PNG", "RGBA", 0),
        ("PNG", "L", 0),
        ("PNG", "LA", 0),
        ("PNG", "P", 0),
        ("BMP", "RGB", 0),
        ("BMP", "RGBA", 0),
        ("BMP", "L", 0),
        ("GIF", "P", 0),
    ],
)
def test_formats(kind, mode, tolerance):
    """Colour, grey, CMYK, palette and transparent files decode to three channels with the right values."""
    data = encoded(variant(mode), kind, **({"quality": 100, "subsampling": 0} if kind == "JPEG" else {}))
    expected = np.asarray(variant(mode).convert("RGB"))
    result = decode_image(tf.constant(data))
    assert result.dtype == tf.uint8
    assert result.shape == IMAGE.shape
    assert np.abs(result.numpy().astype(int) - expected.astype(int)).mean() <= tolerance

    def window(size):
        np.testing.assert_array_equal(size, IMAGE.shape[:2])
        return tf.constant([3, 5, 10, 17])

    cropped = decode_and_crop(tf.constant(data), window, 16)
    np.testing.assert_allclose(cropped.numpy().astype(int), result[3:13, 5:22].numpy().astype(int), atol=3)


@pytest.mark.parametrize(("resolution", "ratio"), [(40, 1), (32, 2), (31, 2), (16, 4), (8, 8), (3, 8)])
def test_jpeg_is_decoded_no_finer_than_needed(resolution, ratio):
    """A 72 x 64 part comes at a half, quarter or eighth where that is not below the resolution, from the same place."""
    image = gradient(97, 120)
    data = tf.constant(encoded(image, "JPEG", quality=95))
    found = decode_and_crop(data, lambda _: tf.constant([16, 24, 72, 64]), resolution).numpy().astype(float)
    assert found.shape == (72 // ratio, 64 // ratio, 3)
    part = image[16:88, 24:88].astype(float)
    means = part.reshape(72 // ratio, ratio, 64 // ratio, ratio, 3).mean((1, 3))
    np.testing.assert_allclose(found, means, atol=5)


def test_first_frame_of_an_animation():
    """An animated GIF is its first frame, not a fourth dimension."""
    frames = [PIL.Image.fromarray(np.full((9, 8, 3), value, np.uint8)) for value in (10, 200)]
    result = decode_image(tf.constant(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    assert result.shape == (9, 8, 3)
    assert np.abs(result.numpy().astype(int) - 10).max() <= 2


def test_the_bytes_decide_not_the_name():
    """ImageNet has a PNG called .JPEG: nothing here looks at names, and a map over both kinds has one trace."""
    decode = tf.function(decode_image, input_signature=[tf.TensorSpec((), tf.string)])
    for kind in ("JPEG", "PNG", "BMP"):
        assert decode(tf.constant(encoded(IMAGE, kind))).shape == IMAGE.shape
    assert decode.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("wrap", [lambda function: function, tf.function], ids=["eager", "graph"])
def test_a_damaged_file_that_pillow_reads_is_an_error_of_tensorflow(wrap):
    """Inside a graph and outside: whoever reads on asks for that kind of error alone."""
    whole = encoded(gradient(40, 50), "WEBP")
    with pytest.raises(tf.errors.OpError):
        wrap(decode_image)(tf.constant(whole[: len(whole) // 2]))
