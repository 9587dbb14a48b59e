"""`ElasticDense`: a dense layer over the first input and output features."""

import math

import keras
import tensorflow as tf

from ofa_tf.layers.elastic_conv2d import he_fan_out as he_fan_out_normal
from ofa_tf.layers.slicing import active


class ElasticDense(keras.layers.Layer):
    """Dense layer whose inputs and outputs are the leading ones of a maximum-size kernel.

    Args:
        in_features: the largest number of inputs.
        out_features: the largest number of outputs.
        use_bias: whether a bias is added.
        he_fan_out: whether the kernel starts as that of a 1x1 convolution, normal with variance 2 / out_features; else
            uniform within 1 / sqrt(in_features), as a classifier's.
        seed: `keras.random.SeedGenerator` for the initialisation.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        he_fan_out: bool = False,
        seed=None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        if he_fan_out:
            initializer = he_fan_out_normal(1, out_features, seed)
        else:
            bound = 1.0 / math.sqrt(in_features)
            initializer = keras.initializers.RandomUniform(-bound, bound, seed=seed)
        self.kernel = self.add_weight(shape=(in_features, out_features), initializer=initializer, name="kernel")
        self.bias = self.add_weight(shape=(out_features,), initializer="zeros", name="bias") if use_bias else None
        self.built = True

    def active_weights(self, *, in_features, out_features) -> list[tf.Tensor]:
        """The kernel (in_features, out_features) and, where there is one, the bias (out_features,) in use."""
        weights = [active(self.kernel, [in_features, out_features])]
        return weights if self.bias is None else [*weights, active(self.bias, [out_features])]

    def call(self, inputs, *, in_features, out_features):
        """Multiplies float32 (batch, in_features); both counts are int32 scalars."""
        kernel, *bias = self.active_weights(in_features=in_features, out_features=out_features)
        outputs = tf.matmul(inputs, kernel)
        return tf.nn.bias_add(outputs, bias[0]) if bias else outputs
