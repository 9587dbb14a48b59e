import numpy as np

from mobile_bench.verification import Verification


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
