import numpy as np
import pytest

from ofa_tf.common import InputError
from ofa_tf.devices.verification import Verification, verify_table
from ofa_tf.predictors import LatencyTable


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


@pytest.mark.parametrize(("networks", "correct"), [(1, 0), (3, 1), (3, 3), (3, -1)])
def test_too_few_networks_are_told_before_any_is_measured(space, networks, correct):
    table = LatencyTable("phone", "int8", 1, "split")
    with pytest.raises(InputError, match=f"and {correct} for the correction, expected at least 2, and 0 or at least 4"):
        verify_table(table, space, None, networks=networks, correct=correct)
