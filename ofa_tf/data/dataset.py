"""`ImageDataset` and its `Split`s: labelled images that can be read one by one, and which of them are held out."""

import dataclasses
import functools
import hashlib
import json
import math
import os
import pathlib
import re
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from ofa_tf.common import InputError, brief
from ofa_tf.common.splits import split_name
from ofa_tf.data.image_file import READABLE, UNKNOWN, OtherFile, UnreadableImage, inspect, route_of
from ofa_tf.data.preprocessing import Encoded, decode_image

# What cannot be read is found and named before the first step; of what is found later, this share and at least one
# image are passed over.
MAX_DAMAGED_SHARE = 0.01

# Decoded images of a split are kept if they fit.
MEMORY_BYTES = 1 << 29
_READ_AT_ONCE = 256

FILES, ENCODED, PIXELS, RANDOM_ACCESS = "files", "encoded", "pixels", "random_access"


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One split of a data set. Splits that are parts of one another share their records.

    Args:
        name: for errors, for example "digits train".
        labels: int32 (images,), indices into the data set's class names.
        indices: int64 (images,), which record each image is.
        records: string tensor of file paths ("files") or of encoded images ("encoded"), uint8 tensor
            (records, height, width, 3) ("pixels"), or a sequence of encoded images ("random_access"), each read when
            it is needed.
        kind: which of the four.
        routes: uint8 (records,), how each encoded record is decoded (`image_file`); empty for pixels.
        folder: the folder of the split, from which files are called; "" where there is none.
        damaged: records that could not be read, with the reason; they are passed over from then on.
        noted: called with the path, from the data set's folder, of a file that is found to be damaged.
    """

    name: str
    labels: np.ndarray
    indices: np.ndarray
    records: tf.Tensor | Sequence[bytes]
    kind: str
    routes: np.ndarray
    folder: str = ""
    damaged: dict[int, str] = dataclasses.field(default_factory=dict)
    noted: Callable[[str], None] | None = None

    @classmethod
    def make(
        cls,
        name: str,
        kind: str,
        records: Sequence,
        labels: Sequence[int],
        routes: Sequence[int] | None = None,
        folder: str = "",
    ) -> "Split":
        """A split of all the given records, in their order; their headers are read for the routes unless given."""
        if routes is None:
            routes = [] if kind == PIXELS else [found_route(kind, record) for record in records]
        if kind != RANDOM_ACCESS:
            with tf.device("CPU:0"):
                records = tf.constant(records, tf.uint8 if kind == PIXELS else tf.string)
        labels = np.asarray(labels, np.int32)
        return cls(name, labels, np.arange(len(labels)), records, kind, np.asarray(routes, np.uint8), folder)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def digest(self) -> str:
        """Which images it has, and of which classes, in 16 hexadecimal digits; where they lie does not count."""
        sha256 = hashlib.sha256()
        self.count_into(sha256)
        return sha256.hexdigest()[:16]

    @property
    def content_digest(self) -> str:
        """As `digest`, and how long each file is: photos that took the names of others give another one.

        "" where a file is gone that was found to be damaged before, so that nobody knows how long it was.
        """
        sha256 = hashlib.sha256(self.digest.encode())
        for index in self.indices if self.kind == FILES else ():
            path = self._paths[index]
            if not os.path.exists(path):
                return ""
            sha256.update(b"%d " % os.path.getsize(path))
        return sha256.hexdigest()[:16]

    def count_into(self, sha256: "hashlib._Hash") -> None:
        """Adds its images and their labels to a digest."""
        for index, label in zip(self.indices, self.labels, strict=True):
            sha256.update(f"{self.identity(int(index))} {label}\n".encode(errors="surrogateescape"))

    def take(self, name: str, chosen: np.ndarray) -> "Split":
        """The split of some of the images, in the order of `chosen`."""
        return dataclasses.replace(self, name=name, labels=self.labels[chosen], indices=self.indices[chosen])

    def rows(self, *, drop: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """The record (int64) and the label (int32) of each image, for `tf.gather` inside a `tf.data` map.

        In the place of a damaged image stands the next readable one; with `drop`, its label is -1.
        """
        indices, labels = self.indices, self.labels
        damaged = np.isin(indices, list(self.damaged))
        if damaged.any():
            unreadable, readable = np.flatnonzero(damaged), np.flatnonzero(~damaged)
            if not len(readable):
                raise InputError(
                    f"{self.folder or self.name}: none of its {len(self)} images could be read before; replace them by "
                    f"the files as they were, and remove their lines from the run's unreadable.jsonl"
                )
            following = readable[np.searchsorted(readable, unreadable) % len(readable)]
            indices, labels = indices.copy(), labels.copy()
            indices[unreadable] = indices[following]
            labels[unreadable] = -1 if drop else labels[following]
        # Tensors are captured by a tf.data function; arrays would be copied into its graph.
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(indices), tf.constant(labels)

    def read(self, index: tf.Tensor) -> "tf.Tensor | Encoded":
        """One record, inside a `tf.data` map or outside.

        Args:
            index: scalar int64, an element of `indices`.

        Returns:
            `Encoded`, or uint8 (height, width, 3).
        """
        if self.kind == PIXELS:
            return tf.gather(self.records, index)
        if self.kind == RANDOM_ACCESS:
            data = tf.numpy_function(lambda record: self.records[int(record)], [index], tf.string)
            data = tf.ensure_shape(data, ())
        else:
            record = tf.gather(self.records, index)
            data = tf.io.read_file(record) if self.kind == FILES else record
        if len(self._routes) == 1:
            return Encoded(data, self._routes[0], self._routes)
        with tf.init_scope(), tf.device("CPU:0"):
            routes = tf.constant(self.routes, tf.int32)
        return Encoded(data, tf.gather(routes, index), self._routes)

    @functools.cached_property
    def _routes(self) -> tuple[int, ...]:
        """All that there are: of a split whose images are all alike, nothing is looked up."""
        return tuple(np.unique(self.routes[self.indices]).tolist())

    @functools.cached_property
    def in_memory(self) -> "Split":
        """The same images as pixels, decoded once, where they all have one size and fit into `MEMORY_BYTES`; else self.

        An image that cannot be read is noted here, as `note_damaged` says.
        """
        if self.kind == PIXELS:
            return self
        with tf.init_scope(), tf.device("CPU:0"):
            pixels = self._decoded()
            if pixels is None:
                return self
            row_of = {int(index): row for row, index in enumerate(self.indices)}
            damaged = {row_of[index]: reason for index, reason in self.damaged.items() if index in row_of}
            records = tf.constant(pixels)
        return Split(self.name, self.labels, np.arange(len(self)), records, PIXELS, self.routes, damaged=damaged)

    def _decoded(self) -> np.ndarray | None:
        """uint8 (images, height, width, 3), zero where an image cannot be read; None where they do not fit."""
        shape = self._first_shape()
        if shape is None or len(self) * math.prod(shape) > MEMORY_BYTES:
            return None
        pixels = np.zeros((len(self), *shape), np.uint8)

        def read(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = decode_image(self.read(index))
            fits = tf.reduce_all(tf.equal(tf.shape(image), shape))
            return tf.cond(fits, lambda: image, lambda: tf.zeros(shape, tf.uint8)), fits

        done = 0
        while done < len(self):
            batches = (
                tf.data.Dataset.from_tensor_slices(self.indices[done:])
                .map(read, num_parallel_calls=os.cpu_count(), deterministic=True)
                .batch(_READ_AT_ONCE)
                .as_numpy_iterator()
            )
            try:
                for images, fit in batches:
                    if not fit.all():
                        return None
                    pixels[done : done + len(images)] = images
                    done += len(images)
            except tf.errors.OpError:
                # One by one, to know which it is.
                for index in self.indices[done : done + _READ_AT_ONCE]:
                    if int(index) in self.damaged:
                        # Known from before: told and noted once.
                        done += 1
                        continue
                    try:
                        image, fits = read(tf.constant(index))
                    except tf.errors.OpError as error:
                        self.note_damaged(int(index), error)
                    else:
                        if not fits:
                            return None
                        pixels[done] = image
                    done += 1
        return pixels

    def _first_shape(self) -> tuple[int, ...] | None:
        for index in self.indices:
            try:
                return tuple(decode_image(self.read(tf.constant(index))).shape)
            except tf.errors.OpError:
                continue
        return None

    def identity(self, index: int) -> str:
        """What tells a record from others wherever the data lies: a file's path in its split, else its number."""
        if self.kind != FILES:
            return str(index)
        path = self.describe(index)
        return path.removeprefix(f"{self.folder}/") if self.folder else "/".join(pathlib.PurePath(path).parts[-2:])

    def describe(self, index: int) -> str:
        """A record's file, or its number where it has none, for errors."""
        return os.fsdecode(self._paths[index]) if self.kind == FILES else f"{self.name}: record {index}"

    @functools.cached_property
    def _paths(self) -> np.ndarray:
        # At once: one by one takes half a millisecond each.
        return self.records.numpy()

    def note_damaged(self, index: int, error: tf.errors.OpError) -> None:
        """Passes over a record that cannot be read, from now on, with a warning that names it.

        Raises:
            InputError: too many of the split's images are damaged.
        """
        reason = self.damaged[index] = reason_of(error)
        count = int(np.isin(self.indices, list(self.damaged)).sum())
        problem = f"{brief(self.describe(index))}: not a readable image ({reason}); expected {READABLE}"
        if count > max(1, int(MAX_DAMAGED_SHARE * len(self))) or count == len(self):
            if self._opens(index):
                # Removed or left, it keeps its place when the run goes on.
                self._note(index)
            else:
                # A drive that went away perhaps: no fault of this image.
                del self.damaged[index]
            # A run goes on with images of the same names only.
            removed = "remove them" if self.noted is None else "begin a run without them"
            raise InputError(
                f"{problem}. It is the {ordinal(count)} of {len(self)} images that cannot be read, and more than "
                f"{MAX_DAMAGED_SHARE:.0%} after all were checked is no accident: replace them, or {removed}"
            )
        self._note(index)
        warnings.warn(f"{problem}; passed over ({count} of {len(self)} so far)", stacklevel=2)

    def _note(self, index: int) -> None:
        if self.noted is not None and self.folder:
            self.noted(f"{os.path.basename(self.folder)}/{self.identity(index)}")

    def _opens(self, index: int) -> bool:
        """Whether a record's bytes can be had now, whatever they are."""
        try:
            with open(self.describe(index), "rb") as file:
                file.read(1)
        except OSError:
            return False
        return True


