"""What an image file is by its bytes: its format, how it is turned, and which decoder gives its right pixels.

A file's name decides nothing. TensorFlow decodes what it gets right: JPEG of one or three channels, PNG, and static
WebP without transparency; Pillow decodes all else. The answer is a `route`, one number for a file, which is found once
(its header is read for it) and kept: decoding then asks no file again which way it is turned.
"""

import contextlib
import functools
import io
import os
import re
import struct
from typing import BinaryIO

import numpy as np
import PIL.features
import PIL.Image
import PIL.ImageOps

from ofa_tf.common import brief

# Who decodes: TensorFlow a JPEG (of which it reads a part alone), TensorFlow without and with transparency, Pillow.
JPEG, OPAQUE, TRANSPARENT, PILLOW = range(4)
# A route is 8 * decoder + (EXIF orientation - 1); Pillow turns its images itself.
ORIENTATIONS = 8
# Of what is no image: TensorFlow's error says so when it is decoded.
UNKNOWN = ORIENTATIONS * OPAQUE

# Names of files that are meant to be images, whatever is in them.
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")

READABLE = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, JPEG 2000, PPM"

# Files of raw sensor values are TIFF by their bytes, and what is seen there is a small preview.
_RAW = (".dng", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".cr2", ".orf", ".rw2", ".pef", ".srw", ".3fr", ".iiq", ".erf")

# Where other formats show themselves: place, bytes, Pillow's name.
_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WEBP"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    (0, b"\xff\x0a", "JXL"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_BITMAP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
# By format, where no reader may be here: the ending by which it is counted.
_ENDINGS = {"HEIF": ".heic", "AVIF": ".avif", "JPEG2000": ".jp2", "JXL": ".jxl"}

_HEAD = 64
_TAIL = 4096
_EXIF, _XMP, _RAW_PROFILE = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"Raw profile type exif\0"
_ORIENTATION_TAG, _NEW_SUBFILE_TAG, _DNG_TAG = 0x0112, 0x00FE, 0xC612


class UnreadableImage(ValueError):
    """A file that is meant to be an image and cannot be decoded; in words, why."""


class OtherFile(ValueError):
    """A file that is no image, or one that nothing here reads: the ending that it is counted by, "" for its name's."""


def route_of(encoded: bytes) -> int:
    """The route of an encoded image.

    Raises:
        UnreadableImage: its header is damaged.
        OtherFile: it is none.
    """
    return inspect(io.BytesIO(encoded))[0]


def inspect(file: BinaryIO) -> tuple[int, bool]:
    """The route of a file, of which only the header is read, and whether its end looks like one of a whole file.

    Raises:
        UnreadableImage: its header is damaged.
        OtherFile: it is no image, or one that nothing here reads.
    """
    file.seek(0)
    head = file.read(_HEAD)
    kind = image_format(head)
    try:
        if kind == "JPEG":
            return _jpeg(file)
        if kind == "PNG":
            return _png(file)
        if kind == "WEBP":
            return _webp(file, head)
    except struct.error as error:
        raise UnreadableImage("its header ends too early") from error
    if not kind or not _is_read(kind):
        raise OtherFile(_ENDINGS.get(kind, ""))
    _check_header(file, kind)
    return _route(PILLOW), _looks_whole(file, kind, head)


def meant_as_image(name: str) -> bool:
    """Whether a file's name says that an image is in it."""
    return name.lower().endswith(SUFFIXES)


def is_raw(name: str) -> bool:
    """Whether a file's name says that raw values of a camera are in it."""
    return name.lower().endswith(_RAW)


def image_format(head: bytes) -> str:
    """Pillow's name of a format, told by the first bytes of a file; "" for what is no image."""
    for place, signature, name in _SIGNATURES:
        if head.startswith(signature, place):
            if name == "BMP" and int.from_bytes(head[14:18], "little") not in _BITMAP_HEADERS:
                continue
            return name if name != "WEBP" or head.startswith(b"RIFF") else ""
    if head[4:8] == b"ftyp":
        brands = {head[place : place + 4] for place in (8, *range(16, min(len(head), _box_end(head)), 4))}
        return "AVIF" if brands & {b"avif", b"avis"} else "HEIF" if brands & _HEIF_BRANDS else ""
    return "PPM" if re.match(rb"P[1-6][\s#]", head) else ""


def _box_end(head: bytes) -> int:
    return int.from_bytes(head[:4], "big")


