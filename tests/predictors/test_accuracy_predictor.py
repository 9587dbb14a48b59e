"""The accuracy predictor ranks architectures it has not seen, survives a file, and refuses what it does not know."""

import dataclasses
import functools
import json
import math

import numpy as np
import pytest
from scipy import special

from ofa_tf import spaces
from ofa_tf.common import InputError, load_npz, save_npz
from ofa_tf.predictors import AccuracyPredictor, holdout_metrics
from ofa_tf.spaces import population
from tests.reference import shared

SPACE = spaces.get("ofa_tiny")
PUBLISHED = spaces.get("ofa_mbv3_d234_e346_k357_w1.0")
FAST = {"hidden": (100, 100), "epochs": 60}


def accuracy_law(arch) -> float:
    """A made-up law with the traits of real ones: everything helps, with diminishing returns."""
    size = sum(0.08 * k + 0.12 * e for k, e in zip(arch.ks, arch.e, strict=True)) + 0.1 * arch.r
    return float(special.expit(size / 5 - 1))


@pytest.fixture(scope="module", name="archs")
def _archs():
    rows = population.random_rows(SPACE, np.random.default_rng(0), 500)
    return population.decode(SPACE, rows)


@pytest.fixture(scope="module", name="predictor")
def _predictor(archs):
    train = archs[:250]
    return AccuracyPredictor.fit(SPACE, train, [accuracy_law(arch) for arch in train], **FAST, provenance={"run": "x"})


def test_it_predicts_architectures_it_was_not_fitted_on(predictor, archs):
    measured = np.array([accuracy_law(arch) for arch in archs[250:]])
    found = holdout_metrics(predictor.predict(SPACE, archs[250:]), measured)
    assert found["kendall_tau"] > 0.9
    assert found["rmse"] < 0.2 * measured.std()


def test_its_own_metrics_are_of_held_out_architectures(predictor, archs):
    """What the file claims must agree with what fresh architectures show."""
    fresh = holdout_metrics(predictor.predict(SPACE, archs[250:]), [accuracy_law(arch) for arch in archs[250:]])
    assert predictor.metrics["count"] == 50
    assert predictor.metrics["kendall_tau"] == pytest.approx(fresh["kendall_tau"], abs=0.06)
    assert predictor.metrics["rmse"] >= 0.5 * fresh["rmse"]
    without = AccuracyPredictor.fit(SPACE, archs[:20], [0.5] * 20, hidden=(8,), epochs=1, holdout=0)
    assert without.metrics == {}


def test_equal_seeds_give_equal_predictors(archs):
    fits = [
        AccuracyPredictor.fit(SPACE, archs[:40], [accuracy_law(a) for a in archs[:40]], seed, hidden=(8,), epochs=3)
        for seed in (1, 1, 2)
    ]
    first, again, other = (fit.predict(SPACE, archs[:5]).tolist() for fit in fits)
    assert first == again
    assert first != other


def test_constant_accuracies_are_predicted_as_such(archs):
    predictor = AccuracyPredictor.fit(SPACE, archs[:20], [0.25] * 20, hidden=(8,), epochs=2)
    np.testing.assert_allclose(predictor.predict(SPACE, archs[20:40]), 0.25, atol=1e-3)
    assert predictor.metrics["kendall_tau"] == 0


def test_rows_and_architectures_give_the_same(predictor, archs):
    rows = population.encode(SPACE, archs)
    by_arch, by_row = predictor.predict(SPACE, archs), predictor.predict_rows(SPACE, rows)
    assert by_row.shape == (500,)
    np.testing.assert_allclose(by_row, by_arch, atol=1e-6)
    wider = SPACE.replace(name="wider", resolutions=(16, *SPACE.resolutions))
    np.testing.assert_allclose(
        predictor.predict_rows(wider, population.encode(wider, archs)), predictor.predict(wider, archs), atol=1e-6
    )


def test_a_file_gives_the_same_predictor(predictor, archs, tmp_path):
    path = tmp_path / "predictor.npz"
    predictor.save(path)
    loaded = AccuracyPredictor.load(path)
    np.testing.assert_array_equal(loaded.predict(SPACE, archs), predictor.predict(SPACE, archs))
    assert (loaded.space, loaded.metrics, loaded.provenance) == (SPACE, predictor.metrics, predictor.provenance)
    assert loaded.provenance["run"] == "x"
    assert loaded.costs == predictor.costs
    arrays = load_npz(path, "predictor")
    header = json.loads(str(arrays["header"])) | {"costs": {"means": [0.0]}}
    save_npz(path, arrays | {"header": np.array(json.dumps(header))})
    with pytest.raises(InputError, match="lacks 'scales'"):
        AccuracyPredictor.load(path)


def test_a_digest_tells_predictors_apart(predictor, archs, tmp_path):
    """The same after a file; another one where it was fitted anew on something else, or is to be asked elsewhere."""
    predictor.save(tmp_path / "predictor.npz")
    assert AccuracyPredictor.load(tmp_path / "predictor.npz").digest == predictor.digest
    refitted = dataclasses.replace(predictor, metrics={}, provenance={"pairs": 3})
    assert refitted.digest == predictor.digest
    weights, bias = predictor.layers[-1]
    others = dataclasses.replace(predictor, layers=(*predictor.layers[:-1], (weights, bias + np.float32(1e-3))))
    with pytest.raises(InputError, match="trusted_resolutions has 10000, expected some of "):
        dataclasses.replace(predictor, trusted_resolutions=(10_000,))
    elsewhere = dataclasses.replace(predictor, trusted_resolutions=predictor.resolutions[:1])
    assert len({predictor.digest, others.digest, elsewhere.digest}) == 3


