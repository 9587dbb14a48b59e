"""Spaces: how many architectures, which blocks they have, how they are drawn, named and stored."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.spaces import ACTIVE, IN, KERNEL, MID, OUT, SE
from tests.space_strategies import SHARED_WIDTH, SMALL_MOBILENET, SPACES, space_and_archs

PUBLISHED = spaces.get("ofa_mbv3_d234_e346_k357_w1.0")


def test_published_space_has_the_published_number_of_architectures():
    """Each stage has 9^2 + 9^3 + 9^4 choices."""
    assert PUBLISHED.num_architectures == (9**2 + 9**3 + 9**4) ** 5
    assert PUBLISHED.num_architectures == pytest.approx(2.18e19, rel=0.01)


@pytest.mark.parametrize("space", [SMALL_MOBILENET, SHARED_WIDTH], ids=lambda space: space.name)
def test_number_of_architectures_is_that_of_a_full_count(space):
    rest = [gene for gene in space.genes if gene.field != "w"]
    found = set()
    for values in itertools.product(*(gene.choices for gene in rest)):
        fields = {
            field: [v for gene, v in zip(rest, values, strict=True) if gene.field == field]
            for field in ("ks", "e", "d")
        }
        found.add(space.arch(**fields))
    assert space.num_architectures == len(found) * 3 ** len(space.fields.get("w", ()))


@given(space_and_archs())
def test_blocks_connect(case):
    """Each block takes what the one before gives, from three channels of the image to the classes."""
    space, archs = case
    for arch in archs:
        blocks = space.blocks(arch)
        assert blocks[0].in_channels == 3
        assert blocks[0].input_size == arch.r
        assert (blocks[-1].out_channels, blocks[-1].output_size) == (space.num_classes, 1)
        for before, after in itertools.pairwise(blocks):
            assert (before.out_channels, before.output_size) == (after.in_channels, after.input_size)
        for block in blocks:
            if block.residual:
                assert (block.in_channels, block.stride) == (block.out_channels, 1)


@given(space_and_archs())
def test_keys_are_equal_exactly_where_blocks_are(case):
    """Latency tables know blocks by their keys alone."""
    space, archs = case
    blocks = [block for arch in archs for block in space.blocks(arch)]
    assert len({block.key for block in blocks}) == len(set(blocks))


@given(space_and_archs())
def test_tensors_say_what_the_blocks_say(case):
    space, archs = case
    for arch in archs:
        rows = space.to_array(arch)
        blocks = space.blocks(arch)
        assert rows.dtype == np.int32
        assert not rows[rows[:, ACTIVE] == 0].any()
        positions = [p for p, row in zip(space.positions, rows, strict=True) if row[ACTIVE]]
        for row, position, block in zip(rows[rows[:, ACTIVE] == 1], positions, blocks, strict=True):
            assert position.name == block.name
            channels = (block.in_channels, block.mid_channels, block.out_channels, block.se_channels)
            assert tuple(row[[IN, MID, OUT, SE]]) == channels
            assert space.kernel_sizes(position)[row[KERNEL]] == block.kernel_size


@given(space_and_archs())
def test_costs_lie_between_the_corners(case):
    space, archs = case
    for arch in archs:
        assert space.count_params(space.smallest()) <= space.count_params(arch) <= space.count_params(space.largest())
        assert space.count_macs(space.smallest()) <= space.count_macs(arch)


def test_sampling_is_uniform_over_each_choice_and_repeatable():
    draws = [PUBLISHED.sample(np.random.default_rng([7, index])) for index in range(1500)]
    assert draws[:20] == [PUBLISHED.sample(np.random.default_rng([7, index])) for index in range(20)]
    for values, choices in (
        ([arch.d[4] for arch in draws], (2, 3, 4)),
        ([arch.ks[0] for arch in draws], (3, 5, 7)),
        ([arch.e[5] for arch in draws], (3, 4, 6)),
    ):
        shares = [values.count(choice) / len(draws) for choice in choices]
        assert shares == pytest.approx([1 / 3] * 3, abs=0.05)
    assert {arch.r for arch in draws} == set(PUBLISHED.resolutions)


def test_sampling_keeps_to_the_values_given():
    """Stages of progressive shrinking draw from part of the choices; genes with a single choice keep it."""
    for index in range(30):
        arch = PUBLISHED.sample(np.random.default_rng(index), ks=(7,), e=(6,), d=(3, 4), r=(224,))
        assert set(arch.ks) <= {0, 7}
        assert set(arch.e) <= {0, 6}
        assert set(arch.d) <= {3, 4}
        assert arch.r == 224
    assert SHARED_WIDTH.sample(np.random.default_rng(0), d=(0, 1)).d == (0, 1, 2)
    with pytest.raises(InputError, match="leaves no choice"):
        PUBLISHED.sample(np.random.default_rng(0), ks=(9,))
    with pytest.raises(InputError, match="'depth'"):
        PUBLISHED.sample(np.random.default_rng(0), depth=(2,))


def test_a_space_of_ones_own_is_read_from_a_file(tmp_path):
    """Its own description, or that of a run; what is none is named."""
    path = tmp_path / "garden.json"
    for value in (SMALL_MOBILENET.to_config(), {"format": "a run", "space": SMALL_MOBILENET.to_config()}):
        path.write_text(json.dumps(value))
        assert spaces.get(str(path)) == SMALL_MOBILENET
        assert spaces.get(str(path), 3) == SMALL_MOBILENET.replace(num_classes=3)
    for text in ("[]", "{}", '{"family": "mobilenet", "space": 3}', "{"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"garden\.json: ") as error:
            spaces.get(str(path))
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"no\.json: no such file"):
        spaces.get(str(tmp_path / "no.json"))


@pytest.mark.parametrize("name", spaces.names())
def test_named_spaces_survive_json(name):
    space = spaces.get(name)
    back = spaces.from_config(json.loads(json.dumps(space.to_config())))
    assert back == space
    assert hash(back) == hash(space)
    assert spaces.get(name, num_classes=17).num_classes == 17


@settings(max_examples=30)
@given(space_and_archs(most=1))
def test_same_weights_ignores_name_and_resolutions_only(case):
    space, _ = case
    assert space.same_weights(space.replace(name="another", resolutions=(40,)))
    assert not space.same_weights(space.replace(num_classes=space.num_classes + 1))
    assert [space.same_weights(other) for other in SPACES].count(True) == 1


def changed_stage(**fields):
    """A space whose description was changed by hand."""
    config = spaces.get("ofa_tiny").to_config()
    first, *rest = config["stages"]
    return spaces.from_config({**config, "stages": [{**first, **fields}, *rest]})


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: spaces.get("ofa_tyni"), "ofa_tiny"),
        (lambda: spaces.get("ofa_tiny", num_classes=1), "num_classes is 1"),
        (lambda: spaces.mobilenet_v3(0), "width_mult is 0"),
        (lambda: spaces.mobilenet_v3(ks=(3, 7)), "consecutive odd"),
        (lambda: spaces.mobilenet_v3(e=(6, 4)), "ascending"),
        (lambda: spaces.mobilenet_v3(d=()), "ascending"),
        (lambda: spaces.resnet50((1.0, 0.65)), "width_mults is .*, expected ascending"),
        (lambda: spaces.mobilenet_v3(resolutions=(224, 128)), "ascending image sides"),
        (lambda: spaces.mobilenet_v3(resolutions=(4,)), "from 8"),
        (lambda: spaces.mobilenet_v3(strides=(2, 2)), "two more"),
        (lambda: spaces.mobilenet_v3(activation="swish"), "expected h_swish or relu6"),
        (lambda: spaces.efficientnet_v2(e=(1, 4)), "at 1 its blocks are single convolutions"),
        (lambda: spaces.efficientnet_v2(fused_stages=0), "fused_stages is 0, expected from 1 to 6"),
        (lambda: spaces.efficientnet_v2(strides=(2, 2)), "one more"),
        (lambda: spaces.from_config({}), "space description"),
        (lambda: spaces.from_config(None), "space description"),
        (lambda: spaces.from_config({"family": "unheard of"}), "unheard of"),
        (lambda: spaces.from_config({**spaces.get("ofa_tiny").to_config(), "x": 1}), "'x'"),
        (lambda: spaces.get("ofa_tiny").replace(first_residual="no"), "first_residual is 'no', expected true or false"),
        (lambda: changed_stage(squeeze_excite="false"), "squeeze_excite is 'false', expected true or false"),
        (lambda: changed_stage(depths=[], e=[[3]]), "space description"),
    ],
)
def test_a_bad_space_is_one_line_of_error(make, found):
    with pytest.raises(InputError, match=found) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_relu6_spaces_differ_in_nothing_else():
    """The same blocks with another activation, and the gates as published, unless they are left out."""
    published, relu6 = (spaces.get(f"ofa_mbv3_d234_e346_k357_w0.5{end}") for end in ("", "_relu6"))
    for seed in range(5):
        arch = published.sample(np.random.default_rng(seed))
        for block, other in zip(published.blocks(arch), relu6.blocks(arch), strict=True):
            activation = "relu6" if block.activation == "h_swish" else block.activation
            assert other == dataclasses.replace(block, activation=activation)
    micro = spaces.get("ofa_micro")
    assert not any(block.se_channels or block.activation == "h_swish" for block in micro.blocks(micro.largest()))
    assert not relu6.same_weights(published)
    own = spaces.mobilenet_v3(0.5, activation="relu6", squeeze_excite=False)
    assert own.name == "mbv3_d234_e346_k357_w0.5_relu6_plain"


def test_restricted_spaces():
    """What is left to choose is what was named; blocks are those of the whole space; other values are refused."""
    whole = spaces.get("ofa_proxyless_d234_e346_k357_w1.3")
    part = whole.restricted(ks=(5, 3), d=(2,), r=(160,))
    assert (part.choices("ks"), part.choices("e"), part.choices("r")) == ((3, 5), (3, 4, 6), (160,))
    assert part.largest().d == part.smallest().d == (2, 2, 2, 2, 2, 1)
    assert part.blocks(part.largest()) == whole.blocks(whole.arch(ks=5, e=6, d=(2, 2, 2, 2, 2, 1), r=160))
    with pytest.raises(InputError, match=r"d is restricted to \[5\], it has \[2, 3, 4\]"):
        whole.restricted(d=(5,))
    resnet = spaces.get("ofa_resnet50")
    assert resnet.restricted(r=(128,)).resolutions == (128,)
    with pytest.raises(InputError, match="e cannot be restricted in this family"):
        resnet.restricted(e=(0.25,))
