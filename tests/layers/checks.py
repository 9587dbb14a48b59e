"""What every elastic layer must do, checked the same way for each."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def check_elastic_layer(
    make: Callable,
    inputs: Callable,
    call: Callable,
    expected: Callable,
    configurations: list[tuple[int, ...]],
    active: Callable[[tuple[int, ...]], dict[str, tuple]],
    mean: float = 1.0,
) -> None:
    """Checks one trace, agreement with standard operations, gradients, and that the weights are the whole state.

    Args:
        make: returns a new layer.
        inputs: (configuration) -> the layer's input, float32.
        call: (layer, inputs, sizes) -> output; sizes is an int32 tensor made of the configuration.
        expected: (weights by name, inputs, configuration) -> output, by standard operations on slices.
        configurations: different active sizes.
        active: (configuration) -> for each weight's name, the index of its active part.
        mean: of the random weights.
    """
    layer = make()
    rng = np.random.default_rng(0)
    for variable in layer.variables:
        variable.assign(rng.normal(mean, 0.2, variable.shape).astype(np.float32))
    weights = {_name(layer, variable): variable.numpy() for variable in layer.variables}
    traced = tf.function(lambda images, sizes: call(layer, images, sizes), autograph=False)
    traces = 0
    for configuration in configurations:
        images, sizes = inputs(configuration), tf.constant(configuration, tf.int32)
        if not traces:
            unknown = tf.TensorSpec((None,) * images.shape.rank, tf.float32)
            concrete = traced.get_concrete_function(unknown, tf.TensorSpec(sizes.shape, tf.int32))
            traces = traced.experimental_get_tracing_count()
        outputs = concrete(images, sizes)
        np.testing.assert_allclose(outputs, expected(weights, images, configuration), rtol=1e-4, atol=1e-5)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(call(layer, images, sizes) ** 2)
        variables = layer.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        for variable, gradient in zip(variables, gradients, strict=True):
            inactive = np.ones(variable.shape, bool)
            name = _name(layer, variable)
            if name in active(configuration):
                inactive[active(configuration)[name]] = False
            gradient = np.zeros(variable.shape) if gradient is None else tf.convert_to_tensor(gradient).numpy()
            assert not gradient[inactive].any(), f"{name}: gradient outside the active part"
            assert inactive.all() or gradient[~inactive].any(), f"{name}: no gradient in the active part"
    assert traced.experimental_get_tracing_count() == traces == 1
    other = make()
    for variable in other.variables:
        variable.assign(weights[_name(other, variable)])
    images, sizes = inputs(configurations[0]), tf.constant(configurations[0], tf.int32)
    np.testing.assert_array_equal(call(other, images, sizes), call(layer, images, sizes))


def _name(layer, variable) -> str:
    return variable.path.removeprefix(f"{layer.name}/")
