"""`ElasticSqueezeExcite`: channel attention over the first channels."""

import keras
import tensorflow as tf

from ofa_tf.layers.activations import hard_sigmoid
from ofa_tf.layers.elastic_dense import ElasticDense


class ElasticSqueezeExcite(keras.layers.Layer):
    """Squeeze-and-excite: pool, reduce, ReLU, expand, hard sigmoid, multiply.

    Args:
        channels: the largest number of channels.
        hidden: the largest number of hidden units.
        seed: `keras.random.SeedGenerator` for the initialisation.

    Source: docs/method.md, "MobileNetV3".
    """

    def __init__(self, channels: int, hidden: int, *, seed=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.reduce = ElasticDense(channels, hidden, he_fan_out=True, seed=seed, name="se_reduce")
        self.expand = ElasticDense(hidden, channels, he_fan_out=True, seed=seed, name="se_expand")
        self.built = True

    def call(self, inputs, *, channels, hidden):
        """Scales (batch, height, width, channels) by a gate computed in float32; both counts are int32 scalars."""
        pooled = tf.reduce_mean(tf.cast(inputs, tf.float32), [1, 2])
        squeezed = tf.nn.relu(self.reduce(pooled, in_features=channels, out_features=hidden))
        gate = hard_sigmoid(self.expand(squeezed, in_features=hidden, out_features=channels))
        return inputs * tf.cast(gate, inputs.dtype)[:, tf.newaxis, tf.newaxis, :]
