"""Elastic Keras layers: maximum-size weights, of which the active configuration uses the leading part.

Sizes reach the layers as integer tensors, so that one trace serves every sub-network. Layers compute in the dtype of
their inputs, float32 or bfloat16; weights and batch-norm statistics are float32, and so Keras's own casting is off.
"""

from ofa_tf.layers.elastic_batch_normalization import ElasticBatchNormalization
from ofa_tf.layers.elastic_block import ElasticBlock
from ofa_tf.layers.elastic_bottleneck import ElasticBottleneck
from ofa_tf.layers.elastic_conv2d import ElasticConv2D
from ofa_tf.layers.elastic_dense import ElasticDense
from ofa_tf.layers.elastic_depthwise_conv2d import ElasticDepthwiseConv2D
from ofa_tf.layers.elastic_head import ElasticHead
from ofa_tf.layers.elastic_inverted_residual import ElasticInvertedResidual
from ofa_tf.layers.elastic_squeeze_excite import ElasticSqueezeExcite
from ofa_tf.layers.elastic_stem import ElasticStem
from ofa_tf.layers.normalization_pass import BATCH, GIVEN, MOVING, TRAIN, NormalizationPass
from ofa_tf.layers.recomputation import recomputation
from ofa_tf.layers.slicing import active, masks

__all__ = [
    "BATCH",
    "GIVEN",
    "MOVING",
    "TRAIN",
    "ElasticBatchNormalization",
    "ElasticBlock",
    "ElasticBottleneck",
    "ElasticConv2D",
    "ElasticDense",
    "ElasticDepthwiseConv2D",
    "ElasticHead",
    "ElasticInvertedResidual",
    "ElasticSqueezeExcite",
    "ElasticStem",
    "NormalizationPass",
    "active",
    "masks",
    "recomputation",
]
