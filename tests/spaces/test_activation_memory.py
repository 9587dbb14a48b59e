"""Peak memory of activations: by hand on small blocks, never below what its blocks need, and the right one decides."""

import numpy as np
import pytest

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.spaces import Block, population
from ofa_tf.spaces.costs import ActivationMemory

INT8 = ActivationMemory("int8")


def block(**fields) -> Block:
    return Block(**{"name": "b", "kind": "mbconv", "in_channels": 16, "mid_channels": 48, "out_channels": 24} | fields)


@pytest.mark.parametrize(
    ("fields", "memory", "expected"),
    [
        # The padded input of the strided convolution beside what it is made of.
        ({"expand": True, "stride": 2, "kernel_size": 3}, INT8, (24 * 24 + 26 * 26) * 48),
        (
            {"expand": True, "stride": 2, "kernel_size": 3},
            ActivationMemory("int8", "fused-same"),
            24 * 24 * (16 + 48),
        ),
        # Input and output of the depthwise convolution, and the block's input, which is added in the end.
        ({"expand": True, "residual": True, "out_channels": 16}, INT8, 24 * 24 * (16 + 48 + 48)),
        ({"expand": True, "residual": True, "out_channels": 16}, ActivationMemory("float32"), 4 * 24 * 24 * 112),
        # Split, hard-swish has two factors beside its input or its result.
        ({"expand": True, "activation": "h_swish"}, INT8, 24 * 24 * (48 + 48)),
        ({"expand": True, "activation": "h_swish"}, ActivationMemory("int8", "split"), 24 * 24 * 3 * 48),
    ],
)
def test_by_hand(fields, memory, expected):
    assert memory.block_bytes(block(input_size=24, **fields)) == expected


@pytest.mark.parametrize("name", ["ofa_tiny", "ofa_mbv3_d234_e346_k357_w0.5", "ofa_resnet50"])
def test_a_network_takes_little_more_than_its_largest_block(name):
    """What the blocks need is a lower bound, and a close one."""
    space = spaces.get(name)
    rng = np.random.default_rng(0)
    for _ in range(20):
        blocks = space.blocks(space.sample(rng))
        bound, whole = max(map(INT8.block_bytes, blocks)), INT8.network_bytes(blocks)
        assert bound <= whole <= 1.25 * bound


def test_tables_of_populations():
    """The largest block of each row, as block by block."""
    space = spaces.get("ofa_tiny")
    rows = population.random_rows(space, np.random.default_rng(0), 20)
    table = population.cost_table(space, INT8.block_bytes, largest=True)
    expected = [max(map(INT8.block_bytes, space.blocks(arch))) for arch in population.decode(space, rows)]
    np.testing.assert_array_equal(population.evaluate(table, rows), expected)


@pytest.mark.parametrize("arguments", [("float16",), ("int8", "loose"), ("int8", "fused-none"), ("int8", "fused-rows")])
def test_unknown_ways_of_writing_are_refused(arguments):
    with pytest.raises(InputError, match=r"expected one of|known are|not known for"):
        ActivationMemory(*arguments)
