"""The optimizer of one pass is Keras's: the same values, slot by slot."""

import keras
import numpy as np
import pytest

from ofa_tf.training.train_step import FusedSGD


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.9, False), (0.0, False)])
def test_weights_and_slots_are_those_of_keras(momentum, nesterov):
    """Ten steps at changing rates; momentum goes on where a gradient is zero, as in the published training."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 4)).astype(np.float32)
    gradients = rng.normal(size=(10, 5, 4)).astype(np.float32)
    gradients[4:7] = 0.0
    states = []
    for kind in (keras.optimizers.SGD, FusedSGD):
        variable = keras.Variable(start)
        optimizer = kind(0.0, momentum=momentum, nesterov=nesterov)
        optimizer.build([variable])
        for step, gradient in enumerate(gradients):
            optimizer.learning_rate.assign(0.1 / (step + 1))
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        states.append([variable.numpy(), *(slot.numpy() for slot in optimizer.variables)])
    assert len(states[0]) == len(states[1])
    for expected, value in zip(*states, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)
