"""Predicted peak memory of activations against the microcontroller runtime itself."""

import numpy as np
import pytest

from ofa_tf import spaces
from ofa_tf.common.form import MICROCONTROLLER_FORM
from ofa_tf.deploy.micro_runtime import run_micro
from ofa_tf.devices.block_models import model_bytes
from ofa_tf.spaces.costs import ActivationMemory

# Narrow and shallow ones stand for the published spaces: what counts is which tensors live at the same time.
SPACES = {
    "ofa_micro": lambda: spaces.get("ofa_micro"),
    "ofa_tiny": lambda: spaces.get("ofa_tiny"),
    "ofa_cifar_m": lambda: spaces.get("ofa_cifar_m"),
    "mobilenet_v3": lambda: spaces.mobilenet_v3(0.35, num_classes=10, d=(1, 2), resolutions=(96, 128)),
    "proxyless": lambda: spaces.proxyless(0.35, num_classes=10, d=(1, 2), resolutions=(64,)),
    "resnet50": lambda: spaces.resnet50((0.125, 0.25), num_classes=10, d=(0, 1), resolutions=(64,)),
    "efficientnet_v2": lambda: spaces.efficientnet_v2(0.35, num_classes=10, d=(1, 2), resolutions=(64,)),
}
PUBLISHED = {
    "ofa_mbv3_d234_e346_k357_w0.5": (96, 128),
    "ofa_proxyless_d234_e346_k357_w1.3": (64,),
    "ofa_resnet50": (64,),
}


def check_memory(space: spaces.Space, precision: str) -> None:
    """Four random sub-networks, one in each of four forms: the same number of bytes."""
    pytest.importorskip("tflite_micro")
    rng = np.random.default_rng(7)
    for form in ("fused", "split", "fused-same", "folded-same"):
        blocks = space.blocks(space.sample(rng))
        found = run_micro(model_bytes(blocks, precision, form=form)).head_bytes
        assert ActivationMemory(precision, form).network_bytes(blocks) == found


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_it_is_what_the_runtime_allocates(name, precision):
    """24 sub-networks in all, of every family."""
    check_memory(SPACES[name](), precision)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_it_is_what_the_runtime_allocates_for_published_spaces(name, precision):
    """The same at full size."""
    check_memory(spaces.get(name).replace(resolutions=PUBLISHED[name]), precision)


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
