"""Populations as integer matrices say the same as architectures one by one, for every family."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.spaces import costs, population
from tests.space_strategies import SHARED_WIDTH, SPACES, space_and_archs

PUBLISHED = spaces.get("ofa_mbv3_d234_e346_k357_w1.0")


def hashed_cost(block) -> float:
    """A cost without any order: a larger block may cost less."""
    return hash(block) % 1009


@given(space_and_archs())
def test_rows_round_trip(case):
    space, archs = case
    rows = population.encode(space, archs)
    assert (rows.dtype, rows.shape) == (np.int32, (len(archs), len(space.genes) + 1))
    assert population.decode(space, rows) == archs
    np.testing.assert_array_equal(population.canonical_rows(space, rows), rows)


@given(space_and_archs())
def test_additive_costs_equal_the_sum_over_blocks(case):
    space, archs = case
    rows = population.encode(space, archs)
    for cost in (costs.macs, costs.params, hashed_cost):
        table = population.cost_table(space, cost)
        expected = [sum(cost(block) for block in space.blocks(arch)) for arch in archs]
        assert population.evaluate(table, rows).tolist() == expected
    table = population.cost_table(space, costs.params, scale=4, offset=7)
    assert population.evaluate(table, rows).tolist() == [4 * space.count_params(arch) + 7 for arch in archs]


@settings(max_examples=30)
@given(st.sampled_from(SPACES), st.integers(0, 2**32 - 1))
def test_random_rows_are_canonical_architectures(space, seed):
    rows = population.random_rows(space, np.random.default_rng(seed), 20, space.resolutions[:1])
    archs = population.decode(space, rows)
    np.testing.assert_array_equal(population.encode(space, archs), rows)
    assert {arch.r for arch in archs} == {space.resolutions[0]}
    raw = population.random_rows(space, np.random.default_rng(seed), 20, space.resolutions[:1], canonical=False)
    np.testing.assert_array_equal(population.canonical_rows(space, raw), rows)
    assert population.decode(space, raw) == archs


def test_random_rows_draw_every_choice_alike():
    rows = population.random_rows(PUBLISHED, np.random.default_rng(0), 3000, canonical=False)
    for column, count in enumerate([*(len(gene.choices) for gene in PUBLISHED.genes), len(PUBLISHED.resolutions)]):
        shares = np.bincount(rows[:, column], minlength=count) / len(rows)
        assert shares == pytest.approx(np.full(count, 1 / count), abs=0.05)


@given(space_and_archs())
def test_activity_is_which_blocks_run(case):
    space, archs = case
    running = population.active(space, population.encode(space, archs))
    for mask, arch in zip(running, archs, strict=True):
        names = [position.name for position, runs in zip(space.positions, mask, strict=True) if runs]
        assert names == [block.name for block in space.blocks(arch)]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_every_variant_is_numbered_once(space):
    numbers = [number for number, _ in population.variants(space)]
    assert sorted(numbers) == list(range(len(numbers)))


@given(space_and_archs())
def test_distinct_blocks_hold_every_block_once(case):
    """A latency table of exactly these blocks is whole."""
    space, archs = case
    distinct = population.distinct_blocks(space)
    assert len(set(distinct)) == len(distinct)
    assert {block for arch in archs for block in space.blocks(arch)} <= set(distinct)
    some = population.distinct_blocks(space, space.resolutions[:1])
    assert {block for arch in archs if arch.r == space.resolutions[0] for block in space.blocks(arch)} <= set(some)
    assert set(some) < set(distinct)


def test_a_table_for_some_resolutions_does_not_know_the_others():
    """What was not compiled is NaN, which no limit admits, and never looks cheap."""
    table = population.cost_table(PUBLISHED, costs.macs, resolutions=(128, 224))
    archs = [PUBLISHED.arch(r=r) for r in (128, 160, 224)]
    values = population.evaluate(table, population.encode(PUBLISHED, archs))
    assert np.isnan(values).tolist() == [False, True, False]
    assert values[2] == PUBLISHED.count_macs(archs[2])


def test_what_has_no_row_is_named():
    with pytest.raises(InputError, match=r"r is 130.*128, 132"):
        population.encode(PUBLISHED, [PUBLISHED.arch(r=130)])
    with pytest.raises(InputError, match="expects 20"):
        population.encode(PUBLISHED, [spaces.get("ofa_tiny").largest()])
    for resolutions in ((130,), ()):
        with pytest.raises(InputError, match="128, 132"):
            population.distinct_blocks(PUBLISHED, resolutions)


def test_a_position_may_not_name_a_gene_twice():
    """Its table would hold blocks of two values of one gene, which a latency table would then be asked for."""
    twice = dataclasses.replace(SHARED_WIDTH.positions[0], genes=SHARED_WIDTH.positions[0].genes * 2)
    space = SHARED_WIDTH.replace(name="twice")
    space.__dict__["positions"] = (twice, *SHARED_WIDTH.positions[1:])
    with pytest.raises(ValueError, match="stem names a gene twice"):
        population.distinct_blocks(space)


def test_costs_shared_width_genes_reach_both_neighbours():
    """A width gene decides one block's output and the next one's input; the table must see both."""
    space = SHARED_WIDTH
    table = population.cost_table(space, costs.params)
    narrow, wide = space.arch(w=[1, 0, 1]), space.arch(w=[1, 2, 1])
    values = population.evaluate(table, population.encode(space, [narrow, wide]))
    assert values.tolist() == [space.count_params(narrow), space.count_params(wide)]
    assert values[0] < values[1]
