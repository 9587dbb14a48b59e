"""`Batches`: an iterable of batches that passes over the images it cannot read."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from ofa_tf.data.dataset import Split

# A fixed number: tf.data's own tuning begins at one and takes seconds to leave it, and short evaluations end before.
# More than the machine has cores does no harm, each call being short.
PARALLEL_CALLS = max(16, os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """Batches of uint8 images (batch, r, r, 3) and int32 labels (batch,). Iterating starts from the first one again.

    An image that cannot be read is named in a warning and passed over, too many of them end the iteration with an
    `InputError` (`Split.note_damaged`).

    Args:
        split: whose images these are.
        first: number of the first batch in the run.
        count: how many batches, None for no end.
        batch_size: images per batch.
        plan: batch number (scalar int64) -> indices in the split (int64 (batch,)), and a tuple (of any depth) of
            tensors with one row per image, or None: what was drawn for the whole batch at once.
        image_of: (record, row of what was drawn) -> tensors of one image, all images' of the same shapes.
        images_of: a batch of these tensors -> uint8 (batch, r, r, 3).
        mix: (batch number, images, labels) -> images and labels, or soft targets; None for nothing.
        static_batch: whether no batch is short.
        at_once: (a batch of records as pixels, what was drawn) -> uint8 (batch, r, r, 3); takes the place of `image_of`
            and `images_of` where the split is in memory.
        drop: whether an image that cannot be read is left out; else the split's next one takes its place, so that the
            number of batches and their size stay what they were.

    Example:
        for images, labels in evaluation_batches(digits, "test", resolution=40, batch_size=100, crop_fraction=1.0):
            ...
    """

    split: Split
    first: int
    count: int | None
    batch_size: int
    plan: Callable[[tf.Tensor], tuple[tf.Tensor, tuple]]
    image_of: Callable[[tf.Tensor, tuple], Any]
    images_of: Callable[[Any], tf.Tensor] = lambda images: images
    mix: Callable[[int, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]] | None = None
    at_once: Callable[[tf.Tensor, Any], tf.Tensor] | None = None
    static_batch: bool = True
    drop: bool = False

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("these batches have no end, so no length; give `steps`")
        return self.count

    def __iter__(self) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        number = self.first
        batches = iter(self._dataset(number))
        while True:
            try:
                images, labels = next(batches)
            except StopIteration:
                return
            except tf.errors.OpError:
                if not self._note_damage(number):
                    raise
                # What cannot be read is known now.
                batches = iter(self._dataset(number))
                continue
            yield (images, labels) if self.mix is None else self.mix(number, images, labels)
            number += 1

    def _dataset(self, first: int) -> tf.data.Dataset:
        """The batches from a number on, without the images that are known to be damaged."""
        indices, labels = self.split.rows(drop=self.drop)
        drop = self.drop and bool(self.split.damaged)

        def planned(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tuple]:
            chosen, drawn = self.plan(number)
            return tf.gather(indices, chosen), tf.gather(labels, chosen), drawn

        def batch_of(images: Any, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = self.images_of(images)
            return (images[labels >= 0], labels[labels >= 0]) if drop else (images, labels)

        def read_at_once(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            indices, labels, drawn = planned(number)
            return self.at_once(tf.gather(self.split.records, indices), drawn), labels

        stop = tf.int64.max if self.count is None else self.first + self.count
        numbers = tf.data.Dataset.range(first, stop)
        if self.at_once is not None:
            return numbers.map(read_at_once).prefetch(2)
        return (
            numbers.map(planned)
            .unbatch()
            .map(
                lambda index, label, drawn: (self.image_of(self.split.read(index), drawn), label),
                num_parallel_calls=PARALLEL_CALLS,
                deterministic=True,
            )
            .batch(self.batch_size, drop_remainder=self.static_batch)
            .map(batch_of)
            .prefetch(2)
        )

    def _note_damage(self, number: int) -> bool:
        """Whether a batch has images that cannot be read; they are passed over from now on."""
        found = False
        with tf.init_scope(), tf.device("CPU:0"):
            indices, _ = self.split.rows(drop=self.drop)
            chosen, drawn = self.plan(tf.constant(number, tf.int64))
            for row, index in enumerate(tf.gather(indices, chosen).numpy()):
                values = tf.nest.map_structure(lambda tensor, row=row: tensor[row], drawn)
                try:
                    self.image_of(self.split.read(tf.constant(index)), values)
                except tf.errors.OpError as error:
                    self.split.note_damaged(int(index), error)
                    found = True
        return found
