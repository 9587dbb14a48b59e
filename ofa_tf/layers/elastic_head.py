"""`ElasticHead`: from the last feature map to the logits."""

import tensorflow as tf

from ofa_tf.layers.activations import activate
from ofa_tf.layers.elastic_batch_normalization import ElasticBatchNormalization
from ofa_tf.layers.elastic_block import ElasticBlock
from ofa_tf.layers.elastic_conv2d import ElasticConv2D
from ofa_tf.layers.elastic_dense import ElasticDense
from ofa_tf.layers.pointwise import widened
from ofa_tf.spaces import IN, MID, OUT, Block


class ElasticHead(ElasticBlock):
    """1x1 convolution and, after pooling, a second one, each where the block has it; dropout; dense layer.

    From the pooling on it computes in float32.

    Args:
        block: the block at its maximum.
        seed: `keras.random.SeedGenerator` for the initialisation.
    """

    def __init__(self, block: Block, *, seed=None, **kwargs):
        super().__init__(block, **kwargs)
        mid = block.mid_channels
        if mid:
            self.conv = ElasticConv2D(block.in_channels, mid, seed=seed, name="conv")
            self.norm = ElasticBatchNormalization(mid, epsilon=block.norm_epsilon, name="norm")
            self.norms = [self.norm]
        if block.feature_channels:
            self.feature = ElasticDense(
                mid, block.feature_channels, use_bias=False, he_fan_out=True, seed=seed, name="feature"
            )
        self.classifier = ElasticDense(
            block.feature_channels or mid or block.in_channels, block.out_channels, seed=seed, name="classifier"
        )

    def body(self, inputs, sizes, norms, dropout=None):
        """`dropout`: None, or a rate (float32 scalar tensor) and a seed (int32 (2,) tensor)."""
        outputs, features = inputs, sizes[IN]
        if self.block.mid_channels:
            features = sizes[MID]
            outputs = widened(
                outputs, self.conv, self.norm, in_channels=sizes[IN], out_channels=features,
                activation=self.block.activation, norms=norms,
            )  # fmt: skip
        outputs = tf.reduce_mean(tf.cast(outputs, tf.float32), [1, 2])
        if self.block.feature_channels:
            features = self.block.feature_channels
            outputs = self.feature(outputs, in_features=sizes[MID], out_features=features)
            outputs = activate(self.block.activation, outputs)
        if dropout is not None:
            rate, seed = dropout
            outputs = tf.nn.experimental.stateless_dropout(outputs, rate, seed)
        return self.classifier(outputs, in_features=features, out_features=sizes[OUT])

    def active_weights(self, sizes, statistics):
        weights, last = {}, sizes[IN]
        if self.block.mid_channels:
            last = sizes[MID]
            weights["conv"] = [self.conv.active_kernel(in_channels=sizes[IN], out_channels=last)]
            weights["norm"] = self.norm.active_weights(last, statistics)
        if self.block.feature_channels:
            features = self.block.feature_channels
            weights["feature"] = self.feature.active_weights(in_features=last, out_features=features)
            last = features
        weights["classifier"] = self.classifier.active_weights(in_features=last, out_features=sizes[OUT])
        return weights
