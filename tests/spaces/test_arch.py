"""An `Arch` is canonical data: equal where the networks are equal, whole after JSON, refused where it is wrong."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.spaces import Arch
from tests.space_strategies import space_and_archs

SPACE = spaces.get("ofa_mbv3_d234_e346_k357_w1.0")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda values: (
        st.lists(values, max_size=4)
        | st.dictionaries(st.sampled_from(["ks", "e", "d", "w", "r", "x"]), values, max_size=5)
    ),
    max_leaves=12,
)


@given(seed=st.integers(0, 2**32 - 1))
def test_skipped_blocks_do_not_count(seed):
    """Two that differ only in blocks that the depths skip are equal and hash alike; any other difference shows."""
    rng = np.random.default_rng(seed)
    ks, e, d = rng.choice((3, 5, 7), 20), rng.choice((3, 4, 6), 20), rng.choice((2, 3, 4), 5)
    skipped = np.concatenate([np.arange(4) >= depth for depth in d])
    other_ks, other_e = np.where(skipped, rng.choice((3, 5, 7), 20), ks), np.where(skipped, 3, e)
    first, second = SPACE.arch(ks=ks, e=e, d=d, r=160), SPACE.arch(ks=other_ks, e=other_e, d=d, r=160)
    assert first == second
    assert hash(first) == hash(second)
    assert SPACE.blocks(first) == SPACE.blocks(second)
    running = int(np.flatnonzero(~skipped)[seed % (~skipped).sum()])
    other_ks[running] = {3: 5, 5: 7, 7: 3}[int(ks[running])]
    assert SPACE.arch(ks=other_ks, e=e, d=d, r=160) != first


@given(space_and_archs())
def test_json_round_trip(case):
    space, archs = case
    for arch in archs:
        back = Arch.from_json(arch.to_json())
        assert back == arch
        assert space.canonical(back) == arch
        assert Arch.from_json(json.loads(arch.to_json())) == arch


@given(JSON)
def test_any_json_is_an_arch_or_one_line_of_error(value):
    """Whatever a file holds, reading it and using it ends in an architecture or an `InputError`, never a traceback."""
    try:
        arch, message = SPACE.canonical(Arch.from_json(json.dumps(value))), ""
    except InputError as error:
        arch, message = None, str(error)
    assert "\n" not in message
    assert message or SPACE.canonical(arch) == arch


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "not JSON"),
        ("[1]", "list"),
        ('{"d": [2]}', "expected d and r"),
        ('{"d": [2], "r": 32, "depth": 1}', "depth"),
        ('{"d": 2, "r": 32}', "list of numbers"),
        ('{"d": ["2"], "r": 32}', "list of numbers"),
        ('{"d": [true], "r": 32}', "list of numbers"),
        ('{"d": [2], "r": NaN}', "number"),
    ],
)
def test_bad_json_is_named(text, found):
    with pytest.raises(InputError, match=found):
        Arch.from_json(text)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"ks": 4}, r"ks\[0\] is 4.*3, 5, 7"),
        ({"ks": [3] * 19}, "19 entries.*expects 20"),
        ({"e": [3] * 19 + [5]}, r"e\[19\] is 5"),
        ({"e": [0] + [3] * 19}, r"e\[0\] is 0"),
        ({"d": [2, 2, 2, 2]}, "4 entries.*expects 5"),
        ({"d": 5}, r"d\[0\] is 5"),
        ({"w": 1}, "no elastic w"),
        ({"r": 7}, "from 8 to 1024"),
        ({"r": 128.5}, "128.5"),
        ({"r": "128"}, "'128'"),
    ],
)
def test_what_does_not_fit_the_space_is_named(fields, found):
    with pytest.raises(InputError, match=found):
        SPACE.arch(**fields)


def test_scalars_lists_and_defaults():
    assert SPACE.arch(ks=7, e=6, d=4, r=224) == SPACE.arch() == SPACE.largest()
    assert SPACE.arch(ks=[3] * 20, e=np.full(20, 3), d=np.array([2] * 5), r=np.int64(128)) == SPACE.smallest()
    assert SPACE.arch(r=132).r == 132
    assert SPACE.smallest().ks == (3, 3, 0, 0) * 5


def test_what_the_authors_search_writes():
    """A field that is null says nothing, and a list of one resolution is that resolution."""
    plain = Arch.from_json('{"ks": [3, 0], "e": [2, 0], "d": [1], "r": 192}')
    assert Arch.from_json('{"wid": null, "w": null, "ks": [3, 0], "e": [2, 0], "d": [1], "r": [192]}') == plain
    for text in ('{"wid": [1], "ks": [3], "e": [2], "d": [1], "r": 1}', '{"ks": [3], "e": [2], "d": [1], "r": [1, 2]}'):
        with pytest.raises(InputError, match="architecture: "):
            Arch.from_json(text)
