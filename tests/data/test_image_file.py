"""What an image is by its bytes: orientation, transparency, palettes and depths have the values that Pillow shows."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_tf.data import Augmentation, decode_image, evaluation_image, training_image
from ofa_tf.data.image_file import OtherFile, UnreadableImage, image_format, inspect, route_of
from ofa_tf.data.preprocessing import decode_and_crop
from tests.data.image_files import encoded, exif, gradient

# 9 x 6 blocks of one colour each: a pixel tells where it was, and JPEG keeps it.
BLOCKS = np.random.default_rng(0).integers(0, 256, (6, 9, 3))
IMAGE = PIL.Image.fromarray(np.kron(BLOCKS, np.ones((8, 8, 1))).astype(np.uint8))
ALPHA = (np.indices((48, 72)).sum(0) * 2).astype(np.uint8)


def as_pillow_shows(data: bytes) -> np.ndarray:
    """The reference: upright, over white."""
    image = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data))).convert("RGBA")
    white = PIL.Image.new("RGBA", image.size, "white")
    return np.asarray(PIL.Image.alpha_composite(white, image).convert("RGB")).astype(int)


def pixels(data: bytes) -> np.ndarray:
    return decode_image(tf.constant(data)).numpy().astype(int)


FORMATS = {
    "JPEG": ("JPEG", {"quality": 95, "subsampling": 0}),
    "progressive JPEG": ("JPEG", {"quality": 95, "progressive": True}),
    "grey JPEG": ("JPEG", {"quality": 95}),
    "PNG": ("PNG", {}),
    "lossless WebP": ("WEBP", {"lossless": True}),
    "WebP": ("WEBP", {"quality": 95}),
    "TIFF": ("TIFF", {}),
    "AVIF": ("AVIF", {"quality": 95}),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(name, orientation):
    """Orientations 1 to 8 in every format that has them: decoded whole and in part, the image is the upright one."""
    kind, options = FORMATS[name]
    image = IMAGE.convert("L") if "grey" in name else IMAGE
    data = encoded(image, kind, exif=exif(orientation), **options)
    expected = as_pillow_shows(data)
    found = pixels(data)
    assert found.shape == expected.shape == ((48, 72, 3) if orientation < 5 else (72, 48, 3))
    assert np.abs(found - expected).max() <= 6

    def window(size):
        np.testing.assert_array_equal(size, expected.shape[:2])
        return tf.constant([3, 5, 30, 21])

    part = decode_and_crop(tf.constant(data), window, 21).numpy().astype(int)
    assert part.shape == (30, 21, 3)
    assert np.abs(part - found[3:33, 5:26]).max() <= 6
    # At half the size, the same place; corners of the blocks are averaged.
    half = decode_and_crop(tf.constant(data), lambda size: tf.constant([8, 16, 32, 32]), 16).numpy().astype(int)
    if half.shape == (16, 16, 3) and name != "progressive JPEG":  # whose colours are stored at half the size
        assert np.abs(half - found[8:40, 16:48].reshape(16, 2, 16, 2, 3).mean((1, 3))).max() <= 12


def test_the_photo_of_a_phone():
    """A JPEG that is stored 64 wide and 48 high, orientation 6: 48 wide, 64 high, its lower left corner on top."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32], image[:24, 32:], image[24:, :32] = (220, 30, 30), (30, 220, 30), (30, 30, 220)
    found = pixels(encoded(image, "JPEG", quality=95, exif=exif(6)))
    assert found.shape == (64, 48, 3)
    for place, colour in (((4, 4), (30, 30, 220)), ((4, -5), (220, 30, 30)), ((-5, -5), (30, 220, 30))):
        assert np.abs(found[place] - colour).max() <= 4


