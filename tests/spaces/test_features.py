"""Features are the published predictors' inputs, and tell every architecture from every other."""

import numpy as np
import pytest
from hypothesis import given

from ofa_tf import spaces
from ofa_tf.spaces import population
from ofa_tf.spaces.population import feature_count, features
from tests.space_strategies import SHARED_WIDTH, space_and_archs

PREDICTED = spaces.get("ofa_mbv3_d234_e346_k357_w1.2").replace(resolutions=tuple(range(112, 225, 16)))


def test_published_layout():
    """20 x 3 kernel sizes, 20 x 3 expand ratios, both zero for skipped blocks, 8 resolutions: 128 inputs."""
    assert feature_count(PREDICTED) == 128
    ks, e = [3, 5, 7, 3] + [5] * 16, [6, 4, 3, 3] + [4] * 16
    (row,) = features(PREDICTED, [PREDICTED.arch(ks=ks, e=e, d=[3, 2, 2, 2, 4], r=144)])
    kernel_sizes, expand_ratios, sizes = row[:60].reshape(20, 3), row[60:120].reshape(20, 3), row[120:]
    np.testing.assert_array_equal(kernel_sizes[:4], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(expand_ratios[:4], [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(kernel_sizes[4:8, 1], [1, 1, 0, 0])
    np.testing.assert_array_equal(expand_ratios[16:, 1], [1, 1, 1, 1])
    np.testing.assert_array_equal(sizes, [0, 0, 1, 0, 0, 0, 0, 0])


@given(space_and_archs())
def test_different_architectures_have_different_features(case):
    space, archs = case
    rows = features(space, archs)
    assert rows.shape == (len(archs), feature_count(space))
    assert rows.dtype == np.float32
    assert len(np.unique(rows, axis=0)) == len(set(archs))
    np.testing.assert_array_equal(rows, features(space, population.encode(space, archs)))


def test_depth_has_features_only_where_no_block_shows_it():
    """Here only the first depth gene, whose block has no choices of its own; single choices have none at all."""
    assert feature_count(SHARED_WIDTH) == 4 * 3 + 3 * 3 + 2 + 3
    with_depth, without = features(SHARED_WIDTH, [SHARED_WIDTH.arch(d=[2, 2, 2]), SHARED_WIDTH.arch(d=[0, 2, 2])])
    np.testing.assert_array_equal(with_depth[21:23], [0, 1])
    np.testing.assert_array_equal(without[21:23], [1, 0])
    one_choice = spaces.mobilenet_v3(ks=(3,), e=(4,), d=(2, 3), resolutions=(64,))
    assert feature_count(one_choice) == 5 * 2 + 1


@pytest.mark.parametrize("seed", [0, 1])
def test_skipped_blocks_are_zero_whatever_their_columns_hold(seed):
    raw = population.random_rows(PREDICTED, np.random.default_rng(seed), 50, canonical=False)
    np.testing.assert_array_equal(
        features(PREDICTED, raw), features(PREDICTED, population.canonical_rows(PREDICTED, raw))
    )
