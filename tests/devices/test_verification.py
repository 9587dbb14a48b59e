import types

import numpy as np
import pytest

from ofa_tf.common import InputError
from ofa_tf.devices import verification
from ofa_tf.devices.verification import Verification, verified_table, verify_table
from ofa_tf.predictors import BlockLatency, LatencyTable
from ofa_tf.spaces import costs
from ofa_tf.spaces.population import distinct_blocks


def test_figures_are_those_of_the_definitions(space):
    """Protects what is reported: errors relative to the measured time, in percent, and ranks."""
    archs = tuple(space.sample(np.random.default_rng(seed)) for seed in range(3))
    found = Verification(archs, (1.1, 1.8, 3.0), (1.0, 2.0, 3.0), (1.0, 1.0, 1.5), 0, None)
    np.testing.assert_allclose(found.errors, (10, -10, 0))
    np.testing.assert_allclose((found.mape, found.uncorrected_mape), (20 / 3, 100 / 3))
    assert found.spearman == 1
    assert found.worst == 0
    assert found.to_dict()["worst_error"] == found.errors[0]
    assert "worst +10.0%" in found.summary()
    assert "hot" not in found.summary()


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_equal_times_have_no_rank(space):
    """Of a clock that is too coarse, say; the file stays JSON."""
    found = Verification((space.smallest(), space.largest()), (1.0, 2.0), (3.0, 3.0), (1.0, 2.0), 0, None)
    assert found.to_dict()["spearman"] is None
    assert "Spearman nan" in found.summary()


def test_hot_networks_are_counted(space):
    """A correction that is fitted on a hot phone is of a slower one: the summary and the file say so."""
    blocks = {block.key: BlockLatency(costs.macs(block) * 1e-7, None, 0.0, 1) for block in distinct_blocks(space)}
    table = LatencyTable("phone", "int8", 1, "split").adding(blocks)

    def time_networks(table, space, archs, *, on_hot, **options):
        for number in (0, 2):
            on_hot(number)
        return [float(number) for number, _ in enumerate(archs, start=1)], 1.0

    device = types.SimpleNamespace(tells_heat=True, time_networks=time_networks)
    found, _ = verify_table(table, space, device, networks=3)
    assert found.to_dict()["hot_networks"] == 2
    assert found.summary().endswith("; 2 measured hot")


@pytest.mark.parametrize(("networks", "correct"), [(1, 0), (3, 1), (3, 3), (3, -1)])
def test_too_few_networks_are_told_before_any_is_measured(space, networks, correct):
    table = LatencyTable("phone", "int8", 1, "split")
    with pytest.raises(InputError, match=f"and {correct} for the correction, expected at least 2, and 0 or at least 4"):
        verify_table(table, space, None, networks=networks, correct=correct)


def test_networks_that_are_one_are_counted_once(space):
    """One network has no rank: a correlation of one is NaN, which no JSON has."""
    table, arch = LatencyTable("phone", "int8", 1, "split"), space.smallest()
    with pytest.raises(InputError, match="1 different networks to compare and 0 for the correction"):
        verify_table(table, space, None, networks=0, archs=[arch, arch])


@pytest.mark.parametrize(("speeds", "built"), [((1.1,), 1), ((1.7, 1.0), 2), ((0.5, 1.9), 2), ((None,), 1)])
def test_a_device_of_another_speed_is_measured_anew_once(space, monkeypatch, tmp_path, speeds, built):
    """Its table would be of another machine; what is found the second time is taken, and told."""
    path, tables, said, left = tmp_path / "table.json", [], [], list(speeds)

    def build_table(space, precision, output, **options):
        assert not path.exists()
        tables.append(LatencyTable("host", precision, 1, "folded-rows", versions={"build": str(len(tables))}))
        tables[-1].save(output)
        return tables[-1]

    def verify(table, *_, **options):
        return types.SimpleNamespace(speed_ratio=left.pop(0)), table

    monkeypatch.setattr(verification, "verify_table", verify)
    device = types.SimpleNamespace(build_table=build_table)
    found, table = verified_table(device, space, "int8", path, networks=2, correct=4, say=said.append)
    assert (len(tables), len(said), left) == (built, built - 1, [])
    assert found.speed_ratio == speeds[-1]
    assert LatencyTable.load(path) == table == tables[-1]