@pytest.mark.parametrize("trusted", [(0.0, 0.0), (0.8, 0.7), (0.5, 1e300), (float("nan"), 1.0)])
def test_bounds_that_are_no_accuracies(predictor, tmp_path, trusted):
    """A file whose bounds are none would warn of all predictions, or of none."""
    dataclasses.replace(predictor, trusted=trusted).save(tmp_path / "predictor.npz")
    with pytest.raises(InputError, match="expected a least and a greatest top-1 from 0 to 1"):
        AccuracyPredictor.load(tmp_path / "predictor.npz")


def test_no_weight_is_so_small_that_it_only_costs_time(predictor, archs):
    """Subnormal numbers made a search take seven seconds instead of one; without them it answers the same."""
    layers = tuple((np.where(weights == 0, np.float32(1e-45), weights), bias) for weights, bias in predictor.layers)
    loaded = dataclasses.replace(predictor, layers=layers)
    for weights, _ in loaded.layers:
        assert weights.dtype == np.float32
        assert not ((weights != 0) & (np.abs(weights) < np.finfo(np.float32).tiny)).any()
    space = predictor.space
    np.testing.assert_array_equal(loaded.predict(space, archs[:20]), predictor.predict(space, archs[:20]))


def test_another_space_is_refused_naming_both(predictor):
    other = spaces.get("ofa_cifar_m")
    for ask in (
        lambda: predictor.predict(other, [other.largest()]),
        lambda: predictor.predict_rows(other, population.encode(other, [other.largest()])),
    ):
        with pytest.raises(InputError, match=r"ofa_tiny.*ofa_cifar_m"):
            ask()


def test_a_resolution_it_never_saw_is_refused(archs):
    train = [arch for arch in archs if arch.r != 32][:40]
    predictor = AccuracyPredictor.fit(SPACE, train, [accuracy_law(arch) for arch in train], hidden=(8,), epochs=1)
    assert predictor.resolutions == (24, 40)
    unseen = SPACE.arch(r=32)
    for ask in (
        lambda: predictor.predict(SPACE, [unseen]),
        lambda: predictor.predict_rows(SPACE, population.encode(SPACE, [unseen])),
    ):
        with pytest.raises(InputError, match=r"24, 40.*32"):
            ask()


@pytest.mark.parametrize(
    ("accuracies", "found"),
    [([0.5] * 9, "at least 10"), ([0.5] * 19, "same number"), ([75.0] * 20, "100"), ([math.nan] * 20, "0..1")],
)
def test_data_that_cannot_be_fitted_are_named(archs, accuracies, found):
    count = 9 if len(accuracies) == 9 else 20
    with pytest.raises(InputError, match=found):
        AccuracyPredictor.fit(SPACE, archs[:count], accuracies)


def test_a_damaged_file_is_one_line_of_error(predictor, tmp_path):
    path = tmp_path / "predictor.npz"
    predictor.save(path)
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"predictor\.npz"):
            AccuracyPredictor.load(path)
    path.write_bytes(whole)
    arrays = load_npz(path)

    def rewritten(**changes):
        save_npz(path, {name: array for name, array in {**arrays, **changes}.items() if array is not None})
        with pytest.raises(InputError, match=r"predictor\.npz") as caught:
            AccuracyPredictor.load(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    header = json.loads(str(arrays["header"]))
    assert "is not an" in rewritten(header=None)
    assert "is not an" in rewritten(header=np.array("{}"))
    assert "version 9" in rewritten(header=np.array(json.dumps({**header, "version": 9})))
    assert "layer1_bias" in rewritten(layer1_bias=None)
    assert "shapes" in rewritten(layer1_weights=arrays["layer1_weights"][1:])
    assert "outputs" in rewritten(header=np.array(json.dumps({**header, "layers": 2})))


def test_metrics_are_right_on_known_values():
    metrics = holdout_metrics([1, 2, 3, 4], [1, 2, 4, 3])
    assert metrics == pytest.approx({"kendall_tau": 4 / 6, "spearman": 0.8, "rmse": math.sqrt(0.5), "count": 4})


def test_a_hundred_measured_subnets_are_enough_to_rank_the_rest():
    """The published w1.0 supernet's measured ImageNet accuracies: 100 to fit, 500 others to check."""
    lines = shared("data/ofa_mbv3_w1.0_imagenet_top1.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = [json.loads(lines[index]) for index in np.random.default_rng(0).permutation(len(lines))[:600]]
    archs = [PUBLISHED.arch(**{field: case[field] for field in ("ks", "e", "d", "r")}) for case in chosen]
    accuracies = np.array([case["top1"] for case in chosen]) / 100
    fit = functools.partial(
        AccuracyPredictor.fit, PUBLISHED, archs[:100], accuracies[:100], holdout=0, hidden=(100, 100)
    )
    found, choices_alone = (
        holdout_metrics(fit(costs=costs).predict(PUBLISHED, archs[100:]), accuracies[100:]) for costs in (True, False)
    )
    assert found["kendall_tau"] > 0.88
    assert found["rmse"] < 0.0030
    # What MACs and parameters are inputs for.
    assert found["rmse"] < 0.8 * choices_alone["rmse"]
