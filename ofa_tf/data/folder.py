"""A folder of class folders: the images that are found in it, what is left out and why, and what cannot be read.

Everything that trains, calibrates, evaluates or exports on a folder gets its images from `scan`. Each file's header is
read; where all files together are small, each is decoded once, and else each that does not end as a whole file does. So
damaged files are known, and named at once, before anything is computed.
"""

import collections
import concurrent.futures
import dataclasses
import errno
import hashlib
import itertools
import os
import pathlib
import stat
import unicodedata
import warnings
from collections.abc import Collection, Iterator, Sequence

import tensorflow as tf
import tqdm

from ofa_tf.common import InputError, brief, write_text
from ofa_tf.common.download import cache_folder
from ofa_tf.data.dataset import FILES, Split, reason_of
from ofa_tf.data.image_file import (
    JPEG,
    ORIENTATIONS,
    READABLE,
    OtherFile,
    UnreadableImage,
    inspect,
    is_raw,
    meant_as_image,
)
from ofa_tf.data.preprocessing import Encoded, decode_image

# More than that of all images cannot be an accident.
MAX_UNREADABLE_SHARE = 0.2
# Each file is decoded once before the first step, where all of them have no more bytes: some ten seconds.
WHOLE_BYTES = 1 << 30

# What an operating system leaves in folders of photos, beside names that begin with a dot.
_SYSTEM = {"thumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "ehthumbs.db"}
_AT_ONCE = 64
_THREADS = 8
# What of the message is told name by name; it is to fit on one screen.
_NAMED_CLASSES = 8
_NAMED_CHARACTERS = 400

_HINTS = {".heic": "pip install pillow-heif reads .heic"}


@dataclasses.dataclass
class _File:
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
class _Class:
    """What one class folder of one split holds."""

    split: str
    name: str
    label: int
    folder: str
    images: list[_File]
    left_out: collections.Counter[str]

    def counted(self) -> collections.Counter[str]:
        """How many files are left out, by reason."""
        short = ("empty", "not an image", os.strerror(errno.EACCES))
        unreadable = [file.unreadable for file in self.images if file.unreadable and not file.lost]
        return self.left_out + collections.Counter(it if it in short else "damaged" for it in unreadable)


def class_folders(folder: pathlib.Path) -> dict[str, str]:
    """The class folders in a folder: the classes' names, sorted, and what the folders are called on the disk.

    A name that is not UTF-8 is written with escapes. Of the ways to compose an accented letter one is taken, so that
    folders that went through another system still name the same class.
    """
    found: dict[str, str] = {}
    places = {
        _identity(str(parent)): str(parent) for parent in (folder, *pathlib.Path(os.path.abspath(folder)).parents)
    }
    for name in _entries(folder):
        if not _is_hidden(name) and os.path.isdir(os.path.join(folder, name)):
            spoken = unicodedata.normalize("NFC", os.fsencode(name).decode(errors="backslashreplace"))
            if spoken in found:
                raise InputError(f"{folder}: two folders name the class {brief(spoken)}; rename or join them")
            found[spoken] = name
            place = _identity(os.path.join(folder, name))
            if place in places:
                raise InputError(
                    f"{folder}: the class folder {printable(name)} is {printable(places[place])} once more; remove the "
                    f"link"
                )
            places[place] = name
    return dict(sorted(found.items()))


def scan(
    root: pathlib.Path, folders: dict[str, dict[str, str]], class_names: Sequence[str], lost: Collection[str] = ()
) -> dict[str, Split]:
    """The readable images of each split of a data set's folder, told of in one warning where anything is left out.

    Args:
        root: the data set's folder.
        folders: by the name of a split's folder, its class folders as `class_folders` gives them.
        class_names: of the data set, in the order of the labels.
        lost: paths from the folder on, of images that were found to be damaged after all had been looked at. They keep
            their places, and are passed over, whether they are still there or not.

    Returns:
        A `Split` for each of `folders`.

    Raises:
        InputError: a class to train on, or a whole split, has no readable image, or too many images are unreadable.
    """
    label_of = {name: label for label, name in enumerate(class_names)}
    # Of damaged files Pillow warns, too.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            tqdm.tqdm(desc=f"{root}: reading headers", unit="file", delay=3, leave=False) as bar,
            concurrent.futures.ThreadPoolExecutor(_THREADS) as pool,
        ):
            found = [
                _inspected(pool, bar, root / split, name, directory, label_of[name])
                for split, names in folders.items()
                for name, directory in names.items()
            ]
        for path in lost:
            _keep_place(root, found, path)
        _decode_all(root, [file for kind in found for file in kind.images if not (file.unreadable or file.lost)])
        strays = {split: _strays(root / split) for split in folders}
    _tell(root, found, strays)
    return {split: _split(root / split, [kind for kind in found if kind.split == split]) for split in folders}


