"""Folders as people have them: every kind of file, name and damage, made from a seed."""

import os
import pathlib
import random

import numpy as np
import PIL.Image

from tests.data.image_files import encoded, exif, gradient


def _picture(random_: random.Random) -> PIL.Image.Image:
    return PIL.Image.fromarray(gradient(random_.randint(20, 60), random_.randint(20, 60), random_.randint(0, 999)))


def _deep(image: PIL.Image.Image) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def _transparent(image: PIL.Image.Image) -> PIL.Image.Image:
    image = image.convert("RGBA")
    image.putalpha(128)
    return image


# What an image's bytes may be.
IMAGES = {
    "jpeg": lambda image, turn: encoded(image, "JPEG", exif=exif(turn)),
    "progressive": lambda image, turn: encoded(image, "JPEG", progressive=True, exif=exif(turn)),
    "grey": lambda image, turn: encoded(image.convert("L"), "JPEG", exif=exif(turn)),
    "cmyk": lambda image, turn: encoded(image.convert("CMYK"), "JPEG"),
    "png": lambda image, turn: encoded(image, "PNG", exif=exif(turn)),
    "rgba": lambda image, turn: encoded(_transparent(image), "PNG", exif=exif(turn)),
    "deep": lambda image, turn: encoded(_deep(image), "PNG"),
    "webp": lambda image, turn: encoded(image, "WEBP", exif=exif(turn)),
    "bmp": lambda image, turn: encoded(image.quantize(16), "BMP"),
    "gif": lambda image, turn: encoded(image.quantize(16), "GIF"),
    "tiff": lambda image, turn: encoded(image, "TIFF", exif=exif(turn)),
}  # fmt: skip
ENDINGS = (".jpg", ".JPG", ".jpeg", ".jfif", ".png", ".PNG", ".webp", ".bmp", ".gif", ".tif", "", ".image")
# Files that are no images, by their endings.
OTHERS = {
    ".txt": b"these are photos of ants\n",
    ".csv": b"name,label\n0.jpg,ant\n",
    ".heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    ".mov": b"\0\0\0\x14ftypqt  \0\0\0\0qt  ",
    ".nef": b"MM\0*\0\0\0\x08\0\0",
}
# Files that are meant to be images and cannot be read.
DAMAGES = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "header": lambda data: data[:12],
    "page": lambda data: b"<!DOCTYPE html><title>404</title>",
}


def image(random_: random.Random) -> bytes:
    """The bytes of an image of any kind and turn."""
    return random_.choice(list(IMAGES.values()))(_picture(random_), random_.randint(1, 8))


def write_mixed_folder(root: pathlib.Path, files: int, seed: int = 0) -> dict[str, int]:
    """A folder of five classes and so many files, a tenth of them damaged.

    Returns:
        How many are "images", "damaged" and "others".
    """
    random_ = random.Random(seed)
    classes = ["ant", "bee's & <b>wasp", "caf\u00e9 \U0001f41c", "new\nline", os.fsdecode(b"d\xfcne")]
    counts = {"images": 0, "damaged": 0, "others": 0}
    for number in range(files):
        folder = root / "train" / random_.choice(classes)
        if random_.random() < 0.2:
            folder /= random_.choice(["2024", "2024/january", "more photos"])
        folder.mkdir(parents=True, exist_ok=True)
        stem = random_.choice(["IMG_", "photo ", "caf\u00e9-", os.fsdecode(b"caf\xe9-"), "\U0001f41d"]) + f"{number:04}"
        if number % 10 == 3:
            kind = random_.choice(list(DAMAGES))
            data = DAMAGES[kind](encoded(_picture(random_), random_.choice(["JPEG", "PNG"])))
            (folder / f"{stem}.jpg").write_bytes(data)
            counts["damaged"] += 1
        elif number % 10 == 7:
            ending = random_.choice(list(OTHERS))
            (folder / f"{stem}{ending}").write_bytes(OTHERS[ending])
            counts["others"] += 1
        else:
            (folder / f"{stem}{random_.choice(ENDINGS)}").write_bytes(image(random_))
            counts["images"] += 1
    return counts
