"""Predicted peak memory of activations against the microcontroller runtime itself."""

import numpy as np
import pytest

from mobile_bench.block_models import model_bytes
from ofa_tf import spaces
from ofa_tf.deploy.micro_runtime import run_micro
from ofa_tf.spaces.activation_memory import ActivationMemory
from ofa_tf.spaces.form import MICROCONTROLLER_FORM

SPACES = {
    "ofa_micro": None,
    "ofa_tiny": None,
    "ofa_cifar_m": None,
    "ofa_mbv3_d234_e346_k357_w0.5": (96, 128),
    "ofa_proxyless_d234_e346_k357_w1.3": (64,),
    "ofa_resnet50": (64,),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_it_is_what_the_runtime_allocates(name, precision):
    """Four random sub-networks of each space, 24 in all, in four forms: the same number of bytes."""
    pytest.importorskip("tflite_micro")
    space = spaces.get(name)
    space = space.replace(resolutions=SPACES[name] or space.resolutions)
    rng = np.random.default_rng(7)
    for place in range(4):
        blocks = space.blocks(space.sample(rng))
        form = ("fused", "split", "fused-same", "folded-same")[place]
        found = run_micro(model_bytes(blocks, precision, form=form)).head_bytes
        assert ActivationMemory(precision, form).network_bytes(blocks) == found


def test_the_largest_for_microcontrollers_fits_the_board():
    """256 KB SRAM and 1 MB flash, less 32 KB and 128 KB: in an arena of that size it runs, and no other takes more."""
    pytest.importorskip("tflite_micro")
    space = spaces.get("ofa_micro")
    memory = ActivationMemory("int8", MICROCONTROLLER_FORM)
    blocks = space.blocks(space.largest())
    data = model_bytes(blocks, "int8", form=MICROCONTROLLER_FORM)
    run = run_micro(data, arena_bytes=(256 - 32) * 1024)
    assert run.head_bytes == memory.network_bytes(blocks)
    assert len(data) <= (1024 - 128) * 1024
    drawn = (space.sample(np.random.default_rng(seed)) for seed in range(200))
    assert max(memory.network_bytes(space.blocks(arch)) for arch in drawn) <= run.head_bytes
