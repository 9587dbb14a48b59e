"""The accuracy predictor that ships says what was measured, and where it should not be relied on."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from ofa_tf import spaces, zoo
from ofa_tf.common import InputError
from ofa_tf.predictors import holdout_metrics
from ofa_tf.search import Constraint, evolutionary_search
from tests.reference import shared

W10 = "ofa_mbv3_d234_e346_k357_w1.0"


def test_it_is_small_good_and_says_where_it_comes_from():
    """Under 1.5 MB; five-fold RMSE at most 0.16 points and Kendall tau at least 0.90 (measured when it was fitted)."""
    predictor = zoo.accuracy_predictor(W10)
    file = pathlib.Path(zoo.__file__).parent / "accuracy_predictors" / f"{W10}.npz"
    assert file.stat().st_size < 1.5e6
    assert predictor.metrics["rmse"] * 100 <= 0.16
    assert predictor.metrics["kendall_tau"] >= 0.90
    assert predictor.metrics["count"] == predictor.provenance["pairs"] == 1668
    assert "DyNAS-T" in predictor.provenance["source"]
    assert predictor.space.same_weights(spaces.get(W10))


def test_it_agrees_with_what_was_measured():
    """On the pairs it was fitted on: it is the predictor of this data and of no other."""
    path = shared("data/ofa_mbv3_w1.0_imagenet_top1.jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    space = spaces.get(W10)
    archs = [space.arch(ks=line["ks"], e=line["e"], d=line["d"], r=line["r"]) for line in lines]
    for line, arch in zip(lines, archs, strict=True):
        assert (space.count_macs(arch), space.count_params(arch)) == (line["macs"], line["params"])
    metrics = holdout_metrics(
        zoo.accuracy_predictor(W10).predict(space, archs), np.array([line["top1"] for line in lines]) / 100
    )
    assert metrics["rmse"] < 0.0016
    assert metrics["kendall_tau"] > 0.9


def test_where_it_should_not_be_relied_on():
    """It warns below the accuracies it saw, and refuses other resolutions."""
    predictor = zoo.accuracy_predictor(W10)
    low, high = predictor.trusted
    assert (low, high) == pytest.approx((0.70998, 0.77466))
    space = spaces.get(W10)
    smallest = space.arch(ks=3, e=3, d=2, r=224)
    predictor.predict(space, [space.arch(ks=5, e=4, d=3, r=224)])  # no warning: warnings are errors in tests
    with pytest.warns(UserWarning, match=r"1 of 1 predictions are outside the top-1 .*, 0\.7600 to 0\.7700"):
        dataclasses.replace(predictor, trusted=(0.76, 0.77)).predict(space, [smallest])
    with pytest.raises(InputError, match="fitted on resolutions 224, asked about 192"):
        predictor.predict(space, [space.arch(r=192)])


def test_a_search_needs_nothing_else():
    """The best under 250 M MACs is better than what was measured there on average."""
    predictor = zoo.accuracy_predictor(W10)
    result = evolutionary_search(predictor.space, predictor, Constraint("macs", 250e6), population=50, generations=60)
    assert 0.75 < result.predicted_top1 < predictor.trusted[1] + 0.003
    assert result.costs["macs"] <= 250e6


def test_names_that_do_not_ship():
    """The message says which do, and where the published one is read."""
    assert W10 in zoo.accuracy_predictor_names()
    with pytest.raises(InputError, match=r"does not ship, there are .*w1\.0.*acc_predictor\.pth"):
        zoo.accuracy_predictor("ofa_mbv3_d234_e346_k357_w1.2")
    with pytest.raises(InputError, match=r"'nothing' does not ship.*tools\.fit_accuracy_predictor"):
        zoo.accuracy_predictor("nothing")
