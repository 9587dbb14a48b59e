"""A folder of class folders: the images that are found in it, what is left out and why, and what cannot be read.

Everything that trains, calibrates, evaluates or exports on a folder gets its images from `scan`. Each file's header is
read; where all files together are small, each is decoded once, and else each that does not end as a whole file does. So
damaged files are known, and named at once, before anything is computed.
"""

import collections
import concurrent.futures
import itertools
import os
import pathlib
import stat
import unicodedata
import warnings
from collections.abc import Collection, Iterator, Sequence

import tensorflow as tf
import tqdm

from ofa_tf.common import InputError, brief, printable
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
from ofa_tf.data.left_out import ClassFolder, ImageFile, images_beside, is_hidden, tell, told_reasons
from ofa_tf.data.preprocessing import Encoded, decode_image

# Each file is decoded once before the first step, where all of them have no more bytes: some ten seconds.
WHOLE_BYTES = 1 << 30

_AT_ONCE = 64
_THREADS = 8


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
        if not is_hidden(name) and os.path.isdir(os.path.join(folder, name)):
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
    root: pathlib.Path,
    folders: dict[str, dict[str, str]],
    class_names: Sequence[str],
    lost: Collection[str] = (),
    splits: Collection[str] = (),
) -> dict[str, Split]:
    """The readable images of each split of a data set's folder, told of in one warning where anything is left out.

    Args:
        root: the data set's folder.
        folders: by the name of a split's folder, its class folders as `class_folders` gives them.
        class_names: of the data set, in the order of the labels.
        lost: paths from the folder on, of images that were found to be damaged after all had been looked at. They keep
            their places, and are passed over, whether they are still there or not.
        splits: what folders of other splits may be called, to be told where images lie in none of them.

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
    beside = images_beside(root, set(folders))
    tell(root, found, strays, beside, splits)
    return {split: _split(root / split, [kind for kind in found if kind.split == split]) for split in folders}


def _entries(folder: str | os.PathLike) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error


def _inspected(
    pool: concurrent.futures.Executor, bar: tqdm.tqdm, folder: pathlib.Path, name: str, directory: str, label: int
) -> ClassFolder:
    """All files of a class, those of its sub-folders too."""
    found = ClassFolder(folder.name, name, label, os.path.join(folder, directory), [], collections.Counter())
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


def _keep_place(root: pathlib.Path, found: list[ClassFolder], lost: str) -> None:
    """Marks an image as lost, or puts one that is no longer there where it was."""
    path = str(root / lost)
    for kind in found:
        if path.startswith(f"{kind.folder}/"):
            file = next((file for file in kind.images if file.path == path), None)
            if file is None:
                file = ImageFile(path, kind.label, 0)
                kind.images.append(file)
                # As `_walk` goes: the files of a folder, then those of its folders.
                kind.images.sort(key=_place_in_walk)
            file.lost = True


def _place_in_walk(file: ImageFile) -> list[tuple[bool, str]]:
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
            elif is_hidden(name):
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


def _inspect(path: str, label: int) -> ImageFile | None:
    """What a file is; None for what nobody would miss."""
    name = os.path.basename(path)
    found = ImageFile(path, label)
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
    if not is_hidden(name):
        return found
    # Of what is hidden, only images are worth a word.
    found.left_out = "hidden"
    return None if found.route is None else found


def _ending(name: str) -> str:
    return printable(os.path.splitext(name)[1].lower()[:20]) or "without an ending"


def _decode_all(root: pathlib.Path, files: list[ImageFile]) -> None:
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
            # One that can be read now was kept from it by what lay around: a drive, the memory.
            try:
                decoded(tf.constant(index, tf.int64))
            except tf.errors.OpError as error:
                files[index].unreadable = reason_of(error)


def _strays(folder: pathlib.Path) -> int:
    """How many images lie beside the class folders."""
    found = [_inspect(os.path.join(folder, name), 0) for name in _entries(folder)]
    return sum(file is not None and file.route is not None for file in found)


def _split(folder: pathlib.Path, classes: list[ClassFolder]) -> Split:
    """The split of what can be read; all of its classes have images where it is trained on."""
    for kind in classes:
        if folder.name == "train" and not any(not file.unreadable for file in kind.images):
            counted = kind.counted()
            raise InputError(
                f"{printable(str(folder / kind.name))}: no images in this class folder"
                f"{f' that can be read ({told_reasons(counted)})' if counted else ''}; expected {READABLE}: add some "
                f"or remove the folder"
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
