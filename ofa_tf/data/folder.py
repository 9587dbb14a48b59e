"""Data sets that are folders of class folders."""

import os
import pathlib

from ofa_tf.common import InputError
from ofa_tf.data.dataset import ImageDataset
from ofa_tf.data.holdout import hold_out
from ofa_tf.data.split import FILES, Split

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")

LAYOUT = "expected train/<class>/*.jpg in it (and perhaps holdout/<class>/*.jpg, val/<class>/*.jpg)"


def load_folder(data_dir: str | os.PathLike | None, holdout: float | None, seed: int) -> ImageDataset:
    """Reads the names of the images under `data_dir`/train/<class>/, and under holdout/ and val/ where there are such.

    Args:
        data_dir: the folder. Files that are hidden or no images (JPEG, PNG, BMP, GIF by their suffix) are ignored.
        holdout: see `holdout_count`. None where the folder has its own hold-out, `data_dir`/holdout/<class>/.
        seed: draws the hold-out.

    Returns:
        The data set; its classes are the names of the class folders, sorted.

    Raises:
        InputError: the folder, its training images or a second class are missing, val or holdout has a class of its
            own, or both the folder and `holdout` say what is held out.
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
    if (root / "holdout").is_dir():
        if holdout is not None:
            raise InputError(
                f"holdout={holdout}: {root / 'holdout'} says already what is held out; leave one of them out"
            )
        splits = {"train": train, "holdout": _other_split(root / "holdout", class_names)}
    else:
        splits = hold_out("folder", train, holdout, seed)
    if (root / "val").is_dir():
        splits["val"] = _other_split(root / "val", class_names)
    return ImageDataset("folder", tuple(class_names), splits)


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
