"""Tables built on this machine: every block, described, gone on with; and compared with networks."""

import dataclasses
import re

import numpy as np
import pytest

from ofa_tf.common import InputError
from ofa_tf.devices import measure, verification
from ofa_tf.devices.block_models import ModelCache
from ofa_tf.devices.host import Host
from ofa_tf.predictors.latency_table import LatencyTable
from ofa_tf.spaces.population import distinct_blocks


@pytest.fixture(scope="module", name="cache")
def _cache(tmp_path_factory):
    return ModelCache(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module", name="build")
def _build(space, cache):
    """Builds tables of the smaller resolution unless told otherwise."""

    def build(path, precision="int8", *, host=None, **options):
        options = {"resolutions": (24,), "cache": cache, "progress": False} | options
        return (host or Host()).build_table(space, precision, path, **options)

    return build


@pytest.fixture(scope="module", name="built")
def _built(build, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "table.json"
    return build(path, tolerance=100.0), path


class InterruptedHost(Host):
    """Measures so many batches, of two or three blocks each."""

    def __init__(self, batches: int):
        super().__init__(rounds=1)
        self.batches_left = batches

    def batch_blocks(self, network_blocks):
        """Two."""
        return 2

    def measure_batch(self, *arguments, **options):
        """Is interrupted after the last one."""
        if self.batches_left == 0:
            raise KeyboardInterrupt
        self.batches_left -= 1
        super().measure_batch(*arguments, **options)


def test_every_block_is_measured_and_described(space, built):
    """Protects the table's contract: every distinct block, at least 50 runs of each, and what measured them."""
    table, path = built
    assert set(table.blocks) == {block.key for block in distinct_blocks(space, (24,))}
    for latency in table.blocks.values():
        assert latency.count >= 50
        assert 0 < latency.median_ms <= latency.p95_ms
    assert (table.device, table.precision, table.threads, table.form) == ("host", "int8", 1, "folded-rows")
    assert {"cpu", "ai-edge-litert", "tensorflow", "method", "drift"} <= set(table.versions)
    assert "hot blocks" not in table.versions
    assert "in rows of" in table.versions["method"]
    assert table.resolutions == (24,)
    assert LatencyTable.load(path) == table


def test_building_goes_on_without_measuring_again(space, build, built, tmp_path):
    """Protects resuming: what the file holds stays as it is, what it lacks is added.

    Here in fewer rounds: what is kept was not measured so, and the table says both.
    """
    table, _ = built
    path = tmp_path / "table.json"
    table.save(path)
    assert build(path, host=InterruptedHost(0)) == table
    notes = []
    longer = build(path, host=Host(rounds=1, on_note=notes.append), resolutions=None, tolerance=100.0)
    assert longer.missing(distinct_blocks(space)) == []
    assert LatencyTable.load(path).resolutions == longer.resolutions == space.resolutions
    assert {key: longer.blocks[key] for key in table.blocks} == table.blocks
    assert [re.search("of ([0-9]+) rounds", it)[1] for it in longer.methods] == [str(measure.ROUNDS), "1"]
    assert LatencyTable.load(path).methods == longer.methods
    [note] = notes
    assert note.startswith(f"host: the table's {len(table.blocks)} blocks were measured otherwise than the ")


def test_interruption_keeps_what_was_measured(space, build, tmp_path):
    """Protects Ctrl-C: the batches that were measured are in the file, and gone on with."""
    path = tmp_path / "table.json"
    with pytest.raises(KeyboardInterrupt):
        build(path, "float32", host=InterruptedHost(1))
    kept = LatencyTable.load(path).blocks
    assert 2 <= len(kept) <= 3
    whole = build(path, "float32", host=Host(rounds=1), tolerance=100.0)
    assert {key: whole.blocks[key] for key in kept} == kept
    assert whole.missing(distinct_blocks(space, (24,))) == []


def test_other_conditions_are_refused(build, built):
    _, path = built
    with pytest.raises(InputError, match=r"table\.json: holds a table with precision 'int8'"):
        build(path, "float32")
    with pytest.raises(InputError, match="holds a table with form 'folded-rows'"):
        build(path, form="fused")
    with pytest.raises(InputError, match="form 'half' is unknown"):
        build(path, form="half")


def test_networks_are_compared_and_others_corrected_on(space, built, tmp_path):
    """Protects verification: the plain sums, the correction and its disjoint networks, the written plot."""
    table, _ = built
    found, corrected = verification.verify_table(table, space, Host(rounds=1), networks=3, correct=1 + 3)
    assert len(set(found.archs)) == 3
    assert {arch.r for arch in found.archs} == {24}
    np.testing.assert_allclose(found.block_sums_ms, table.predict(space, found.archs))
    np.testing.assert_allclose(found.predicted_ms, corrected.predict(space, found.archs))
    assert corrected.correction.networks == found.correction_networks == 4
    assert min(found.measured_ms) > 0
    assert found.summary().count("\n") == 0
    verification.plot(found, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_tables_of_other_machines_or_spaces_are_refused(space, built):
    table, _ = built
    with pytest.raises(InputError, match="holds a table of device 'phone'"):
        Host().time_networks(dataclasses.replace(table, device="phone"), space, [space.smallest()])
    with pytest.raises(InputError, match="holds a table without cpu"):
        Host().time_networks(LatencyTable("phone", "int8", 1, "split"), space, [space.smallest()])
    other = dataclasses.replace(table, versions={**table.versions, "cpu": "another"})
    with pytest.raises(InputError, match="holds a table with cpu 'another'"):
        Host().time_networks(other, space, [space.smallest()])
    with pytest.raises(InputError, match="covers no resolution"):
        verification.verify_table(table, space.replace(num_classes=5), Host())
    with pytest.raises(InputError, match="too few architectures"):
        verification.verify_table(table, space, Host(), networks=30)
