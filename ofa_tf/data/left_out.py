"""What of a folder of photos is not used, and the one warning that says so."""

import collections
import dataclasses
import errno
import hashlib
import itertools
import os
import pathlib
import warnings
from collections.abc import Collection

from ofa_tf.common import InputError, OfaError, printable, write_text
from ofa_tf.common.download import cache_folder
from ofa_tf.data.image_file import meant_as_image

# More than that of all images cannot be an accident.
MAX_UNREADABLE_SHARE = 0.2
# What an operating system leaves in folders of photos, beside names that begin with a dot.
_SYSTEM = {"thumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "ehthumbs.db"}
# What of the message is told name by name; it is to fit on one screen.
_NAMED_CLASSES = 8
_NAMED_CHARACTERS = 400

_HINTS = {".heic": "pip install pillow-heif reads .heic"}


@dataclasses.dataclass
class ImageFile:
    """An image of a class, or the reason why it is none."""

    path: str
    label: int
    route: int | None = None
    size: int = 0
    looks_whole: bool = True
    left_out: str = ""
    unreadable: str = ""
    # Found to be damaged while a run used it, which keeps its place in the run's data.
    lost: bool = False

    def refuse(self, unreadable: str, left_out: str, meant: bool) -> None:
        """A file that is meant to be an image cannot be read; of another, it is enough to be counted."""
        if meant:
            self.unreadable = unreadable
        else:
            self.left_out = left_out


@dataclasses.dataclass
class ClassFolder:
    """What one class folder of one split holds."""

    split: str
    name: str
    label: int
    folder: str
    images: list[ImageFile]
    left_out: collections.Counter[str]

    def counted(self) -> collections.Counter[str]:
        """How many files are left out, by reason."""
        lost = "found unreadable by this run before"
        reasons = (lost if file.lost else file.unreadable for file in self.images)
        short = (lost, "empty", "not an image", os.strerror(errno.EACCES))
        return self.left_out + collections.Counter(it if it in short else "damaged" for it in reasons if it)


def is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def tell(
    root: pathlib.Path,
    found: list[ClassFolder],
    strays: dict[str, int],
    beside: dict[str, int],
    splits: Collection[str],
) -> None:
    """One warning that counts what is left out, by class and reason, and names what cannot be read."""
    counted = {f"{kind.split}/{printable(kind.name)}": kind.counted() for kind in found}
    counted |= {split: collections.Counter({"in no class folder": count}) for split, count in strays.items() if count}
    in_no_split = f"in none of train, {', '.join(splits)}"
    counted |= {printable(where): collections.Counter({in_no_split: count}) for where, count in beside.items()}
    counted = {where: reasons for where, reasons in counted.items() if reasons}
    if not counted:
        return
    lines = [f"{printable(str(root))}: not everything in it is used"]
    largest = sorted(counted, key=lambda where: -counted[where].total())
    lines += [f"{where}: {told_reasons(counted[where])}" for where in counted if where in largest[:_NAMED_CLASSES]]
    if others := largest[_NAMED_CLASSES:]:
        everything = sum((counted[where] for where in others), collections.Counter())
        lines.append(f"{len(others)} other classes: {told_reasons(everything)}")
    lines += [hint for ending, hint in _HINTS.items() if any(ending in reasons for reasons in counted.values())]
    unreadable = [file for kind in found for file in kind.images if file.unreadable and not file.lost]
    images = sum(len(kind.images) for kind in found)
    told = ""
    if unreadable:
        told = (
            f"{len(unreadable):,} of {images:,} images cannot be read, {images - len(unreadable):,} are left: "
            f"{_named(root, unreadable)}"
        )
    too_many = len(unreadable) > max(1, MAX_UNREADABLE_SHARE * images)
    warnings.warn("\n  ".join(lines + [told] * (bool(told) and not too_many)), stacklevel=5)
    if too_many:
        raise InputError(
            f"{printable(str(root))}: {told}; more than {MAX_UNREADABLE_SHARE:.0%} is no accident: replace or remove "
            f"them"
        )


def told_reasons(reasons: collections.Counter[str]) -> str:
    count = reasons.total()
    sizes = sorted((-number, reason) for reason, number in reasons.items())
    listed = ", ".join(f"{-number:,} {reason}" for number, reason in sizes)
    return f"{count:,} {'file' if count == 1 else 'files'} left out: {listed}"


def _named(root: pathlib.Path, files: list[ImageFile]) -> str:
    """Files with what is wrong with them, as many as fit on a screen, and where the list of all of them is."""
    names = [f"{printable(os.path.relpath(file.path, root))} ({file.unreadable})" for file in files]
    lengths = itertools.accumulate(len(name) + 2 for name in names)
    shown = sum(length <= _NAMED_CHARACTERS for length in lengths) or 1
    if shown == len(names):
        return ", ".join(names)
    digest = hashlib.sha256(os.fsencode(os.path.abspath(root))).hexdigest()[:8]
    path = cache_folder() / "unreadable" / f"{digest}.txt"
    try:
        write_text(path, "".join(f"{name}\n" for name in names))
    except OfaError:
        return ", ".join(names)
    return f"{', '.join(names[:shown])} and {len(names) - shown:,} more; {path} lists all of them"


def images_beside(root: pathlib.Path, splits: set[str]) -> dict[str, int]:
    """How many images lie beside the splits' folders: by the folder, as a split or a class has them, or "." for none.

    Known by their names alone, as somebody's whole disk may lie there.
    """
    counts: collections.Counter[str] = collections.Counter()
    for name in sorted(_listed(root)):
        path = root / name
        if is_hidden(name) or name in splits:
            continue
        if not path.is_dir():
            counts["."] += meant_as_image(name)
            continue
        inside = [entry for entry in _listed(path) if not is_hidden(entry)]
        # What this package writes has pictures, too.
        if {".lock", "run.json"} & set(_listed(path)):
            continue
        counts[name] += sum(meant_as_image(entry) for entry in inside)
        counts[name] += sum(meant_as_image(file) for entry in inside for file in _listed(path / entry))
    return {where: count for where, count in counts.items() if count}


def _listed(folder: pathlib.Path) -> list[str]:
    """The names in a folder; of what is no folder, or cannot be read, none."""
    try:
        return os.listdir(folder)
    except OSError:
        return []
