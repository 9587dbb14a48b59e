"""`ElasticStem`: a convolution at the beginning of a network."""

import tensorflow as tf

from ofa_tf.layers.activations import activate
from ofa_tf.layers.elastic_batch_normalization import ElasticBatchNormalization
from ofa_tf.layers.elastic_block import ElasticBlock
from ofa_tf.layers.elastic_conv2d import ElasticConv2D
from ofa_tf.spaces import IN, OUT, Block


class ElasticStem(ElasticBlock):
    """Convolution, batch norm, activation; added to the input, or max-pooled, where the block says so.

    Args:
        block: the block at its maximum.
        seed: `keras.random.SeedGenerator` for the initialisation.
    """

    def __init__(self, block: Block, *, seed=None, **kwargs):
        super().__init__(block, **kwargs)
        self.conv = ElasticConv2D(
            block.in_channels,
            block.out_channels,
            kernel_size=block.kernel_size,
            stride=block.stride,
            seed=seed,
            name="conv",
        )
        self.norm = ElasticBatchNormalization(block.out_channels, epsilon=block.norm_epsilon, name="norm")
        self.norms = [self.norm]

    def body(self, inputs, sizes, norms):
        outputs = self.conv(inputs, in_channels=sizes[IN], out_channels=sizes[OUT])
        outputs = self.norm(outputs, channels=sizes[OUT], norms=norms)
        outputs = activate(self.block.activation, outputs)
        if self.block.residual:
            outputs = outputs + inputs
        if self.block.pool:
            # Framed by an operation of its own: XLA knows no pooling with explicit padding.
            outputs = tf.pad(outputs, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=outputs.dtype.min)
            outputs = tf.nn.max_pool2d(outputs, 3, 2, "VALID")
        return outputs

    def active_weights(self, sizes, statistics):
        return {
            "conv": [self.conv.active_kernel(in_channels=sizes[IN], out_channels=sizes[OUT])],
            "norm": self.norm.active_weights(sizes[OUT], statistics),
        }
