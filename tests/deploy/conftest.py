import dataclasses

import numpy as np
import pytest

from ofa_tf import networks, spaces
from ofa_tf.data.preprocessing import SYMMETRIC
from ofa_tf.devices.block_models import model_bytes
from ofa_tf.layers import ElasticDense
from ofa_tf.spaces import Arch


@dataclasses.dataclass(frozen=True)
class Subnet:
    """A calibrated subnet of a space small enough to convert in a moment."""

    net: networks.Supernet
    arch: Arch
    statistics: np.ndarray
    images: np.ndarray


@pytest.fixture(scope="session")
def subnet() -> Subnet:
    space = spaces.mobilenet_v3(
        num_classes=4,
        ks=(3, 5),
        e=(2, 3),
        d=(1, 2),
        resolutions=(24, 32),
        base_widths=(8, 8, 8, 16),
        strides=(2, 2),
        head_widths=(16, 24),
        name="deploy_test",
    )
    # The tolerances of these tests were stated for narrow first draws of gates and features; those that training starts
    # from now are wider, and close or open the gates of a network that nobody trained.
    make_dense = ElasticDense.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ElasticDense,
            "__init__",
            lambda self, *sizes, he_fan_out=False, **options: make_dense(self, *sizes, **options),
        )
        net = networks.build(space, seed=3)
    arch = space.arch(d=1, r=32)
    rng = np.random.default_rng(0)
    # Smooth images: pixels of pure noise all look the same to a network.
    images = rng.integers(0, 256, (48, 4, 4, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    _, statistics = net.batch_statistics(SYMMETRIC.normalize(images), arch)
    return Subnet(net, arch, statistics.numpy(), images)


@pytest.fixture(scope="session")
def int8_models(subnet) -> dict[str, bytes]:
    """Files of the subnet with random weights, by form."""
    blocks = subnet.net.space.blocks(subnet.arch)
    return {form: model_bytes(blocks, "int8", form=form) for form in ("folded", "fused")}


@pytest.fixture(scope="session")
def float_model(subnet) -> bytes:
    """The same in float32."""
    return model_bytes(subnet.net.space.blocks(subnet.arch), "float32")