def reason_of(error: tf.errors.OpError) -> str:
    """Why an image cannot be decoded, without what TensorFlow says of the graph and Python of its calls."""
    first = error.message.split("Traceback (most recent call last)")[0]
    words = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", " ", first).strip()
    return brief(words.removeprefix("ValueError: ").removesuffix(" name:"), 160)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{'th' if number % 100 in (11, 12, 13) else ending}"


def found_route(kind: str, record: str | bytes) -> int:
    """The route of a record; what is no image keeps its place, and is told of when it is decoded."""
    try:
        if kind != FILES:
            return route_of(record)
        with open(record, "rb") as file:
            return inspect(file)[0]
    except (OSError, UnreadableImage, OtherFile):
        return UNKNOWN


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """An image-classification data set.

    Args:
        name: as given to `load`.
        class_names: one per class; labels are indices into it.
        splits: "train", "validation" (kept out of training, for every decision) and, where the data has one, "test"
            (for final reports only).
        validation: what `load` must be given for the same validation split: a number or a fraction, None for that of
            the folder itself.
        source: where the images are, for messages.
        origin: where the validation split comes from, for messages.
    """

    name: str
    class_names: tuple[str, ...]
    splits: dict[str, Split]
    validation: float | None = None
    source: str = ""
    origin: str = ""

    def found(self) -> str:
        """How many images of how many classes there are, and how they are split, in one line."""
        parts = {"train": "to train on", "validation": "for validation", "test": "for the test"}
        counts = [f"{len(self.splits[name]):,} {what}" for name, what in parts.items() if name in self.splits]
        if self.origin:
            counts[1] += f" ({self.origin})"
        total = sum(map(len, self.splits.values()))
        present = len(np.unique(np.concatenate([split.labels for split in self.splits.values()])))
        classes = f"{self.num_classes}" if present == self.num_classes else f"{present} of the {self.num_classes:,}"
        return f"{brief(self.source or self.name)}: {total:,} images of {classes} classes: {', '.join(counts)}"

    @functools.cached_property
    def digest(self) -> str:
        """What was trained on and what was held out, in 16 hexadecimal digits: other images give another digest.

        Where they lie does not count: of a file, its class folder and name do.
        """
        sha256 = hashlib.sha256(json.dumps(self.class_names).encode())
        # Runs of before the split was called "validation" keep their digest.
        for word, name in (("train", "train"), ("holdout", "validation")):
            split = self.split(name)
            sha256.update(f"{word} {len(split)}".encode())
            split.count_into(sha256)
        return sha256.hexdigest()[:16]

    @property
    def content_digest(self) -> str:
        """As `Split.content_digest`, of what was trained on and what was held out."""
        parts = [self.split(name).content_digest for name in ("train", "validation")]
        return "".join(parts) if all(parts) else ""

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def split(self, name: str) -> Split:
        """The split of a name, a former one too; raises `InputError`, naming those there are, where there is none."""
        name = split_name(name)
        if name not in self.splits:
            raise InputError(f"--split={name}: dataset {self.name} has no such split, it has {', '.join(self.splits)}")
        return self.splits[name]
