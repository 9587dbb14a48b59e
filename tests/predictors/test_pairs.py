"""The file of pairs can be extended, resumed after a kill, and never holds a pair twice."""

import itertools
import json
import pathlib
import tempfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.predictors import AccuracyPredictor, PairsFile

SPACE = spaces.get("ofa_tiny")
ARCHS = [SPACE.sample(np.random.default_rng(index)) for index in range(12)]


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "pairs.jsonl"


@pytest.fixture(name="written")
def _written(path):
    pairs = PairsFile(path, SPACE, checkpoint="final.npz")
    for place, arch in enumerate(ARCHS):
        assert pairs.add(arch, place / 20, images=500, split="validation", seconds=1.5)
    return path


def test_what_was_added_is_read_back(written):
    pairs = PairsFile(written)
    assert (pairs.space, pairs.provenance, len(pairs)) == (SPACE, {"checkpoint": "final.npz"}, 12)
    assert [pair.arch for pair in pairs] == ARCHS
    assert next(iter(pairs)).extra == {"seconds": 1.5}
    archs, accuracies = pairs.accuracies()
    assert archs == ARCHS
    np.testing.assert_allclose(accuracies, np.arange(12) / 20)


def test_a_pair_is_never_there_twice(written):
    before = written.read_bytes()
    pairs = PairsFile(written, SPACE)
    assert pairs.holds(ARCHS[3], images=500, split="validation")
    assert not pairs.add(ARCHS[3], 0.9, images=500, split="validation")
    assert written.read_bytes() == before
    assert pairs.add(ARCHS[3], 0.9, images=np.int64(1000), split="validation")
    assert pairs.add(ARCHS[3], np.float32(0.5), images=500, split="test")
    assert len(PairsFile(written)) == 14
    written.write_bytes(before + before.splitlines(keepends=True)[4])
    with pytest.raises(InputError, match="line 14 repeats"):
        PairsFile(written)


def test_each_architecture_counts_once_with_the_most_images(written):
    pairs = PairsFile(written, SPACE)
    pairs.add(ARCHS[0], 0.9, images=1000, split="validation")
    pairs.add(ARCHS[1], 0.9, images=100, split="validation")
    archs, accuracies = pairs.accuracies()
    assert archs == ARCHS
    assert accuracies[:2].tolist() == [0.9, 0.05]
    pairs.add(ARCHS[0], 0.8, images=1000, split="test")
    with pytest.raises(InputError, match="test, validation"):
        pairs.accuracies()
    assert pairs.accuracies("test") == ([ARCHS[0]], np.array([0.8]))
    with pytest.raises(InputError, match="'train'"):
        pairs.accuracies("train")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_kill_at_any_byte_loses_one_pair_at_most(written, data):
    """Cut anywhere, the file opens, holds what was whole, goes on, and is whole at the end."""
    whole = written.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path = written.with_name("cut.jsonl")
    path.write_bytes(whole[:cut])
    pairs = PairsFile(path, SPACE, checkpoint="final.npz")
    # A line that lacks only its newline is whole.
    lines = whole[:cut].count(b"\n") + (whole[cut : cut + 1] == b"\n")
    assert len(pairs) == max(0, lines - 1)
    for place, arch in enumerate(ARCHS):
        if not pairs.holds(arch, images=500, split="validation"):
            pairs.add(arch, place / 20, images=500, split="validation", seconds=1.5)
    # Where the last newline alone was cut off, nothing was left to add.
    assert path.read_bytes() == (whole[:-1] if cut == len(whole) - 1 else whole)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda lines: ["{}", *lines[1:]], "header"),
        (lambda lines: ['{"format": "ofa_tf accuracy pairs", "version": 99}', *lines[1:]], "version 99"),
        (lambda lines: ['{"format": "ofa_tf accuracy pairs", "version": 1}', *lines[1:]], "line 1: space description"),
        (lambda lines: [*lines[:3], lines[3][:30], *lines[4:]], "line 4 is not JSON"),
        (lambda lines: [*lines[:3], "[]", *lines[4:]], "line 4: found list"),
        (lambda lines: [*lines[:3], '{"top1": 0.5}', *lines[4:]], "line 4: architecture"),
        (lambda lines: [*lines[:3], lines[3].replace('"top1": 0.1', '"top1": 10'), *lines[4:]], "line 4: top1 is 10"),
        (lambda lines: [*lines[:3], lines[3].replace("500", "0"), *lines[4:]], "line 4: images is 0"),
        (lambda lines: [*lines[:3], lines[3].replace('"validation"', "3"), *lines[4:]], "line 4: split is 3"),
    ],
)
def test_damage_is_named_by_line(written, change, found):
    written.write_text("\n".join([*change(written.read_text().splitlines()), ""]))
    with pytest.raises(InputError, match=found) as caught:
        PairsFile(written, SPACE)
    assert str(written) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pairs_of_another_space_are_refused(written):
    with pytest.raises(InputError, match=r"ofa_tiny.*ofa_cifar_m"):
        PairsFile(written, spaces.get("ofa_cifar_m"))
    other = SPACE.replace(resolutions=(16, 24, 32, 40))
    assert len(PairsFile(written, other)) == 12


