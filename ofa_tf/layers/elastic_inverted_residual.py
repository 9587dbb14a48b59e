"""`ElasticInvertedResidual`: the block of the MobileNet families."""

import functools

import numpy as np

from ofa_tf.layers.activations import activate
from ofa_tf.layers.elastic_batch_normalization import ElasticBatchNormalization
from ofa_tf.layers.elastic_block import ElasticBlock, descending
from ofa_tf.layers.elastic_conv2d import ElasticConv2D
from ofa_tf.layers.elastic_depthwise_conv2d import ElasticDepthwiseConv2D
from ofa_tf.layers.elastic_squeeze_excite import ElasticSqueezeExcite
from ofa_tf.layers.pointwise import normalized, widened
from ofa_tf.spaces import IN, KERNEL, MID, OUT, SE, Block


class ElasticInvertedResidual(ElasticBlock):
    """Expansion, depthwise convolution, squeeze-and-excite, projection: each part where the block has it.

    Args:
        block: the block at its maximum.
        kernel_sizes: of the depthwise convolution, ascending.
        seed: `keras.random.SeedGenerator` for the initialisation.

    Source: docs/method.md, "MobileNetV3".
    """

    def __init__(self, block: Block, *, kernel_sizes: tuple[int, ...], seed=None, **kwargs):
        super().__init__(block, **kwargs)
        mid, out, epsilon = block.mid_channels, block.out_channels, block.norm_epsilon
        if block.expand:
            self.expand = ElasticConv2D(block.in_channels, mid, seed=seed, name="expand")
            self.expand_norm = ElasticBatchNormalization(mid, epsilon=epsilon, name="expand_norm")
        self.depthwise = ElasticDepthwiseConv2D(mid, kernel_sizes, stride=block.stride, seed=seed, name="depthwise")
        self.depthwise_norm = ElasticBatchNormalization(mid, epsilon=epsilon, name="depthwise_norm")
        if block.se_channels:
            self.squeeze_excite = ElasticSqueezeExcite(mid, block.se_channels, seed=seed, name="squeeze_excite")
        self.project = ElasticConv2D(mid, out, seed=seed, name="project")
        self.project_norm = ElasticBatchNormalization(out, epsilon=epsilon, name="project_norm")
        expand_norms = [self.expand_norm] if block.expand else []
        self.norms = [*expand_norms, self.depthwise_norm, self.project_norm]

    def body(self, inputs, sizes, norms):
        outputs = inputs
        if self.block.expand:
            outputs = widened(
                outputs, self.expand, self.expand_norm, in_channels=sizes[IN], out_channels=sizes[MID],
                activation=self.block.activation, norms=norms,
            )  # fmt: skip
        filtered = functools.partial(self.depthwise, channels=sizes[MID], kernel_index=sizes[KERNEL])
        outputs = normalized(outputs, filtered, self.depthwise_norm, channels=sizes[MID], norms=norms)
        outputs = activate(self.block.activation, outputs)
        if self.block.se_channels:
            outputs = self.squeeze_excite(outputs, channels=sizes[MID], hidden=sizes[SE])
        projected = functools.partial(self.project, in_channels=sizes[MID], out_channels=sizes[OUT])
        outputs = normalized(outputs, projected, self.project_norm, channels=sizes[OUT], norms=norms)
        return outputs + inputs if self.block.residual else outputs

    def active_weights(self, sizes, statistics):
        mid, out = sizes[MID], sizes[OUT]
        weights = {}
        if self.block.expand:
            weights["expand"] = [self.expand.active_kernel(in_channels=sizes[IN], out_channels=mid)]
            weights["expand_norm"] = self.expand_norm.active_weights(mid, statistics)
        weights["depthwise"] = [self.depthwise.active_kernel(channels=mid, kernel_index=sizes[KERNEL])]
        weights["depthwise_norm"] = self.depthwise_norm.active_weights(mid, statistics)
        if self.block.se_channels:
            gate = self.squeeze_excite
            weights["se_reduce"] = gate.reduce.active_weights(in_features=mid, out_features=sizes[SE])
            weights["se_expand"] = gate.expand.active_weights(in_features=sizes[SE], out_features=mid)
        weights["project"] = [self.project.active_kernel(in_channels=mid, out_channels=out)]
        weights["project_norm"] = self.project_norm.active_weights(out, statistics)
        return weights

    def sort_channels(self, bounds, reorder):
        if not self.block.expand:
            return  # the inner channels are the input's: their order is not this block's to choose
        # Importance: how much the projection makes of a channel.
        order = descending(np.abs(self.project.kernel.numpy()).sum((0, 1, 3)), bounds)
        reorder([self.expand.kernel], order, axis=3)
        reorder(self.expand_norm.variables, order, axis=0)
        reorder([self.depthwise.kernel], order, axis=2)
        reorder(self.depthwise_norm.variables, order, axis=0)
        reorder([self.project.kernel], order, axis=2)
        if self.block.se_channels:
            reduce, expand = self.squeeze_excite.reduce, self.squeeze_excite.expand
            reorder([reduce.kernel], order, axis=0)
            reorder([expand.kernel], order, axis=1)
            reorder([expand.bias], order, axis=0)
            # The hidden units are sorted over their whole length, as published.
            hidden = descending(np.abs(expand.kernel.numpy()).sum(1))
            reorder([reduce.kernel], hidden, axis=1)
            reorder([reduce.bias, expand.kernel], hidden, axis=0)
