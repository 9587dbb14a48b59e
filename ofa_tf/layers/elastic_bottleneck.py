"""`ElasticBottleneck`: the block of the ResNet family."""

import numpy as np
import tensorflow as tf

from ofa_tf.layers.activations import activate
from ofa_tf.layers.elastic_batch_normalization import ElasticBatchNormalization
from ofa_tf.layers.elastic_block import ElasticBlock, descending
from ofa_tf.layers.elastic_conv2d import ElasticConv2D
from ofa_tf.spaces import IN, MID, OUT, Block


class ElasticBottleneck(ElasticBlock):
    """1x1, 3x3 and 1x1 convolution, added to the input or to a projection of it, then the activation.

    Args:
        block: the block at its maximum; one that is not residual has a projection shortcut.
        seed: `keras.random.SeedGenerator` for the initialisation.

    Source: docs/method.md, "ResNet50".
    """

    def __init__(self, block: Block, *, seed=None, **kwargs):
        super().__init__(block, **kwargs)
        before, mid, out, epsilon = block.in_channels, block.mid_channels, block.out_channels, block.norm_epsilon
        self.reduce = ElasticConv2D(before, mid, seed=seed, name="reduce")
        self.reduce_norm = ElasticBatchNormalization(mid, epsilon=epsilon, name="reduce_norm")
        self.spatial = ElasticConv2D(
            mid, mid, kernel_size=block.kernel_size, stride=block.stride, seed=seed, name="spatial"
        )
        self.spatial_norm = ElasticBatchNormalization(mid, epsilon=epsilon, name="spatial_norm")
        self.expand = ElasticConv2D(mid, out, seed=seed, name="expand")
        self.expand_norm = ElasticBatchNormalization(out, epsilon=epsilon, name="expand_norm")
        self.norms = [self.reduce_norm, self.spatial_norm, self.expand_norm]
        if not block.residual:
            self.shortcut = ElasticConv2D(before, out, seed=seed, name="shortcut")
            self.shortcut_norm = ElasticBatchNormalization(out, epsilon=epsilon, name="shortcut_norm")
            self.norms.append(self.shortcut_norm)

    def body(self, inputs, sizes, norms):
        before, mid, out = sizes[IN], sizes[MID], sizes[OUT]
        activation = self.block.activation
        outputs = self.reduce(inputs, in_channels=before, out_channels=mid)
        outputs = activate(activation, self.reduce_norm(outputs, channels=mid, norms=norms))
        outputs = self.spatial(outputs, in_channels=mid, out_channels=mid)
        outputs = activate(activation, self.spatial_norm(outputs, channels=mid, norms=norms))
        outputs = self.expand(outputs, in_channels=mid, out_channels=out)
        outputs = self.expand_norm(outputs, channels=out, norms=norms)
        shortcut = inputs
        if not self.block.residual:
            if self.block.stride > 1:
                shortcut = tf.nn.avg_pool2d(shortcut, self.block.stride, self.block.stride, "SAME")
            shortcut = self.shortcut(shortcut, in_channels=before, out_channels=out)
            shortcut = self.shortcut_norm(shortcut, channels=out, norms=norms)
        return activate(activation, outputs + shortcut)

    def active_weights(self, sizes, statistics):
        before, mid, out = sizes[IN], sizes[MID], sizes[OUT]
        weights = {
            "reduce": [self.reduce.active_kernel(in_channels=before, out_channels=mid)],
            "reduce_norm": self.reduce_norm.active_weights(mid, statistics),
            "spatial": [self.spatial.active_kernel(in_channels=mid, out_channels=mid)],
            "spatial_norm": self.spatial_norm.active_weights(mid, statistics),
            "expand": [self.expand.active_kernel(in_channels=mid, out_channels=out)],
            "expand_norm": self.expand_norm.active_weights(out, statistics),
        }
        if not self.block.residual:
            weights["shortcut"] = [self.shortcut.active_kernel(in_channels=before, out_channels=out)]
            weights["shortcut_norm"] = self.shortcut_norm.active_weights(out, statistics)
        return weights

    def sort_channels(self, bounds, reorder):
        # First the 3x3's outputs, then, by what the re-ordered 3x3 makes of them, its inputs.
        order = descending(np.abs(self.expand.kernel.numpy()).sum((0, 1, 3)), bounds)
        reorder([self.expand.kernel], order, axis=2)
        reorder([self.spatial.kernel], order, axis=3)
        reorder(self.spatial_norm.variables, order, axis=0)
        order = descending(np.abs(self.spatial.kernel.numpy()).sum((0, 1, 3)), bounds)
        reorder([self.spatial.kernel], order, axis=2)
        reorder([self.reduce.kernel], order, axis=3)
        reorder(self.reduce_norm.variables, order, axis=0)
