"""Predicted file sizes are those of real files."""

import numpy as np
import pytest

from ofa_tf import spaces
from ofa_tf.devices.block_models import model_bytes
from ofa_tf.search import Constraint
from ofa_tf.spaces import population
from ofa_tf.spaces.costs import FILE_SIZES


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 0.01), ("float16", 0.01), ("dynamic", 0.06), ("int8", 0.02)]
)
def test_predicted_file_size(precision, tolerance):
    """Architectures that the figures were not fitted on, of a size between the spaces that they were."""
    space = spaces.mobilenet_v3(0.35, num_classes=7, resolutions=(64,))
    archs = [space.sample(np.random.default_rng(seed)) for seed in (101, 102)]
    table = Constraint("model_bytes", 1e9, precision=precision).compile(space)
    predicted = population.evaluate(table, population.encode(space, archs))
    for arch, size in zip(archs, predicted, strict=True):
        assert size == pytest.approx(len(model_bytes(space.blocks(arch), precision)), rel=tolerance)


@pytest.mark.parametrize(("name", "form"), [("ofa_micro", "fused-same"), ("ofa_cifar_m", "folded-same")])
def test_predicted_file_size_for_microcontrollers(name, form):
    """Kernels whole and padded by the convolutions, in int8."""
    space = spaces.get(name)
    blocks = space.blocks(space.sample(np.random.default_rng(103)))
    size = FILE_SIZES["int8"].network_bytes(blocks, form)
    assert size == pytest.approx(len(model_bytes(blocks, "int8", form=form)), rel=0.02)
    assert size != FILE_SIZES["int8"].network_bytes(blocks)