@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_crops_and_ratios_are_of_the_upright_image(orientation):
    """Training draws from, and evaluation resizes, what the upright image would give."""
    data = encoded(gradient(48, 72), "JPEG", quality=95, subsampling=0, exif=exif(orientation))
    upright = as_pillow_shows(data).astype(np.uint8)
    for number in range(5):
        options = {"resolution": 24, "seed": (3, number), "augmentation": Augmentation()}
        first, second = (training_image(tf.constant(it), **options).numpy().astype(int) for it in (data, upright))
        assert np.abs(first - second).mean() < 3
    first, second = (evaluation_image(it, 32, 0.875).numpy().astype(int) for it in (decode_image(data), upright))
    assert np.abs(first - second).max() <= 4


@pytest.mark.parametrize("where", ["xmp", "damaged", "nine", "zero", "none"])
def test_other_places_and_damage(where):
    """XMP says it where EXIF does not; a value that is none, or a damaged description, leaves the image as it is."""
    plain = encoded(IMAGE, "JPEG", quality=95)
    if where == "xmp":
        data = encoded(IMAGE, "JPEG", quality=95, xmp=b'<x:xmpmeta><r tiff:Orientation="6"/></x:xmpmeta>')
        assert pixels(data).shape == as_pillow_shows(data).shape == (72, 48, 3)
        return
    if where == "none":
        data = plain
    elif where == "damaged":
        data = plain[:2] + b"\xff\xe1\x00\x12Exif\0\0II*\0\xff\xff\xff\0ab" + plain[2:]
    else:
        data = encoded(IMAGE, "JPEG", quality=95, exif=exif(9 if where == "nine" else 0))
    np.testing.assert_array_equal(pixels(data), pixels(plain))


def test_a_description_behind_the_pixels_of_a_png():
    """eXIf may stand behind IDAT."""
    plain = encoded(IMAGE, "PNG")
    chunk = b"eXIf" + exif(8).tobytes().removeprefix(b"Exif\0\0")
    end = plain.index(b"IEND") - 4
    late = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data = plain[:end] + late + plain[end:]
    assert route_of(data) % 8 == 7
    np.testing.assert_array_equal(pixels(data), as_pillow_shows(data))


def transparent() -> dict[str, bytes]:
    colours = PIL.Image.fromarray(np.dstack([np.asarray(IMAGE), ALPHA]))
    corner = tuple(int(value) for value in np.asarray(IMAGE)[0, 0])
    few = IMAGE.quantize(16)
    return {
        "RGBA": encoded(colours, "PNG"),
        "LA": encoded(colours.convert("LA"), "PNG"),
        "palette": encoded(few, "PNG", transparency=3),
        "palette of alphas": encoded(few, "PNG", transparency=bytes([0, 50, 100, 255, 0] + [255] * 11)),
        "one colour": encoded(IMAGE, "PNG", transparency=corner),
        "one grey": encoded(IMAGE.convert("L"), "PNG", transparency=int(np.asarray(IMAGE.convert("L"))[0, 0])),
        "WebP": encoded(colours, "WEBP", lossless=True),
        "lossy WebP": encoded(colours, "WEBP"),
        "GIF": encoded(few, "GIF", transparency=3),
        "TIFF": encoded(colours, "TIFF"),
        "turned": encoded(colours, "PNG", exif=exif(6)),
    }


@pytest.mark.parametrize("name", transparent())
def test_transparent_parts_are_white(name):
    """Whatever colours an encoder has left there, in every format that has transparency."""
    data = transparent()[name]
    assert np.abs(pixels(data) - as_pillow_shows(data)).max() <= 1


