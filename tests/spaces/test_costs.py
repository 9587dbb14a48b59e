"""Costs are the reference's, exactly."""

import json

import pytest

from ofa_tf import spaces
from ofa_tf.spaces import costs
from tests.reference import shared

PUBLISHED = (
    "ofa_mbv3_d234_e346_k357_w1.0",
    "ofa_mbv3_d234_e346_k357_w1.2",
    "ofa_proxyless_d234_e346_k357_w1.3",
    "ofa_resnet50",
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_macs_and_params_equal_the_reference(name):
    space = spaces.get(name)
    expected = json.loads(shared("reference/costs.json").read_text(encoding="utf-8"))[name]
    assert space.supernet_params == expected["supernet_params"]
    assert len(expected["cases"]) >= 12
    for case in expected["cases"]:
        arch = space.arch(**case["arch"], r=case["resolution"])
        assert (space.count_macs(arch), space.count_params(arch)) == (case["macs"], case["params"])


def test_macs_and_params_equal_those_of_measured_subnets():
    """A second, independent source: the search logs of another project."""
    space = spaces.get(PUBLISHED[0])
    lines = shared("data/ofa_mbv3_w1.0_imagenet_top1.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines[::40]:
        case = json.loads(line)
        arch = space.arch(**{field: case[field] for field in ("ks", "e", "d", "r")})
        assert (space.count_macs(arch), space.count_params(arch)) == (case["macs"], case["params"])


@pytest.mark.parametrize(
    ("name", "count"), list(zip(PUBLISHED, (7_678_880, 10_715_752, 7_956_882, 48_105_992), strict=True))
)
def test_supernet_params_are_the_published_ones(name, count):
    assert spaces.get(name).supernet_params == count


def test_the_summary_has_every_block_and_the_sums():
    """A table for people: its last row are the costs that are counted elsewhere."""
    space = spaces.get("ofa_tiny")
    arch = space.largest()
    head, *rows, total = space.summary(arch).splitlines()
    assert [row.split()[0] for row in rows] == [block.name for block in space.blocks(arch)]
    assert total.split() == [f"{space.count_macs(arch):,}", f"{space.count_params(arch):,}"]
    assert head.index("MACs") + 4 == total.index(total.split()[0]) + len(total.split()[0])


def test_classes_change_the_dense_layer_only():
    large, small = spaces.get(PUBLISHED[0]), spaces.get(PUBLISHED[0], num_classes=10)
    assert large.count_params(large.largest()) - small.count_params(small.largest()) == 990 * 1281
    assert large.blocks(large.largest())[:-1] == small.blocks(small.largest())[:-1]


@pytest.mark.parametrize(
    ("fields", "macs", "params"),
    [
        # 3x3 from 16 to 48 channels at half the side, then 1x1 to 24; each with a batch norm.
        ({"expand": True, "stride": 2}, 16 * (9 * 16 * 48 + 48 * 24), 9 * 16 * 48 + 2 * 48 + 48 * 24 + 2 * 24),
        # At ratio 1, one 3x3 convolution.
        ({}, 64 * 9 * 16 * 24, 9 * 16 * 24 + 2 * 24),
        # With a gate of 8 hidden units.
        (
            {"expand": True, "se_channels": 8},
            64 * (9 * 16 * 48 + 48 * 24) + 2 * 48 * 8,
            9 * 16 * 48 + 2 * 48 + 48 * 24 + 2 * 24 + 2 * 48 * 8 + 48 + 8,
        ),
    ],
)
def test_fused_blocks_by_hand(fields, macs, params):
    block = spaces.Block("b", "fused_mbconv", 16, 48, 24, 8, kernel_size=3, activation="silu", **fields)
    assert (costs.macs(block), costs.params(block)) == (macs, params)


def test_an_unknown_kind_of_block_is_not_counted_as_nothing():
    space = spaces.get("ofa_tiny")
    block = space.blocks(space.smallest())[0]
    object.__setattr__(block, "kind", "unheard of")
    for count in (costs.macs, costs.params):
        with pytest.raises(ValueError, match="unheard of"):
            count(block)
