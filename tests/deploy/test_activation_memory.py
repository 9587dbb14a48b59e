"""Predicted peak memory of activations against the microcontroller runtime itself."""

import re

import numpy as np
import pytest

from mobile_bench.block_models import model_bytes
from ofa_tf import spaces
from ofa_tf.deploy.captured_output import captured_output
from ofa_tf.spaces.activation_memory import ActivationMemory

SPACES = {
    "ofa_tiny": None,
    "ofa_cifar": None,
    "ofa_mbv3_d234_e346_k357_w0.5": (96, 128),
    "ofa_proxyless_d234_e346_k357_w1.3": (64,),
    "ofa_resnet50": (64,),
}


def arena_head_bytes(model: bytes) -> int:
    """What the runtime plans for a model's tensors; it tells only the terminal."""
    runtime = pytest.importorskip("tflite_micro").runtime
    with captured_output() as written:
        runtime.Interpreter.from_bytes(model).print_allocations()
        words = written()
    return int(re.search(r"Arena allocation head (\d+) bytes", words)[1])


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_it_is_what_the_runtime_allocates(name, precision):
    """Four random sub-networks of each space, 20 in all, in four forms: the same number of bytes."""
    space = spaces.get(name)
    space = space.replace(resolutions=SPACES[name] or space.resolutions)
    rng = np.random.default_rng(7)
    for place in range(4):
        blocks = space.blocks(space.sample(rng))
        form = ("fused", "split", "fused-same", "folded-same")[place]
        found = arena_head_bytes(model_bytes(blocks, precision, form=form))
        assert ActivationMemory(precision, form).network_bytes(blocks) == found