@pytest.mark.parametrize("mode", ["P", "L", "1", "RGB", "white is zero", "RLE"])
def test_palettes_of_bitmaps(mode):
    """A BMP has the colours of its palette, whichever they are, at 1 and at 8 bits, and run lengths are decoded."""
    image = IMAGE.quantize(16) if mode in ("P", "RLE") else IMAGE.convert("L" if mode == "white is zero" else mode)
    data = encoded(image, "BMP")
    if mode == "white is zero":
        place = 14 + int.from_bytes(data[14:18], "little")
        data = data[:place] + b"".join(bytes([255 - it] * 3 + [0]) for it in range(256)) + data[place + 1024 :]
    if mode == "RLE":
        # Every pixel a run of one.
        rows = np.asarray(image)[::-1]
        runs = b"".join(b"".join(bytes([1, it]) for it in row) + b"\0\0" for row in rows) + b"\0\1"
        header = bytearray(data[: int.from_bytes(data[10:14], "little")])
        header[30:34], header[34:38] = (1).to_bytes(4, "little"), len(runs).to_bytes(4, "little")
        header[2:6] = (len(header) + len(runs)).to_bytes(4, "little")
        data = bytes(header) + runs
    np.testing.assert_array_equal(pixels(data), as_pillow_shows(data))
    if mode == "white is zero":
        np.testing.assert_array_equal(pixels(data)[..., 0], 255 - np.asarray(IMAGE.convert("L")).astype(int))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits(kind):
    """The upper eight of them, where Pillow's own conversion would cut off at 255."""
    values = np.arange(48 * 72, dtype=np.uint16).reshape(48, 72) * 18
    found = pixels(encoded(PIL.Image.fromarray(values), kind))
    np.testing.assert_array_equal(found, np.repeat(values[..., None] >> 8, 3, axis=-1))


def test_sixteen_bits_of_colour():
    """As for grey."""
    data = tf.io.encode_png(np.asarray(IMAGE).astype(np.uint16) * 257).numpy()
    np.testing.assert_array_equal(pixels(data), np.asarray(IMAGE))


def test_inks():
    """A CMYK JPEG is as Pillow shows it."""
    data = encoded(IMAGE.convert("CMYK"), "JPEG", quality=95)
    expected = np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    np.testing.assert_array_equal(pixels(data), expected)


def test_an_animated_webp_is_its_first_frame():
    """As a GIF is."""
    frames = [PIL.Image.fromarray(np.full((9, 8, 3), value, np.uint8)) for value in (10, 200)]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(pixels(data), np.full((9, 8, 3), 10))


def test_one_trace_for_all_kinds():
    """A map over a folder of mixed files traces its decoder once."""
    decode = tf.function(decode_image, input_signature=[tf.TensorSpec((), tf.string)])
    for kind in ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"):
        assert decode(tf.constant(encoded(IMAGE, kind))).shape == (48, 72, 3)
    assert decode.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "data",
    [b"", b"this is no image", b"BMW is a make of cars", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", b"%PDF-1.7", b"P7 x"],
)
def test_what_is_no_image(data):
    """Texts, films and documents are told from images by their first bytes."""
    assert image_format(data) == ""
    with pytest.raises(OtherFile):
        route_of(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "AVIF", "JPEG2000"])
def test_the_end_of_a_file_is_looked_at(kind):
    """A file that was cut off does not look whole; what a camera writes behind an image does no harm."""
    data = encoded(IMAGE, kind)
    assert inspect(io.BytesIO(data))[1]
    assert not inspect(io.BytesIO(data[:-200]))[1]
    if kind != "AVIF":
        assert inspect(io.BytesIO(data + b"\0" * 100))[1]


@pytest.mark.parametrize("kind", ["TIFF", "PPM"])
def test_a_file_without_an_end_is_to_be_decoded(kind):
    """Nothing in these says that they are whole, so they never look it."""
    assert not inspect(io.BytesIO(encoded(IMAGE, kind)))[1]


@settings(max_examples=150)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    kept=st.floats(0, 1),
    orientation=st.integers(0, 9),
)
def test_damaged_files_are_decoded_or_refused(kind, changes, kept, orientation):
    """Any bytes changed, any end cut off: an image, or an error that a batch passes over, and never another one."""
    options = {"exif": exif(orientation)} if kind in ("JPEG", "PNG", "WEBP") else {}
    data = bytearray(encoded(IMAGE, kind, **options))
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    data = bytes(data[: int(kept * len(data)) + 1])
    try:
        route = route_of(data)
    except (UnreadableImage, OtherFile):
        return
    assert 0 <= route < 32
    try:
        image = decode_image(tf.constant(data))
    except tf.errors.OpError:
        return
    assert (image.dtype, image.shape.rank, image.shape[-1]) == (tf.uint8, 3, 3)
