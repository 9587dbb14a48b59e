"""`FusedSGD`: Keras's SGD with momentum, in one pass over each variable."""

import keras
import tensorflow as tf


class FusedSGD(keras.optimizers.SGD):
    """SGD whose momentum and update are TensorFlow's own kernel instead of six operations on whole variables.

    Values, slots and their order are those of `keras.optimizers.SGD`.
    """

    def update_step(self, gradient, variable, learning_rate):
        if not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        slot = self.momentums[self._get_variable_index(variable)].value
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle, accum=slot.handle, lr=learning_rate, grad=gradient, momentum=self.momentum,
            use_nesterov=self.nesterov,
        )  # fmt: skip
