"""`load`: data sets by name, of which folders and digits are here, and those of TensorFlow Datasets in `tfds`."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ofa_tf.common import InputError, printable
from ofa_tf.data.dataset import PIXELS, ImageDataset, Split
from ofa_tf.data.folder import class_folders, scan
from ofa_tf.data.holding_out import hold_out, stratified_indices
from ofa_tf.data.pipeline import check_seed
from ofa_tf.data.tfds import is_prepared, prepared_parts, tfds_parts

# Where a folder has its own, by their names of today and of before.
VALIDATION_FOLDERS, TEST_FOLDERS = ("validation", "holdout"), ("test", "val")

# What a folder of images is called among the sets.
FOLDER_NAMES = ("folder", "imagefolder")

LAYOUT = "expected train/<class>/*.jpg in it (and perhaps validation/<class>/*.jpg, test/<class>/*.jpg)"


class Source(NamedTuple):
    """A data set before it is known which of its training images are held out."""

    name: str
    class_names: tuple[str, ...]
    train: Split
    others: dict[str, Split]
    where: str
    # The name of the folder that holds its own validation split, "" where there is none.
    own: str = ""
    default: float | None = None


def read_folder(
    data_dir: str | os.PathLike | None, lost: Collection[str] = (), classes: Sequence[str] | None = None
) -> Source:
    """Reads the names and headers of the images under `data_dir`/train/<class>/, and of its other splits.

    Classes are the names of the class folders, sorted; sub-folders of a class belong to it. Where all folders are among
    `classes`, these are the classes: a folder of some of ImageNet's is one of ImageNet.
    """
    if not data_dir:
        raise InputError(f"--data_dir: not given, --dataset=folder needs it; {LAYOUT}")
    root = pathlib.Path(data_dir)
    shown = f"--data_dir={printable(str(root))}"
    if not os.path.isdir(root):
        found = "is a file, expected a folder" if os.path.exists(root) else "no such folder"
        raise InputError(f"{shown}: {found}; {LAYOUT}")
    if not os.path.isdir(root / "train"):
        raise InputError(f"{shown}: no folder train in it; {LAYOUT}")
    folders = {"train": class_folders(root / "train")}
    class_names = tuple(folders["train"])
    if len(class_names) < 2:
        found = f"only one class folder ({printable(class_names[0])})" if class_names else "no class folders"
        raise InputError(f"{root / 'train'}: {found}; expected two or more, one per class, with images in each")
    own, test = _only_one(root, VALIDATION_FOLDERS), _only_one(root, TEST_FOLDERS)
    others = {name: folder for name, folder in (("validation", own), ("test", test)) if folder}
    found = set(class_names).union(*(class_folders(root / folder) for folder in others.values()))
    if classes and found <= set(classes):
        class_names = tuple(classes)
    for folder in others.values():
        folders[folder] = _other_classes(root / folder, class_names)
    splits = scan(root, folders, class_names, lost, VALIDATION_FOLDERS + TEST_FOLDERS)
    others = {name: splits[folder] for name, folder in others.items()}
    return Source("folder", class_names, splits["train"], others, str(root), own)


def _only_one(root: pathlib.Path, names: tuple[str, ...]) -> str:
    """The folder of a split under one of its names, "" where there is none."""
    found = [name for name in names if os.path.isdir(root / name)]
    if len(found) > 1:
        raise InputError(
            f"{root}: has the folders {' and '.join(names)}, which both name the {names[0]} split; rename or remove one"
        )
    return found[0] if found else ""


def _other_classes(folder: pathlib.Path, class_names: tuple[str, ...]) -> dict[str, str]:
    """The class folders of a split that is not trained on, and may lack some of the classes."""
    names = class_folders(folder)
    unknown = sorted(set(names) - set(class_names))
    if unknown or not names:
        found = (
            f"class {printable(unknown[0])}, which {folder.parent / 'train'} does not have"
            if unknown
            else "no class folders"
        )
        raise InputError(
            f"{folder}: {found}; expected the classes of train: rename them, or remove the folder {folder.name}"
        )
    return names


SIDE = 40
TEST_IMAGES, VALIDATION_IMAGES = 360, 400


def read_digits() -> Source:
    """1,797 digits of 8x8 grey values, enlarged smoothly to 40x40 RGB; "test", 360, is the same for every seed."""
    # Takes seconds to import, and only this data set needs it.
    from sklearn.datasets import load_digits

    data = load_digits()
    with tf.device("CPU:0"):
        values = tf.constant(data.images[..., None] * (255 / 16), tf.float32)
        enlarged = tf.image.resize(values, (SIDE, SIDE), method="bicubic").numpy()
    pixels = np.repeat(np.clip(np.rint(enlarged), 0, 255).astype(np.uint8), 3, axis=-1)
    everything = Split.make("digits", PIXELS, pixels, data.target)
    test = stratified_indices(everything.labels, TEST_IMAGES, seed=0)
    rest = everything.take("digits", np.setdiff1d(np.arange(len(everything)), test))
    others = {"test": everything.take("digits test", test)}
    return Source(
        "digits", tuple(str(name) for name in data.target_names), rest, others, "digits", "", VALIDATION_IMAGES
    )


def load(
    dataset: str,
    data_dir: str | os.PathLike | None = None,
    validation: float | None = None,
    seed: int = 0,
    *,
    default: float | Callable[[int], float] | None = None,
    known: Mapping[str, Any] | None = None,
    lost: Collection[str] = (),
    classes: Sequence[str] | None = None,
) -> ImageDataset:
    """Opens a data set and holds some of its training images out.

    Args:
        dataset: "folder", "digits", the name of a TensorFlow Datasets image-classification set ("cifar10",
            "imagenet2012:5.1.0"), or a path: of a set that TensorFlow Datasets prepared, or of a folder of images.
        data_dir: the folder of images, or where TensorFlow Datasets keeps its prepared data.
        validation: how many training images become the validation split: a number, or a fraction if below 1. Where it
            is given, a folder's own validation split is not used.
        seed: draws them, evenly over the classes.
        default: the same, or what gives it for their number, for where `validation` is not given and a folder has no
            split of its own; unless given, 400 for digits, else 10 percent, at most 10,000.
        known: the `validation`, `seed` and `digest` of a data set that was loaded before. Where these images are the
            same, wherever they lie, they are split the same way; other images know nothing of them.
        lost: paths from a folder on, of images that were found to be damaged while a run used them: they keep their
            places, and are passed over.
        classes: those of a network, of which a folder may have some; labels are then indices into these. A folder that
            has others, too, keeps its own.

    Returns:
        An `ImageDataset` with the splits "train", "validation" and, where the data has one, "test".

    Raises:
        InputError: the data is missing or does not fit.

    Example:
        load("folder", "photos", validation=0.2).num_classes
    """
    check_seed(seed)
    source = _read(dataset, None if data_dir is None else os.path.expanduser(data_dir), lost, classes)
    if validation is None and known and known.get("digest"):
        # A number that is too large for these images belongs to others.
        with contextlib.suppress(InputError):
            found = _divided(source, known.get("validation"), known.get("seed", 0))
            if found.digest == known["digest"]:
                return found
    if validation is None and not source.own:
        validation = default(len(source.train)) if callable(default) else default
    return _divided(source, validation, seed)


def _read(
    dataset: str, data_dir: str | os.PathLike | None, lost: Collection[str], classes: Sequence[str] | None
) -> Source:
    # A path, not the name of a set.
    path = os.path.expanduser(dataset) if os.sep in dataset and os.path.isdir(os.path.expanduser(dataset)) else None
    if data_dir and (
        dataset == "digits" or (path is not None and os.path.realpath(path) != os.path.realpath(data_dir))
    ):
        where = "is in no folder" if path is None else "is a folder itself"
        raise InputError(f"--data_dir={data_dir}: --dataset={dataset} {where}; give one of them")
    if dataset == "digits":
        return read_digits()
    if path is not None:
        dataset, data_dir = "folder", path
    if dataset.lower().replace("_", "") not in FOLDER_NAMES:
        class_names, splits = tfds_parts(dataset, data_dir)
    elif data_dir and not os.path.isdir(os.path.join(data_dir, "train")) and is_prepared(data_dir):
        class_names, splits = prepared_parts(data_dir)
        dataset = str(data_dir)
    else:
        return read_folder(data_dir, lost, classes)
    return Source(dataset, class_names, splits.pop("train"), splits, dataset)


def _divided(source: Source, validation: float | None, seed: int) -> ImageDataset:
    own = source.others.get("validation")
    origin = "a part of those to train on"
    if own is not None and validation is None:
        splits, origin = {"train": source.train, **source.others}, f"its folder {source.own}"
    else:
        if own is not None:
            origin += f"; its folder {source.own} is not used"
        part = source.default if validation is None else validation
        splits = {**source.others, **hold_out(source.name, source.train, part, seed)}
    splits = {name: splits[name] for name in ("train", "validation", "test") if name in splits}
    return ImageDataset(source.name, source.class_names, splits, validation, source.where, origin)
