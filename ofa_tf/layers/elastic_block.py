"""`ElasticBlock`: what the blocks of every family have in common."""

import abc
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from ofa_tf.layers.normalization_pass import BATCH, TRAIN, NormalizationPass
from ofa_tf.layers.recomputation import recomputed, recomputing
from ofa_tf.spaces import ACTIVE, TENSOR_COLUMNS, Block


class ElasticBlock(keras.layers.Layer, abc.ABC):
    """A block that reads the sizes to run at from its row of `Space.to_array`, and that may be skipped.

    Args:
        block: the block at its maximum.
        optional: whether some architectures skip it; then it runs under `tf.cond`, and skipping costs nothing.
    """

    def __init__(self, block: Block, *, optional: bool, **kwargs):
        super().__init__(name=block.name, autocast=False, **kwargs)
        self.block = block
        self.optional = optional
        self.norms = []  # every batch norm inside, in the order in which they run
        self.built = True  # weights are made in the constructors: their shapes depend on the block alone

    def call(self, inputs, *, sizes, norms: NormalizationPass, dropout=None):
        """Runs or skips the block.

        Args:
            inputs: float32 or bfloat16 (batch, height, width, channels).
            sizes: int32 (6,), this block's row of `Space.to_array`.
            norms: the pass that this call is part of.
            dropout: for heads, see `ElasticHead.body`.
        """
        if norms.mode == TRAIN and dropout is None and recomputing():
            return recomputed(
                lambda inputs, again: self._run(inputs, sizes, NormalizationPass(TRAIN, moves=not again), None),
                inputs,
                self.trainable_variables,
            )
        return self._run(inputs, sizes, norms, dropout)

    def _run(self, inputs, sizes, norms, dropout):
        options = {} if dropout is None else {"dropout": dropout}
        if not self.optional:
            return self.body(inputs, tf.unstack(sizes, num=TENSOR_COLUMNS), norms, **options)

        def run():
            branch = norms.branch()
            return self.body(inputs, tf.unstack(sizes, num=TENSOR_COLUMNS), branch, **options), branch.collected

        def skip():
            collecting = self.norms if norms.mode == BATCH else []
            return tf.identity(inputs), [tf.zeros((2, norm.channels)) for norm in collecting]

        outputs, collected = tf.cond(sizes[ACTIVE] > 0, run, skip)
        norms.collected.extend(collected)
        return outputs

    @abc.abstractmethod
    def body(self, inputs, sizes: list, norms: NormalizationPass, **options) -> tf.Tensor:
        """The block itself; `sizes` are the scalars of its row."""

    @abc.abstractmethod
    def active_weights(self, sizes, statistics) -> dict[str, list]:
        """The weights in use, for each plain layer by the last part of its name (see `networks.plain`).

        Args:
            sizes: int32 (6,), this block's row of `Space.to_array`.
            statistics: calibrated statistics of the whole network, or None for the moving ones.
        """

    def sort_channels(self, bounds: list[int], reorder: Callable) -> None:
        """Puts the most important inner channels first, within each of the groups that end at `bounds`.

        Blocks without elastic inner channels have nothing to sort.

        Args:
            bounds: ascending channel counts.
            reorder: called as `reorder(variables, order, axis)`; permutes one axis of each variable at once.
        """
        del bounds, reorder


def descending(importance: np.ndarray, bounds: list[int] | None = None) -> np.ndarray:
    """The order that sorts channels by falling importance, never across a bound; equal ones keep their order.

    Args:
        importance: one value per channel.
        bounds: ascending ends of the groups, the last being the number of channels; None for one group.

    Source: docs/method.md, "Width".
    """
    bounds = [len(importance)] if bounds is None else bounds
    starts = [0, *bounds[:-1]]
    return np.concatenate(
        [start + np.argsort(-importance[start:end], kind="stable") for start, end in zip(starts, bounds, strict=True)]
    )
