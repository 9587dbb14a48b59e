"""The published networks with ImageNet weights are sub-networks of their spaces, to the last parameter."""

import json

import pytest

from ofa_tf import spaces
from ofa_tf.common import InputError

# Parameters and, where they are published or were counted in the published code, multiply-accumulates at 224 pixels.
FIGURES = {
    "EfficientNetLite0": (4_652_008, 385_187_552),
    "EfficientNetB0": (5_288_548, None),
    "EfficientNetV2B0": (7_139_704, None),
    "MobileNetV2": (3_504_872, 300_774_272),
    "MobileNetV3Large": (5_483_032, 216_589_760),
    "MobileNetV3Small": (2_542_856, 56_510_400),
}


@pytest.mark.parametrize("network", spaces.NATIVE_NETWORKS)
def test_the_native_network_has_its_published_size(network):
    """Parameters, and multiply-accumulates at 224 pixels."""
    space, native = spaces.native_space(network)
    params, macs = FIGURES[network]
    assert space.count_params(native) == params
    assert native.r == 224
    if macs is not None:
        assert space.count_macs(native) == macs


@pytest.mark.parametrize("network", spaces.NATIVE_NETWORKS)
def test_its_space_has_smaller_and_larger_ones_and_is_read_back(network):
    """The largest has at least its size, the smallest less than half; JSON keeps everything."""
    space, native = spaces.native_space(network, num_classes=5)
    assert space.count_macs(space.smallest()) < space.count_macs(native) / 2 <= space.count_macs(space.largest()) / 2
    assert spaces.from_config(json.loads(json.dumps(space.to_config()))) == space


def test_ratios_of_single_blocks_are_restricted_to_what_each_has():
    """MobileNetV3's blocks have ratios of their own: each keeps those of its own that are asked for, or its nearest."""
    space, _ = spaces.native_space("MobileNetV3Large")
    part = space.restricted(e=(6, 3))
    for gene, whole in zip(part.fields["e"], space.fields["e"], strict=True):
        assert set(gene.choices) <= set(whole.choices)
        assert set(gene.choices) == {6, 3} & set(whole.choices) or not {6, 3} & set(whole.choices)
    assert part.count_macs(part.largest()) <= space.count_macs(space.largest())
    assert spaces.from_config(json.loads(json.dumps(part.to_config()))) == part


def test_lite_is_the_published_space():
    """Kernels 3 and 5, ratios 3, 4 and 6, depths from 1, from 2 in the stage of four; TensorFlow's padding."""
    space = spaces.get("ofa_efficientnet_lite")
    assert (space.ks, space.choices("e"), space.padding) == ((3, 5), (3, 4, 6), "same")
    assert [stage.depths for stage in space.stages] == [(1, 2), (1, 2), (1, 2, 3), (1, 2, 3), (2, 3, 4), (1,)]
    assert {block.activation for block in space.blocks(space.largest())} == {"relu6"}
    assert space == spaces.efficientnet_lite()


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"padding": "valid"}, "padding"), ({"gates": "none"}, "gates"), ({"first_stride": 3}, "first_stride")],
)
def test_what_is_no_choice_is_refused(changes, named):
    """By the field's name."""
    with pytest.raises(InputError, match=named):
        spaces.efficientnet_lite().replace(**changes)


def test_the_native_architecture_is_found_again():
    """In a space of other classes and image sides; in a space around nothing there is none."""
    for network in spaces.NATIVE_NETWORKS:
        space, native = spaces.native_space(network, num_classes=5, resolutions=(96, 224), name="photos")
        assert spaces.native_arch(space) == native
    assert spaces.native_arch(spaces.get("ofa_tiny")) is None


def test_an_unknown_network_is_answered_with_the_known_ones():
    """All of them."""
    with pytest.raises(InputError, match="MobileNetV3Large"):
        spaces.native_space("ResNet50")