def _entries(folder: str | os.PathLike) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def _inspected(
    pool: concurrent.futures.Executor, bar: tqdm.tqdm, folder: pathlib.Path, name: str, directory: str, label: int
) -> _Class:
    """All files of a class, those of its sub-folders too."""
    found = _Class(folder.name, name, label, os.path.join(folder, directory), [], collections.Counter())
    paths = _walk(found.folder, found.left_out)
    for files in pool.map(lambda paths: [_inspect(path, label) for path in paths], _portions(paths, _AT_ONCE)):
        bar.update(len(files))
        for file in files:
            if file is None:
                continue
            if file.left_out:
                found.left_out[file.left_out] += 1
            else:
                found.images.append(file)
    return found


def _keep_place(root: pathlib.Path, found: list[_Class], lost: str) -> None:
    """Marks an image as lost, or puts one that is no longer there where it was."""
    path = os.path.join(root, lost)
    for kind in found:
        if path.startswith(f"{kind.folder}/"):
            file = next((file for file in kind.images if file.path == path), None)
            if file is None:
                file = _File(path, kind.label, 0)
                kind.images.append(file)
                # As `_walk` goes: the files of a folder, then those of its folders.
                kind.images.sort(key=_place_in_walk)
            file.lost = True


def _place_in_walk(file: _File) -> list[tuple[bool, str]]:
    *folders, name = file.path.split("/")
    return [*((True, folder) for folder in folders), (False, name)]


def _portions(items: Iterator[str], size: int) -> Iterator[list[str]]:
    while portion := list(itertools.islice(items, size)):
        yield portion


def _walk(top: str, left_out: collections.Counter[str]) -> Iterator[str]:
    """The files of a folder and those below it, sorted; no folder twice, wherever links lead."""
    # A link may lead back to what the folder lies in.
    above = [*pathlib.Path(os.path.abspath(top)).parents, *pathlib.Path(os.path.realpath(top)).parents]
    seen = {_identity(str(folder)) for folder in (top, *above)}
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        below = []
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            left_out[f"folder that cannot be read ({error.strerror})"] += 1
            continue
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isdir(path):
                yield path
            elif _is_hidden(name):
                left_out["hidden folder"] += 1
            elif (identity := _identity(path)) in seen:
                left_out["folder that is there already"] += 1
            else:
                seen.add(identity)
                below.append(path)
        waiting += reversed(below)


def _identity(path: str) -> tuple[int, int] | str:
    try:
        status = os.stat(path)
    except OSError:
        return path
    return status.st_dev, status.st_ino


def _inspect(path: str, label: int) -> _File | None:
    """What a file is; None for what nobody would miss."""
    name = os.path.basename(path)
    found = _File(path, label)
    meant = meant_as_image(name)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            found.left_out = "neither file nor folder"
        elif is_raw(name):
            found.left_out = _ending(name)
        elif not status.st_size:
            found.refuse("empty", "empty", meant)
        else:
            found.size = status.st_size
            with open(path, "rb") as file:
                found.route, found.looks_whole = inspect(file)
    except OtherFile as error:
        # What is meant to be a HEIC image and has its bytes is no damaged file.
        found.refuse("not an image", str(error) or _ending(name), meant and not str(error))
    except UnreadableImage as error:
        found.unreadable = str(error)
    except OSError as error:
        reason = "link that leads nowhere" if os.path.islink(path) else error.strerror or str(error)
        found.refuse(reason, reason, meant and not os.path.islink(path))
    if not _is_hidden(name):
        return found
    # Of what is hidden, only images are worth a word.
    found.left_out = "hidden"
    return None if found.route is None else found


def _ending(name: str) -> str:
    return printable(os.path.splitext(name)[1].lower()[:20]) or "without an ending"


def printable(text: str) -> str:
    """A name in one line, as it is but for what no terminal shows: control characters, and bytes that are not UTF-8."""
    return "".join(
        letter if letter.isprintable() else os.fsencode(letter).decode(errors="backslashreplace")
        if 0xDC80 <= ord(letter) <= 0xDCFF else letter.encode("unicode_escape").decode()
        for letter in text
    )  # fmt: skip


