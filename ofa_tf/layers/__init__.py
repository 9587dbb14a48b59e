"""Elastic Keras layers: maximum-size weights, of which the active configuration uses the leading part.

Sizes reach the layers as integer tensors, so that one trace serves every sub-network. Layers compute in the dtype of
their inputs, float32 or bfloat16; weights and batch-norm statistics are float32, and so Keras's own casting is off.
"""

from ofa_tf.layers.convolution import ElasticConv2D, ElasticDense, ElasticDepthwiseConv2D
from ofa_tf.layers.elastic_block import ElasticBlock
from ofa_tf.layers.normalization import BATCH, GIVEN, MOVING, TRAIN, ElasticBatchNormalization, NormalizationPass
from ofa_tf.layers.recomputation import recomputation
from ofa_tf.layers.slicing import active, masks

__all__ = [
    "BATCH",
    "GIVEN",
    "MOVING",
    "TRAIN",
    "ElasticBatchNormalization",
    "ElasticBlock",
    "ElasticConv2D",
    "ElasticDense",
    "ElasticDepthwiseConv2D",
    "NormalizationPass",
    "active",
    "masks",
    "recomputation",
]
