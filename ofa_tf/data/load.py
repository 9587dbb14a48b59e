"""`load`: data sets by name, of which folders and digits are here, and those of TensorFlow Datasets in `tfds`."""

import os
import pathlib

import numpy as np
import tensorflow as tf

from ofa_tf.common import InputError
from ofa_tf.data.dataset import FILES, PIXELS, ImageDataset, Split, hold_out, stratified_indices
from ofa_tf.data.pipeline import check_seed
from ofa_tf.data.tfds import load_tfds

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")

# Where a folder has its own, by their names of today and of before.
VALIDATION_FOLDERS, TEST_FOLDERS = ("validation", "holdout"), ("test", "val")

LAYOUT = "expected train/<class>/*.jpg in it (and perhaps validation/<class>/*.jpg, test/<class>/*.jpg)"


def load_folder(data_dir: str | os.PathLike | None, validation: float | None, seed: int) -> ImageDataset:
    """Reads the names of the images under `data_dir`/train/<class>/, and of its other splits where there are such.

    Classes are the names of the class folders, sorted. Files that are hidden, or no images by their suffix, are
    ignored.
    """
    if not data_dir:
        raise InputError(f"--data_dir: not given, --dataset=folder needs it; {LAYOUT}")
    root = pathlib.Path(data_dir)
    if not root.is_dir():
        raise InputError(f"--data_dir={root}: no such folder; {LAYOUT}")
    if not (root / "train").is_dir():
        raise InputError(f"--data_dir={root}: no folder train in it; {LAYOUT}")
    class_names = _visible(root / "train", folders=True)
    if len(class_names) < 2:
        found = f"only one class folder ({class_names[0]})" if class_names else "no class folders"
        raise InputError(f"{root / 'train'}: {found}; expected two or more, one per class, with images in each")
    train = _split(root / "train", class_names, class_names)
    own, test = _only_one(root, VALIDATION_FOLDERS), _only_one(root, TEST_FOLDERS)
    if own is None:
        splits = hold_out("folder", train, validation, seed)
    elif validation is None:
        splits = {"train": train, "validation": _other_split(own, class_names)}
    else:
        raise InputError(f"validation={validation}: {own} says already which images; leave one of them out")
    if test is not None:
        splits["test"] = _other_split(test, class_names)
    return ImageDataset("folder", tuple(class_names), splits)


def _only_one(root: pathlib.Path, names: tuple[str, ...]) -> pathlib.Path | None:
    """The folder of a split under one of its names."""
    found = [root / name for name in names if (root / name).is_dir()]
    if len(found) > 1:
        raise InputError(
            f"{root}: has the folders {' and '.join(names)}, which both name the {names[0]} split; rename or remove one"
        )
    return found[0] if found else None


def _other_split(folder: pathlib.Path, class_names: list[str]) -> Split:
    """What is not trained on may lack some of the classes."""
    names = _visible(folder, folders=True)
    unknown = sorted(set(names) - set(class_names))
    if unknown or not names:
        found = f"class {unknown[0]}, which {folder.parent / 'train'} does not have" if unknown else "no class folders"
        raise InputError(
            f"{folder}: {found}; expected the classes of train: rename them, or remove the folder {folder.name}"
        )
    return _split(folder, names, class_names)


def _visible(folder: pathlib.Path, folders: bool) -> list[str]:
    """The sorted names of the folders or files in a folder, hidden ones left out."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and (entry.is_dir() if folders else entry.is_file())
            )
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error


def _split(folder: pathlib.Path, names: list[str], class_names: list[str]) -> Split:
    paths, labels = [], []
    for name in names:
        images = [file for file in _visible(folder / name, folders=False) if file.lower().endswith(SUFFIXES)]
        if not images:
            raise InputError(
                f"{folder / name}: no images in this class folder; expected files that end in {', '.join(SUFFIXES)}: "
                f"add some or remove the folder"
            )
        paths += [os.path.join(folder, name, file) for file in images]
        labels += [class_names.index(name)] * len(images)
    return Split.make(f"folder {folder.name}", FILES, paths, labels)


SIDE = 40
TEST_IMAGES, VALIDATION_IMAGES = 360, 400


def load_digits(validation: float | None, seed: int) -> ImageDataset:
    """1,797 digits of 8x8 grey values, enlarged smoothly to 40x40 RGB; "test", 360, is the same for every seed."""
    # Takes seconds to import, and only this data set needs it.
    from sklearn.datasets import load_digits as read_digits

    data = read_digits()
    with tf.device("CPU:0"):
        values = tf.constant(data.images[..., None] * (255 / 16), tf.float32)
        enlarged = tf.image.resize(values, (SIDE, SIDE), method="bicubic").numpy()
    pixels = np.repeat(np.clip(np.rint(enlarged), 0, 255).astype(np.uint8), 3, axis=-1)
    everything = Split.make("digits", PIXELS, pixels, data.target)
    test = stratified_indices(everything.labels, TEST_IMAGES, seed=0)
    rest = everything.take("digits", np.setdiff1d(np.arange(len(everything)), test))
    splits = hold_out("digits", rest, VALIDATION_IMAGES if validation is None else validation, seed)
    splits["test"] = everything.take("digits test", test)
    return ImageDataset("digits", tuple(str(name) for name in data.target_names), splits)


def load(
    dataset: str, data_dir: str | os.PathLike | None = None, validation: float | None = None, seed: int = 0
) -> ImageDataset:
    """Opens a data set and holds some of its training images out.

    Args:
        dataset: "folder", "digits", or the name of a TensorFlow Datasets image-classification set
            ("cifar10", "imagenet2012:5.1.0").
        data_dir: the folder of images, or where TensorFlow Datasets keeps its prepared data.
        validation: how many training images become the validation split: a number, a fraction if below 1, or None for
            the default (digits: 400; else 10 percent, at most 10,000) and for a folder that has its own.
        seed: draws them, evenly over the classes.

    Returns:
        An `ImageDataset` with the splits "train", "validation" and, where the data has one, "test".

    Raises:
        InputError: the data is missing or does not fit.

    Example:
        load("folder", "photos", validation=0.2).num_classes
    """
    check_seed(seed)
    if dataset == "folder":
        return load_folder(data_dir, validation, seed)
    if dataset == "digits":
        return load_digits(validation, seed)
    return load_tfds(dataset, data_dir, validation, seed)
