"""Small image files that the tests of this folder write."""

import io
import pathlib

import numpy as np
import PIL.Image


def gradient(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 (height, width, 3): smooth, so that it survives JPEG, and different for each seed."""
    base = np.random.default_rng(seed).integers(40, 200, 3)
    rows, columns = np.mgrid[0:height, 0:width]
    slopes = np.stack([rows, columns, rows + columns], axis=-1) / (height + width) * 50
    return (base + slopes).astype(np.uint8)


def encoded(image: np.ndarray | PIL.Image.Image, kind: str, **options) -> bytes:
    """The image as a file's bytes; `kind` as PIL calls it ("JPEG", "PNG", "BMP", "GIF")."""
    buffer = io.BytesIO()
    (image if isinstance(image, PIL.Image.Image) else PIL.Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def write_folder(root: pathlib.Path, counts: dict[str, int], size: tuple[int, int] = (24, 30)) -> pathlib.Path:
    """Writes `root`/<class>/<number>.jpg with the given numbers of images."""
    seed = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (root / name / f"{number:03}.jpg").write_bytes(encoded(gradient(*size, seed), "JPEG", quality=95))
            seed += 1
    return root


def exif(orientation: int) -> PIL.Image.Exif:
    """What a camera writes about how an image is turned, for `encoded(..., exif=...)`."""
    tags = PIL.Image.Exif()
    tags[0x0112] = orientation
    return tags
