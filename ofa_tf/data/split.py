"""`Split`: labelled images that can be read one by one, in any order."""

import dataclasses
import pathlib
import re
import warnings
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ofa_tf.common import InputError

# A few broken files in a large set are usual; this share and at least one image are passed over.
MAX_DAMAGED_SHARE = 0.01

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
        damaged: records that could not be read, with the reason; they are passed over from then on.
    """

    name: str
    labels: np.ndarray
    indices: np.ndarray
    records: tf.Tensor | Sequence[bytes]
    kind: str
    damaged: dict[int, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def make(cls, name: str, kind: str, records: Sequence, labels: Sequence[int]) -> "Split":
        """A split of all the given records, in their order."""
        if kind != RANDOM_ACCESS:
            with tf.device("CPU:0"):
                records = tf.constant(records, tf.uint8 if kind == PIXELS else tf.string)
        labels = np.asarray(labels, np.int32)
        return cls(name, labels, np.arange(len(labels)), records, kind)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, name: str, places: np.ndarray) -> "Split":
        """The split of some of the images, in the order of `places`."""
        return dataclasses.replace(self, name=name, labels=self.labels[places], indices=self.indices[places])

    def rows(self, *, drop: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """The record (int64) and the label (int32) of each image, for `tf.gather` inside a `tf.data` map.

        In the place of a damaged image stands the next readable one; with `drop`, its label is -1.
        """
        indices, labels = self.indices, self.labels
        damaged = np.isin(indices, list(self.damaged))
        if damaged.any():
            places, readable = np.flatnonzero(damaged), np.flatnonzero(~damaged)
            following = readable[np.searchsorted(readable, places) % len(readable)]
            indices, labels = indices.copy(), labels.copy()
            indices[places] = indices[following]
            labels[places] = -1 if drop else labels[following]
        # Tensors are captured by a tf.data function; arrays would be copied into its graph.
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(indices), tf.constant(labels)

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """One record, inside a `tf.data` map or outside.

        Args:
            index: scalar int64, an element of `indices`.

        Returns:
            Scalar string (encoded) or uint8 (height, width, 3).
        """
        if self.kind == RANDOM_ACCESS:
            encoded = tf.numpy_function(lambda record: self.records[int(record)], [index], tf.string)
            return tf.ensure_shape(encoded, ())
        record = tf.gather(self.records, index)
        return tf.io.read_file(record) if self.kind == FILES else record

    def identity(self, index: int) -> str:
        """What tells a record from others wherever the data lies: a file's class folder and name, else its number."""
        return "/".join(pathlib.PurePath(self.describe(index)).parts[-2:]) if self.kind == FILES else str(index)

    def describe(self, index: int) -> str:
        """A record's file, or its number where it has none, for errors."""
        return tf.compat.as_str(self.records[index].numpy()) if self.kind == FILES else f"{self.name}: record {index}"

    def note_damaged(self, index: int, error: tf.errors.OpError) -> None:
        """Passes over a record that cannot be read, from now on, with a warning that names it.

        Raises:
            InputError: too many of the split's images are damaged.
        """
        reason = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]|\s+", " ", error.message).strip()[:160].strip()
        self.damaged[index] = reason
        count = int(np.isin(self.indices, list(self.damaged)).sum())
        problem = f"{self.describe(index)}: not a readable image ({reason}); expected JPEG, PNG, BMP or GIF"
        if count > max(1, int(MAX_DAMAGED_SHARE * len(self))):
            raise InputError(
                f"{problem}. It is the {count}th of {len(self)} images that cannot be read, and more than "
                f"{MAX_DAMAGED_SHARE:.0%} is no accident: replace or remove them"
            )
        warnings.warn(f"{problem}; passed over ({count} of {len(self)} so far)", stacklevel=2)
