"""Batch norm over the first channels, and where one forward pass takes its statistics from."""

import keras
import tensorflow as tf

from ofa_tf.layers.slicing import active, padded, replaced

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


class ElasticBatchNormalization(keras.layers.Layer):
    """Batch normalization of any leading number of channels, by TensorFlow's fused kernel in every mode.

    The moving statistics are those of whatever subnets were trained last and belong to none of them; a subnet is
    evaluated with calibrated statistics instead (`ofa_tf.evaluation.Evaluator.calibrate`).

    Args:
        channels: the largest number of channels.
        epsilon: added to the variance.
        momentum: of the moving statistics.

    Source: Cai et al., section 3.3; Yu and Huang, "Universally Slimmable Networks" (ICCV 2019), section 3.
    """

    def __init__(self, channels: int, *, epsilon: float = 1e-5, momentum: float = 0.9, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.epsilon = epsilon
        self.momentum = momentum
        self.offset = 0  # of this layer's channels in the network's statistics; set by the network
        self.gamma = self.add_weight(shape=(channels,), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta")
        self.moving_mean = self._statistic("moving_mean", "zeros")
        self.moving_variance = self._statistic("moving_variance", "ones")
        self.built = True

    def _statistic(self, name: str, initializer: str) -> keras.Variable:
        # Under tf.distribute each replica has its own, and the first one's are read: averaging them would be a transfer
        # inside branches, where none can be, for numbers that calibration replaces. `add_weight` cannot say so.
        with keras.name_scope(self.name, caller=self):
            return keras.Variable(
                initializer, (self.channels,), trainable=False, name=name,
                synchronization="on_read", aggregation="only_first_replica",
            )  # fmt: skip

    def call(self, inputs, *, channels, norms: NormalizationPass):
        """Normalizes.

        Args:
            inputs: float32 or bfloat16 (batch, height, width, channels); statistics are float32 either way.
            channels: int32 scalar, the active channels.
            norms: the pass that this call is part of.
        """
        scale, shift = self.active_scale(channels)
        if norms.mode == TRAIN:
            # The kernel itself computes moving averages when it is given the old ones.
            outputs = self._fused(inputs, scale, shift, *self._moving(channels), training=True, rate=1 - self.momentum)
            if norms.moves:
                self._assign(self.moving_mean, outputs.batch_mean, channels)
                self._assign(self.moving_variance, outputs.batch_variance, channels)
            return outputs.y
        if norms.mode == BATCH:
            empty = tf.zeros((0,))
            outputs = self._fused(inputs, scale, shift, empty, empty, training=True, rate=1.0)
            count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
            # The kernel returns the unbiased variance; calibration averages biased ones.
            self._collect(outputs.batch_mean, outputs.batch_variance * ((count - 1.0) / count), norms)
            return outputs.y
        mean, variance = self._known(channels, norms)
        return self._fused(inputs, scale, shift, mean, variance, training=False, rate=1.0).y

    def active_weights(self, channels, given=None) -> list[tf.Tensor]:
        """Gamma, beta, mean and variance of the first channels, each (channels,); mean and variance from `given`."""
        if given is None:
            mean, variance = self._moving(channels)
        else:
            mean, variance = self._calibrated(given, channels)
        return [*self.active_scale(channels), mean, variance]

    def active_scale(self, channels) -> tuple[tf.Tensor, tf.Tensor]:
        """Gamma and beta of the first channels, each (channels,)."""
        return active(self.gamma, [channels]), active(self.beta, [channels])

    def folded(self, channels, norms: NormalizationPass) -> tuple[tf.Tensor, tf.Tensor]:
        """What the layer multiplies by and adds, each (channels,), with statistics that do not come from the batch."""
        gamma, beta = self.active_scale(channels)
        mean, variance = self._known(channels, norms)
        scale = gamma * tf.math.rsqrt(variance + self.epsilon)
        return scale, beta - mean * scale

    def leave(self, mean, variance, count, channels, norms: NormalizationPass) -> None:
        """Leaves behind what the pass asks of a batch's mean and biased variance over `count` values per channel."""
        if norms.mode == BATCH:
            self._collect(mean, variance, norms)
        elif norms.moves:
            self._move(mean, variance, count, channels)

    def _collect(self, mean, variance, norms):
        norms.collected.append(tf.stack([padded(mean, self.channels), padded(variance, self.channels)]))

    def _move(self, mean, variance, count, channels) -> None:
        count = tf.cast(count, tf.float32)
        unbiased = variance * (count / tf.maximum(count - 1.0, 1.0))
        for variable, old, new in zip(
            (self.moving_mean, self.moving_variance), self._moving(channels), (mean, unbiased), strict=True
        ):
            self._assign(variable, old + (new - old) * (1.0 - self.momentum), channels)

    def _known(self, channels, norms):
        return self._calibrated(norms.given, channels) if norms.mode == GIVEN else self._moving(channels)

    def _calibrated(self, given, channels):
        mean, variance = tf.unstack(given[:, self.offset : self.offset + self.channels])
        return active(mean, [channels]), active(variance, [channels])

    def _moving(self, channels):
        return active(self.moving_mean, [channels]), active(self.moving_variance, [channels])

    def _fused(self, inputs, scale, shift, mean, variance, *, training: bool, rate: float):
        return tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=scale, offset=shift, mean=mean, variance=variance, epsilon=self.epsilon,
            exponential_avg_factor=rate, is_training=training,
        )  # fmt: skip

    def _assign(self, variable, values, channels):
        # Whole assignments, not sliced ones: tf.distribute mirrors only those.
        variable.assign(replaced(variable, values, channels))
