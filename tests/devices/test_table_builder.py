import numpy as np
import pytest

from ofa_tf.common import InputError
from ofa_tf.devices import table_builder, verification
from ofa_tf.devices.host import Host
from ofa_tf.devices.table_builder import build_table
from ofa_tf.predictors.latency_table import LatencyTable
from ofa_tf.spaces.population import distinct_blocks


@pytest.fixture(scope="module")
def built(space, tmp_path_factory):
    """A table of the smaller resolution only."""
    path = tmp_path_factory.mktemp("table") / "table.json"
    return build_table(space, (24,), "int8", 1, path, progress=False), path


def _count_models(monkeypatch) -> list:
    made, real = [], table_builder.model_bytes
    monkeypatch.setattr(
        table_builder, "model_bytes", lambda blocks, *args, **kw: (made.append(blocks), real(blocks, *args, **kw))[1]
    )
    return made


def test_every_block_is_measured_and_described(space, built):
    """Protects the table's contract: every distinct block, at least 50 runs of each, and what measured them."""
    table, path = built
    assert set(table.blocks) == {block.key for block in distinct_blocks(space, (24,))}
    for latency in table.blocks.values():
        assert latency.count >= 50
        assert 0 < latency.median_ms <= latency.p95_ms
    assert (table.device, table.precision, table.threads, table.form) == ("host", "int8", 1, "folded-rows")
    assert {"cpu", "ai-edge-litert", "tensorflow", "method"} <= set(table.versions)
    assert table.resolutions == (24,)
    assert LatencyTable.load(path) == table


def test_building_goes_on_without_measuring_again(space, built, tmp_path, monkeypatch):
    """Protects resuming: what the file holds stays as it is, what it lacks is added."""
    table, _ = built
    path = tmp_path / "table.json"
    table.save(path)
    made = _count_models(monkeypatch)
    assert build_table(space, (24,), "int8", 1, path, progress=False) == table
    assert made == []
    longer = build_table(space, None, "int8", 1, path, rounds=1, progress=False)
    assert longer.missing(distinct_blocks(space)) == []
    assert LatencyTable.load(path).resolutions == longer.resolutions == space.resolutions
    assert {key: longer.blocks[key] for key in table.blocks} == table.blocks


def test_interruption_keeps_what_was_measured(space, tmp_path, monkeypatch):
    """Protects Ctrl-C: the groups that were measured are in the file."""
    monkeypatch.setattr(table_builder, "_groups", lambda missing, *rest: [missing[:2], missing[2:]])
    real = table_builder.model_bytes

    def interrupted(blocks, *args, **kw):
        if (tmp_path / "table.json").exists():
            raise KeyboardInterrupt
        return real(blocks, *args, **kw)

    monkeypatch.setattr(table_builder, "model_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_table(space, (24,), "float32", 1, tmp_path / "table.json", rounds=1, progress=False)
    assert len(LatencyTable.load(tmp_path / "table.json").blocks) == 2


def test_other_conditions_are_refused(space, built):
    _, path = built
    with pytest.raises(InputError, match=r"table\.json: holds a table with precision 'int8'"):
        build_table(space, (24,), "float32", 1, path, progress=False)
    with pytest.raises(InputError, match="holds a table with form 'folded-rows'"):
        build_table(space, (24,), "int8", 1, path, form="fused", progress=False)
    with pytest.raises(InputError, match="form 'half' is unknown"):
        build_table(space, (24,), "int8", 1, path, form="half", progress=False)


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
    with pytest.raises(InputError, match="verify it there"):
        Host().time_networks(LatencyTable("phone", "int8", 1, "split"), space, [space.smallest()])
    with pytest.raises(InputError, match="covers no resolution"):
        verification.verify_table(table, space.replace(num_classes=5), Host())
    with pytest.raises(InputError, match="too few architectures"):
        verification.verify_table(table, space, Host(), networks=30)