def test_somebody_elses_file_is_left_alone(path):
    path.write_text("my notes, without a newline")
    with pytest.raises(InputError, match="not an 'ofa_tf accuracy pairs' file"):
        PairsFile(path, SPACE)
    assert path.read_text() == "my notes, without a newline"


def test_nothing_is_written_before_the_first_pair(path):
    pairs = PairsFile(path, SPACE)
    with pytest.raises(InputError, match="top1 is nan"):
        pairs.add(ARCHS[0], float("nan"), images=5, split="validation")
    assert not path.exists()
    with pytest.raises(InputError, match="no such file"):
        PairsFile(path)
    pairs.add(ARCHS[0], 1, images=5, split="validation")
    header, line = map(json.loads, path.read_text().splitlines())
    assert (header["version"], line["top1"], line["images"], line["split"]) == (1, 1.0, 5, "validation")


def test_pairs_of_before_the_split_was_called_validation(written):
    """Users have such files: they are not measured again, and the split goes by either name."""
    written.write_text(written.read_text().replace('"split": "validation"', '"split": "holdout"'))
    pairs = PairsFile(written, SPACE)
    assert {pair.split for pair in pairs} == {"validation"}
    assert all(pairs.holds(arch, images=500, split=split) for arch in ARCHS for split in ("holdout", "validation"))
    assert not pairs.add(ARCHS[0], 0.5, images=500, split="validation")
    assert pairs.accuracies("holdout")[0] == pairs.accuracies("validation")[0] == pairs.accuracies()[0]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=12), st.integers(0, 1000))
def test_what_images_cannot_tell_apart_ascends_with_its_size(right, seed):
    """Protects users of six easy photos, all right, from the smallest network; and what photos do tell."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        pairs = PairsFile(pathlib.Path(folder) / "pairs.jsonl", SPACE)
        for count in right:
            pairs.add(SPACE.sample(rng), count / 6, images=6, split="validation")
    archs, top1 = pairs.accuracies()
    ordered, found = pairs.ordered_accuracies()
    assert ordered == archs
    assert ((found >= 0) & (found <= 1)).all()
    assert np.abs(found - top1).max() < 0.5 / 6
    macs = [SPACE.count_macs(arch) for arch in archs]
    for one, other in itertools.permutations(range(len(archs)), 2):
        if top1[one] < top1[other] or (top1[one] == top1[other] and macs[one] < macs[other]):
            assert found[one] < found[other]


@pytest.mark.parametrize("top1", [0.0, 1.0])
def test_a_predictor_is_fitted_to_answers_that_are_all_alike(tmp_path, top1):
    """Six photos that every network gets right (or wrong): the larger ones are the better ones, and nothing fails."""
    pairs = PairsFile(tmp_path / "pairs.jsonl", SPACE)
    rng = np.random.default_rng(0)
    for _ in range(40):
        pairs.add(SPACE.sample(rng), top1, images=6, split="validation")
    _, measured = pairs.accuracies()
    predictor = AccuracyPredictor.fit(SPACE, *pairs.ordered_accuracies(), epochs=30, measured=measured)
    assert predictor.metrics == {}, "what is all alike says nothing of a predictor"
    smallest, largest = predictor.predict(SPACE, [SPACE.smallest(), SPACE.largest()])
    assert smallest < largest