@functools.cache
def _is_read(kind: str) -> bool:
    """Whether this installation has a reader of a format."""
    if kind == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            return False
        pillow_heif.register_heif_opener()
        return True
    feature = {"AVIF": "avif", "JPEG2000": "jpg_2000", "JXL": ""}.get(kind)
    return feature is None or bool(feature and PIL.features.check(feature))


def _route(decoder: int, orientation: int = 1) -> int:
    return ORIENTATIONS * decoder + orientation - 1


def _jpeg(file: BinaryIO) -> tuple[int, bool]:
    """Marker by marker up to the first scan."""
    file.seek(2)
    exif = xmp = b""
    frame = None
    while True:
        code = _marker(file)
        if code == 0xDA:
            break
        if code == 0xD9:
            raise UnreadableImage("it holds no image")
        (length,) = struct.unpack(">H", file.read(2))
        if length < 2:
            raise UnreadableImage("its header is damaged")
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            data = file.read(length - 2)
            frame = (code, *struct.unpack(">BHHB", data[:6]))
        elif code == 0xE1:
            data = file.read(length - 2)
            if data.startswith(_EXIF):
                exif = exif or data.removeprefix(_EXIF)
            elif data.startswith(_XMP):
                xmp = xmp or data
        else:
            file.seek(length - 2, os.SEEK_CUR)
    if frame is None or 0 in frame[2:4]:
        raise UnreadableImage("its header says no size")
    code, precision, _, _, channels = frame
    whole = _ends_with(file, b"\xff\xd9")
    if code not in (0xC0, 0xC1, 0xC2) or precision != 8 or channels not in (1, 3):
        return _route(PILLOW), whole
    return _route(JPEG, _orientation(exif, xmp)), whole


def _marker(file: BinaryIO) -> int:
    """The next marker that has a length or ends the header; what lies before it is passed over, as libjpeg does."""
    skipped = 0
    byte = file.read(1)
    while byte:
        if byte == b"\xff":
            byte = file.read(1)
            if byte not in (b"\xff", b"\0", b"\1", b"\xd8") and not b"\xd0" <= byte <= b"\xd7":
                break
        else:
            byte = file.read(1)
            skipped += 1
            if skipped > _TAIL:
                raise UnreadableImage("its header is damaged")
    if not byte:
        raise UnreadableImage("its header ends too early")
    return byte[0]


def _looks_whole(file: BinaryIO, kind: str, head: bytes) -> bool:
    """Whether a file that Pillow reads has its end; of TIFF and PPM only decoding shows it."""
    size = file.seek(0, os.SEEK_END)
    if kind == "BMP":
        return 0 < int.from_bytes(head[2:6], "little") <= size
    if kind == "GIF":
        file.seek(max(0, size - _TAIL))
        return file.read().rstrip(b"\0").endswith(b";")
    if kind == "JPEG2000":
        return _ends_with(file, b"\xff\xd9")
    return kind in ("AVIF", "HEIF") and _boxes_fit(file, size)


def _boxes_fit(file: BinaryIO, size: int) -> bool:
    """Whether the boxes that a file is made of end where it does."""
    place = 0
    while place < size:
        file.seek(place)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if length < 8:
            # 0 is a box to the file's end, wherever that is.
            return False
        place += length
    return place == size


