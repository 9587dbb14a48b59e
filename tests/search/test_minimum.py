"""The smallest reachable value is exact: equal to the minimum over every architecture, for any table."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_tf import spaces
from ofa_tf.search.budget import minimum_row
from ofa_tf.spaces import costs, population
from ofa_tf.spaces.population import layout
from tests.space_strategies import SHARED_WIDTH

TINY_MOBILENET = spaces.mobilenet_v3(
    num_classes=3, ks=(3, 5), e=(2, 3), d=(1, 2), resolutions=(32, 48), base_widths=(8, 8, 16, 24), strides=(1, 2)
)


def every_row(space) -> np.ndarray:
    """All rows of a small space, some of them several times."""
    return np.array(list(itertools.product(*(range(count) for count in layout(space).counts))), np.int32)


ROWS = {space.name: every_row(space) for space in (TINY_MOBILENET, SHARED_WIDTH)}


@settings(max_examples=20)
@given(st.sampled_from([TINY_MOBILENET, SHARED_WIDTH]), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_it_is_the_minimum_over_all_architectures(space, seed, one_resolution, largest):
    """Tables here are random: a larger block may be cheaper, as measured ones sometimes are."""
    values = np.random.default_rng(seed).random(layout(space).size)
    sizes = np.array([len(space.resolutions) - 1]) if one_resolution else np.arange(len(space.resolutions))
    table = population.CostTable(space, values, largest=largest)
    row = minimum_row(space, values, sizes, largest=largest)
    rows = ROWS[space.name]
    rows = rows[np.isin(rows[:, -1], sizes)]
    assert row[-1] in sizes
    np.testing.assert_array_equal(row, population.canonical_rows(space, row[None])[0])
    assert population.evaluate(table, row[None])[0] == pytest.approx(population.evaluate(table, rows).min(), rel=1e-12)


@pytest.mark.parametrize("name", spaces.names())
def test_for_counted_costs_it_is_the_smallest_architecture(name):
    space = spaces.get(name)
    values = population.cost_table(space, costs.macs).values
    row = minimum_row(space, values, np.arange(len(space.resolutions)))
    assert population.decode(space, row[None]) == [space.smallest()]
