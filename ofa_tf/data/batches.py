"""`Batches`: an iterable of batches that names the image it could not read."""

import dataclasses
import os
from collections.abc import Callable, Iterator

import tensorflow as tf

from ofa_tf.common import InputError
from ofa_tf.data.split import Split

# A fixed number: tf.data's own tuning begins at one and takes seconds to leave it, and short evaluations end before.
# More than the machine has cores does no harm, each call being short.
PARALLEL_CALLS = max(16, os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """Batches of uint8 images (batch, r, r, 3) and int32 labels (batch,). Iterating starts from the first one again.

    Callers iterate over this object: an image that cannot be read then ends the iteration with an `InputError` that
    names its file. Who needs the bare `dataset` (to distribute it) catches `tf.errors.OpError` and raises
    `unreadable_image(number)` in its place.

    Args:
        split: whose images these are.
        first: number of the first batch in the run.
        count: how many batches, None for no end.
        batch_size: images per batch.
        plan: batch number (scalar int64) -> places in the split (int64 (batch,)), and a tuple (of any depth) of
            tensors with one row per image, or None: what was drawn for the whole batch at once.
        image_of: (record, row of what was drawn) -> uint8 (r, r, 3).
        static_batch: whether no batch is short.

    Example:
        for images, labels in evaluation_batches(digits, "val", resolution=40, batch_size=100, crop_fraction=1.0):
            ...
    """

    split: Split
    first: int
    count: int | None
    batch_size: int
    plan: Callable[[tf.Tensor], tuple[tf.Tensor, tuple]]
    image_of: Callable[[tf.Tensor, tuple], tf.Tensor]
    static_batch: bool = True
    dataset: tf.data.Dataset = dataclasses.field(init=False)

    def __post_init__(self):
        stop = tf.int64.max if self.count is None else self.first + self.count
        dataset = (
            tf.data.Dataset.range(self.first, stop)
            .map(self._planned)
            .unbatch()
            .map(self._image_and_label, num_parallel_calls=PARALLEL_CALLS, deterministic=True)
            .batch(self.batch_size, drop_remainder=self.static_batch)
            .prefetch(2)
        )
        object.__setattr__(self, "dataset", dataset)

    def _planned(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tuple]:
        places, drawn = self.plan(number)
        return *self.split.rows(places), drawn

    def _image_and_label(self, index: tf.Tensor, label: tf.Tensor, drawn: tuple) -> tuple[tf.Tensor, tf.Tensor]:
        return self.image_of(self.split.read(index), drawn), label

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("these batches have no end, so no length; give `steps`")
        return self.count

    def __iter__(self) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        batches = iter(self.dataset)
        number = 0
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except tf.errors.OpError as error:
                unreadable = self.unreadable_image(number)
                if unreadable is None:
                    raise
                raise unreadable from error
            yield batch
            number += 1

    def unreadable_image(self, number: int) -> InputError | None:
        """The error for the first unreadable image of a batch, or None if all of its images can be read.

        Args:
            number: the batch, 0 for the first of this object.
        """
        with tf.init_scope(), tf.device("CPU:0"):
            indices, labels, drawn = self._planned(tf.constant(self.first + number, tf.int64))
            for row in range(len(labels)):
                values = tf.nest.map_structure(lambda tensor, row=row: tensor[row], drawn)
                try:
                    self._image_and_label(indices[row], labels[row], values)
                except tf.errors.OpError as error:
                    return self.split.unreadable(int(indices[row]), error)
        return None
