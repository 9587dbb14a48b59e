"""A space and a network so small that a test of the whole path takes seconds."""

import numpy as np
import tensorflow as tf

from ofa_tf import networks, spaces
from ofa_tf.networks import Supernet
from ofa_tf.spaces import Space

# Tests run a graph a few times: optimizing it takes longer than it saves.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def micro_space(**changes) -> Space:
    """Every elastic dimension, squeeze-and-excite and a stage without a residual, in about 10,000 parameters."""
    options = {
        "num_classes": 10,
        "ks": (3, 5, 7),
        "e": (2, 3, 4),
        "d": (1, 2),
        "resolutions": (16, 24),
        "base_widths": (8, 8, 8, 16, 16),
        "strides": (2, 2, 1),
        "head_widths": (16, 24),
        "name": "micro",
    }
    return spaces.mobilenet_v3(**{**options, **changes})


def nano_space(**changes) -> Space:
    """The same with two stages and kernel sizes: for tests of what is around a step, which trace one several times."""
    options = {"ks": (3, 5), "base_widths": (8, 8, 8, 16), "strides": (2, 2), "name": "nano"}
    return micro_space(**{**options, **changes})


def micro_net(seed: int = 0, **changes) -> Supernet:
    """A supernet whose every weight is away from its start: identity matrices and unit gammas would hide errors."""
    return _shaken(micro_space(**changes), seed)


def nano_net(seed: int = 0, **changes) -> Supernet:
    """The same of the smaller space."""
    return _shaken(nano_space(**changes), seed)


def _shaken(space: Space, seed: int) -> Supernet:
    net = networks.build(space, seed=seed)
    rng = np.random.default_rng(seed)
    for variable in net.variables:
        if variable.name in ("gamma", "beta", "moving_mean", "moving_variance") or "transform" in variable.name:
            variable.assign(variable.numpy() + 0.1 * np.abs(rng.normal(size=variable.shape)).astype(np.float32))
    return net


def random_images(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Normalized float32 images."""
    return np.random.default_rng(seed).normal(size=(count, size, size, 3)).astype(np.float32)
