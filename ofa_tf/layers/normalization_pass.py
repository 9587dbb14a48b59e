"""`NormalizationPass`: where the batch norms of one forward pass take their statistics from."""

import tensorflow as tf

TRAIN, BATCH, GIVEN, MOVING = "train", "batch", "given", "moving"


class NormalizationPass:
    """How every batch norm of one forward pass normalizes, and what it leaves behind.

    Args:
        mode: TRAIN (the batch's statistics; moving ones are updated), BATCH (the batch's statistics, which are
            collected; nothing is changed), GIVEN (calibrated statistics) or MOVING (the layers' own).
        given: for GIVEN, float32 tensor (2, channels of all norms), means and biased variances, as
            `Supernet.batch_statistics` returns them.
        moves: for TRAIN, whether the moving statistics are updated.
    """

    def __init__(self, mode: str, given: tf.Tensor | None = None, *, moves: bool = True):
        self.mode = mode
        self.given = given
        self.moves = moves
        self.collected: list[tf.Tensor] = []

    def branch(self) -> "NormalizationPass":
        """A pass for one branch of a `tf.cond`, whose collected tensors leave the branch as its outputs."""
        return NormalizationPass(self.mode, self.given, moves=self.moves)
