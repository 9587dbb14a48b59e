"""The photos that ship with a supernet."""

import pathlib

from ofa_tf.common import InputError

_FOLDER = pathlib.Path(__file__).parent / "photos"


def photos_names() -> list[str]:
    """The supernets that ship with photos."""
    return sorted(path.name for path in _FOLDER.iterdir() if path.is_dir())


def photos(name: str) -> pathlib.Path:
    """A folder with a few of the photos that a supernet was trained on: enough to calibrate, quantize and check it.

    Args:
        name: one of `photos_names()`.

    Returns:
        A data set's folder: `train/<class>/` has photos that it was trained on, `holdout/<class>/` others.
        `names.json` says what the classes are called.

    Raises:
        InputError: none ship with that supernet.

    Example:
        data.load("folder", zoo.photos("ofa_imagenette_mbv3"))
    """
    if name not in photos_names():
        raise InputError(f"supernet {name!r} ships without photos; give --data_dir")
    return _FOLDER / name
