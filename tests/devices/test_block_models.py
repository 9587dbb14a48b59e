import pytest

from ofa_tf.deploy import Runner
from ofa_tf.devices.block_models import model_bytes


@pytest.mark.parametrize(("precision", "inner"), [("float32", "float32"), ("int8", "int8")])
def test_blocks_have_the_borders_of_exported_networks(space, precision, inner):
    """Protects predictions: what a network converts at its borders is measured once, with the stem and the head."""
    blocks = space.blocks(space.smallest())
    stem, inside, head = (Runner(model_bytes([block], precision)) for block in (blocks[0], blocks[1], blocks[-1]))
    logits = "uint8" if precision == "int8" else "float32"
    assert (stem.input_type, stem.output_type) == ("uint8", inner)
    assert (inside.input_type, inside.output_type) == (inner, inner)
    assert (head.input_type, head.output_type) == (inner, logits)
    assert not {"QUANTIZE", "DEQUANTIZE", "CAST"} & set(inside.operations)


def test_whole_int8_networks_stay_in_one_partition(space):
    """Protects verification: random weights must not make XNNPACK refuse what it takes of trained ones."""
    assert Runner(model_bytes(space.blocks(space.largest()), "int8")).partitions == 1