def _decode_all(root: pathlib.Path, files: list[_File]) -> None:
    """Decodes images once, as far as that is cheap, and notes which cannot be."""
    if sum(file.size for file in files) > WHOLE_BYTES:
        files = [file for file in files if not file.looks_whole]
    if not files:
        return
    with tf.init_scope(), tf.device("CPU:0"):
        paths = tf.constant([os.fsencode(file.path) for file in files])
        routes = tf.constant([file.route // ORIENTATIONS for file in files], tf.int32)

        others = tuple(sorted({file.route // ORIENTATIONS * ORIENTATIONS for file in files}))

        def decoded(index: tf.Tensor) -> tf.Tensor:
            data, decoder = tf.io.read_file(tf.gather(paths, index)), tf.gather(routes, index)
            sides = tf.cond(
                decoder == JPEG,
                # All bytes are read, and few pixels are made of them.
                lambda: tf.shape(tf.io.decode_jpeg(data, channels=3, ratio=8)),
                lambda: tf.shape(decode_image(Encoded(data, decoder * ORIENTATIONS, others))),
            )
            # The index hangs on the image, which would else not be decoded.
            return index + tf.cast(tf.reduce_min(sides), tf.int64) * 0

        batches = (
            tf.data.Dataset.range(len(files))
            .map(decoded, num_parallel_calls=os.cpu_count(), deterministic=False)
            .ignore_errors()
            .batch(_AT_ONCE)
        )
        missing = set(range(len(files)))
        with tqdm.tqdm(total=len(files), desc=f"{root}: checking", unit="img", delay=3, leave=False) as bar:
            for indices in batches.as_numpy_iterator():
                missing -= set(indices.tolist())
                bar.update(len(indices))
        for index in sorted(missing):
            files[index].unreadable = "cannot be decoded"
            try:
                decoded(tf.constant(index, tf.int64))
            except tf.errors.OpError as error:
                files[index].unreadable = reason_of(error)


def _strays(folder: pathlib.Path) -> int:
    """How many images lie beside the class folders."""
    found = [_inspect(os.path.join(folder, name), 0) for name in _entries(folder)]
    return sum(file is not None and file.route is not None for file in found)


def _tell(root: pathlib.Path, found: list[_Class], strays: dict[str, int]) -> None:
    """One warning that counts what is left out, by class and reason, and names what cannot be read."""
    counted = {f"{kind.split}/{printable(kind.name)}": kind.counted() for kind in found}
    counted |= {split: collections.Counter({"in no class folder": count}) for split, count in strays.items() if count}
    counted = {where: reasons for where, reasons in counted.items() if reasons}
    if not counted:
        return
    lines = [f"{printable(str(root))}: not everything in it is used"]
    largest = sorted(counted, key=lambda where: -counted[where].total())
    lines += [f"{where}: {_left_out(counted[where])}" for where in counted if where in largest[:_NAMED_CLASSES]]
    if others := largest[_NAMED_CLASSES:]:
        everything = sum((counted[where] for where in others), collections.Counter())
        lines.append(f"{len(others)} other classes: {_left_out(everything)}")
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


def _left_out(reasons: collections.Counter[str]) -> str:
    count = reasons.total()
    sizes = sorted((-number, reason) for reason, number in reasons.items())
    listed = ", ".join(f"{-number:,} {reason}" for number, reason in sizes)
    return f"{count:,} {'file' if count == 1 else 'files'} left out: {listed}"


def _named(root: pathlib.Path, files: list[_File]) -> str:
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
    except InputError:
        return ", ".join(names)
    return f"{', '.join(names[:shown])} and {len(names) - shown:,} more; {path} lists all of them"


def _split(folder: pathlib.Path, classes: list[_Class]) -> Split:
    """The split of what can be read; all of its classes have images where it is trained on."""
    for kind in classes:
        if folder.name == "train" and not any(not file.unreadable for file in kind.images):
            counted = kind.counted()
            raise InputError(
                f"{printable(str(folder / kind.name))}: no images in this class folder"
                f"{f' that can be read ({_left_out(counted)})' if counted else ''}; expected {READABLE}: add some or "
                f"remove the folder"
            )
    files = [file for kind in classes for file in kind.images if file.lost or not file.unreadable]
    if not files:
        raise InputError(f"{printable(str(folder))}: no images in its class folders; add some or remove the folder")
    split = Split.make(
        f"folder {folder.name}",
        FILES,
        [os.fsencode(file.path) for file in files],
        [file.label for file in files],
        [file.route or 0 for file in files],
        str(folder),
    )
    split.damaged.update({index: "lost" for index, file in enumerate(files) if file.lost})
    return split
