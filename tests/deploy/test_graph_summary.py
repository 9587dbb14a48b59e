"""What is said of a file's operations."""

from ofa_tf.deploy import Runner, summarize


def test_an_int8_file_of_one_partition(int8_models):
    """Protects "all in int8, all in XNNPACK": only the borders' conversions stand outside."""
    summary = summarize(Runner(int8_models["folded"]))
    assert summary.partitions == 1
    assert summary.int8_share == 1.0
    assert summary.float_tensors == 0
    assert summary.outside_xnnpack == {"QUANTIZE": 2}
    assert summary.operations["DEPTHWISE_CONV_2D"] == 3
    assert sum(summary.operations.values()) == len(Runner(int8_models["folded"]).operations) - 1


def test_what_xnnpack_leaves_is_named(int8_models):
    """Protects the answer to "why is my int8 file slow": the operations that break the partition."""
    summary = summarize(Runner(int8_models["fused"]))
    assert summary.partitions > 1
    assert summary.outside_xnnpack["HARD_SWISH"] == summary.operations["HARD_SWISH"] > 0
    assert set(summary.outside_xnnpack) == {"HARD_SWISH", "QUANTIZE"}


def test_float_files_have_no_int8(float_model):
    """Protects the share of operations in int8 from counting weights or shapes."""
    summary = summarize(Runner(float_model))
    # A file in float takes uint8 images, and casts them.
    assert summary.int8_share == 0.0
    assert summary.float_tensors == sum(summary.operations.values())
