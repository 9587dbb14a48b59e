"""Blocks that are computed a second time for their gradients, so that nothing of them is kept in between.

Chen et al., "Training Deep Nets with Sublinear Memory Cost" (arXiv 1604.06174), with one block as the segment.
"""

import contextlib
import contextvars
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

_recomputing = contextvars.ContextVar("recomputing", default=False)
# What stands in for a variable, by its identity, while a block is computed the second time.
_stand_ins = contextvars.ContextVar("stand_ins", default=None)


@contextlib.contextmanager
def recomputation(enabled: bool = True):
    """Within it, blocks keep their inputs alone for the gradient: less memory, one more forward pass.

    Args:
        enabled: False changes nothing.

    Example:
        with recomputation():
            logits = net(images, arch=sizes, training=True)
    """
    token = _recomputing.set(enabled)
    try:
        yield
    finally:
        _recomputing.reset(token)


def recomputing() -> bool:
    """Whether `recomputation` is in force."""
    return _recomputing.get()


def current(weight: "keras.Variable | tf.Tensor") -> "keras.Variable | tf.Tensor":
    """What a layer computes with in place of a variable: the variable, or what stands in for it."""
    return (_stand_ins.get() or {}).get(id(weight), weight)


def recomputed(
    compute: Callable[[tf.Tensor, bool], tf.Tensor], inputs: tf.Tensor, variables: Sequence[keras.Variable]
) -> tf.Tensor:
    """compute(inputs, False), whose gradient calls compute(inputs, True) and keeps nothing of the first call.

    `tf.recompute_grad` cannot do this: it knows no variables inside `tf.cond`.

    Args:
        compute: gives outputs of the shape of the first call; must read the variables through `current`.
        inputs: float tensor.
        variables: trainable, all that `compute` reads.
    """

    def call(again, inputs, weights):
        token = _stand_ins.set(dict(zip(map(id, variables), weights, strict=True)))
        try:
            return compute(inputs, again)
        finally:
            _stand_ins.reset(token)

    @tf.custom_gradient
    def forward(inputs, *weights):
        def gradient(upstream):
            # After the upstream gradient: else an optimizer could find that both calls compute the same.
            with tf.control_dependencies([upstream]):
                again = [tf.identity(tensor) for tensor in (inputs, *weights)]
            with tf.GradientTape() as tape:
                tape.watch(again)
                outputs = call(True, again[0], again[1:])
            return tape.gradient(outputs, again, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO)

        return call(False, inputs, weights), gradient

    return forward(inputs, *(tf.convert_to_tensor(variable) for variable in variables))
