"""The line that says what is doubtful in a table."""

from ofa_tf.devices.table_file import table_summary
from ofa_tf.predictors import BlockLatency, LatencyTable


def test_doubtful_blocks_are_named():
    """The widest first, at most three; drift and heat where the table tells of them."""
    blocks = {f"b{place}": BlockLatency(1.0, 1.0 + 0.2 * place, 0.0, 50) for place in range(7)}
    table = LatencyTable("phone", "int8", 1, "fused", blocks={**blocks, "published": BlockLatency(1.0, None, 0.0, 9)})
    assert table_summary(table) == "8 blocks; 4 blocks with a p95 above 1.5 of the median (b6 2.2, b5 2.0, b4 1.8, ...)"
    hot = LatencyTable("phone", "int8", 1, "fused", {"drift": "1.031", "hot blocks": "b0 b1"})
    assert table_summary(hot) == (
        "0 blocks; reference network at most 1.031 of its fastest time; 0 blocks with a p95 above 1.5 of the median; "
        "2 measured hot (b0, b1)"
    )