def _ends_with(file: BinaryIO, mark: bytes) -> bool:
    """Whether a mark stands near the end; some cameras write more behind it."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _TAIL))
    return mark in file.read()


def _png(file: BinaryIO) -> tuple[int, bool]:
    """Chunk by chunk to the end: what says how it is turned may stand behind the pixels."""
    file.seek(8)
    length, kind = struct.unpack(">I4s", file.read(8))
    if kind != b"IHDR" or length != 13:
        raise UnreadableImage("its header is damaged")
    width, height, _, colour = struct.unpack(">IIBB", file.read(13)[:10])
    if not width or not height:
        raise UnreadableImage("its header says no size")
    file.seek(4, os.SEEK_CUR)
    transparent, raw_profile, whole, exif, xmp = colour in (4, 6), False, False, b"", b""
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        place = file.tell()
        if kind == b"IEND":
            whole = True
            break
        if kind == b"tRNS":
            transparent = True
        elif kind == b"eXIf":
            exif = exif or file.read(length).removeprefix(_EXIF)
        elif kind == b"iTXt":
            data = file.read(length)
            if data.startswith(b"XML:com.adobe.xmp\0"):
                xmp = data
        elif kind in (b"tEXt", b"zTXt"):
            raw_profile |= file.read(min(length, len(_RAW_PROFILE))) == _RAW_PROFILE
        file.seek(place + length + 4)
    orientation = _orientation_by_pillow(file) if raw_profile and not exif else _orientation(exif, xmp)
    return _route(TRANSPARENT if transparent else OPAQUE, orientation), whole


def _webp(file: BinaryIO, head: bytes) -> tuple[int, bool]:
    (length,) = struct.unpack("<I", head[4:8])
    whole = file.seek(0, os.SEEK_END) >= length + 8
    first = head[12:16]
    if first not in (b"VP8 ", b"VP8L", b"VP8X"):
        raise UnreadableImage("its header is damaged")
    (flags,) = struct.unpack("<I", head[21:25] if first == b"VP8L" else head[20:24])
    if first == b"VP8L":
        return _route(PILLOW if flags >> 28 & 1 else OPAQUE), whole
    if first == b"VP8 ":
        return _route(OPAQUE), whole
    animated, has_xmp, has_exif, has_alpha = (flags >> bit & 1 for bit in (1, 2, 3, 4))
    if animated or has_alpha:
        return _route(PILLOW), whole
    exif = xmp = b""
    file.seek(12)
    while (has_exif or has_xmp) and len(header := file.read(8)) == 8:
        kind, size = struct.unpack("<4sI", header)
        if kind == b"EXIF":
            exif = file.read(size).removeprefix(_EXIF)
        elif kind == b"XMP ":
            xmp = file.read(size)
        else:
            file.seek(size, os.SEEK_CUR)
        file.seek(size % 2, os.SEEK_CUR)
    return _route(OPAQUE, _orientation(exif, xmp)), whole


def _orientation(exif: bytes, xmp: bytes) -> int:
    """The EXIF orientation, 1 to 8; that of XMP where EXIF has none, as Pillow does."""
    found = _orientation_of_exif(exif)
    if found is None and (match := re.search(rb'tiff:Orientation(?:="|>)([0-9])', xmp)):
        found = int(match[1])
    return found if found in range(1, ORIENTATIONS + 1) else 1


def _orientation_of_exif(exif: bytes) -> int | None:
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    with contextlib.suppress(struct.error):
        (place,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, place)
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
            if tag == _ORIENTATION_TAG:
                return struct.unpack_from(order + {1: "B", 4: "I"}.get(kind, "H"), exif, entry + 8)[0]
    return None


def _orientation_by_pillow(file: BinaryIO) -> int:
    file.seek(0)
    # What a damaged profile raises depends on where the damage is; the image is upright then.
    with contextlib.suppress(Exception), PIL.Image.open(file, formats=("PNG",)) as image:
        found = image.getexif().get(_ORIENTATION_TAG)
        return found if found in range(1, ORIENTATIONS + 1) else 1
    return 1


def _check_header(file: BinaryIO, kind: str) -> None:
    """Raises unless Pillow knows what to do with a file."""
    file.seek(0)
    try:
        with PIL.Image.open(file, formats=(kind,)) as image:
            tags = getattr(image, "tag_v2", {})
            raw = _DNG_TAG in tags or tags.get(_NEW_SUBFILE_TAG, 0) == 1
    # Pillow's readers raise anything on a damaged file.
    except Exception as error:
        raise UnreadableImage(_in_words(error)) from error
    if raw:
        raise OtherFile(".dng")


def _in_words(error: Exception) -> str:
    # "cannot identify image file <_io.BytesIO object at 0x7f...>"
    return brief(re.sub(r" ?<[^>]*>", "", str(error)) or type(error).__name__, 120)


def pillow_pixels(encoded: bytes) -> np.ndarray:
    """An image as Pillow decodes it: uint8 (height, width, 3), upright, over white where it is transparent.

    Raises:
        ValueError: it cannot be decoded; in one line, why.
    """
    try:
        kind = image_format(encoded[:_HEAD])
        if not kind or not _is_read(kind):
            raise ValueError("no image that can be read here")
        with PIL.Image.open(io.BytesIO(encoded), formats=(kind,)) as image:
            image.load()
            deep = image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PNG", "PPM"))
            # A damaged description of an image is no damage to its pixels.
            with contextlib.suppress(SyntaxError, ValueError, struct.error, KeyError, TypeError):
                image = PIL.ImageOps.exif_transpose(image)
            if deep:
                # Pillow cuts 16 bits off at 255; the upper eight are what is seen.
                return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=-1)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
            return np.array(image.convert("RGB"))
    except Exception as error:
        raise ValueError(_in_words(error)) from None
