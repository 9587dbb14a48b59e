"""Latency from measured whole networks: as good as promised, and the same for a search as for a user."""

import dataclasses

import numpy as np
import pytest

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.predictors import LatencyRegression, mean_absolute_percentage_error, read_latency_pairs
from ofa_tf.search import Constraint, evolutionary_search
from ofa_tf.spaces import costs
from ofa_tf.spaces.population import encode, evaluate, feature_count
from tests.reference import shared

W10 = "ofa_mbv3_d234_e346_k357_w1.0"


def made_up_pairs(space, count: int, seed: int = 0):
    """Latencies of a device that computes and moves memory, with half a percent of noise."""
    rng = np.random.default_rng(seed)
    archs = [space.sample(rng) for _ in range(count)]
    exact = [
        0.05 + sum(costs.macs(b) / 1e6 + 0.01 + 1e-5 * b.mid_channels * b.input_size**2 for b in space.blocks(arch))
        for arch in archs
    ]
    return archs, np.array(exact) * (1 + 0.005 * rng.normal(size=count))


@pytest.fixture(scope="module", name="space")
def _space():
    return spaces.get("ofa_tiny")


@pytest.fixture(scope="module", name="regression")
def _regression(space):
    return LatencyRegression.fit(space, *made_up_pairs(space, 200), device="made up")


@pytest.mark.parametrize(("setting", "limit"), [("v100_64", 2.2), ("titan_rtx_64", 3.0)])
def test_gpu_latencies_from_500_pairs(setting, limit):
    """The promised mean errors, in percent, on the 3,500 pairs that were not fitted on."""
    space = spaces.get(W10)
    archs, latencies_ms = read_latency_pairs(shared("data/ofa_mbv3_gpu_latency_ms.jsonl"), space, setting=setting)
    order = np.random.default_rng(0).permutation(len(archs))
    used, left = order[:500], order[500:]
    fitted = LatencyRegression.fit(space, [archs[i] for i in used], latencies_ms[used], device=setting)
    error = mean_absolute_percentage_error(fitted.predict(space, [archs[i] for i in left]), latencies_ms[left])
    assert error <= limit
    assert fitted.metrics["mape"] == pytest.approx(error, rel=0.5)


def test_it_finds_what_is_additive(space, regression):
    """What sums of blocks explain is predicted to the noise, on architectures it never saw."""
    archs, latencies_ms = made_up_pairs(space, 200, seed=1)
    assert mean_absolute_percentage_error(regression.predict(space, archs), latencies_ms) < 1.5
    assert regression.metrics["kendall_tau"] > 0.95


def test_a_search_sees_what_a_user_sees(space, regression):
    """Compiled for a space with fewer resolutions, to the last bit; and a search keeps the limit."""
    fewer = space.replace(resolutions=space.resolutions[1:])
    archs = [fewer.sample(np.random.default_rng(2)) for _ in range(20)]
    compiled = evaluate(regression.compile(fewer), encode(fewer, archs))
    assert compiled.tolist() == regression.predict(space, archs).tolist()
    limit = float(np.median(regression.predict(space, archs)))

    class Counting:
        resolutions = space.resolutions

        def predict_rows(self, _, rows):
            return rows.sum(axis=1) / feature_count(space)

    constraint = Constraint("latency_ms", limit, predictor=regression)
    result = evolutionary_search(space, Counting(), constraint, population=20, generations=20)
    assert result.costs["latency_ms"] == regression.predict(space, [result.arch])[0] <= limit


def test_what_is_outside_is_named(space, regression):
    """Another space, another resolution."""
    with pytest.raises(InputError, match="fitted on resolutions 24, 32, 40, asked about 36"):
        regression.predict(space, [space.arch(r=36)])
    other = spaces.get("ofa_cifar_m")
    with pytest.raises(InputError, match=r"fitted on space ofa_tiny \(10 classes\), asked about ofa_cifar_m \(10\)"):
        regression.compile(other)


def test_pairs_that_were_measured_twice_are_not_their_own_test(space):
    """Protects the reported error: latencies that nothing explains must not look predictable by being repeated."""
    archs, _ = made_up_pairs(space, 40)
    latencies_ms = np.exp(np.random.default_rng(3).normal(size=40))
    once = LatencyRegression.fit(space, archs, latencies_ms, device="noise").metrics["mape"]
    thrice = LatencyRegression.fit(space, archs * 3, np.tile(latencies_ms, 3), device="noise").metrics["mape"]
    assert thrice > 0.7 * once
    with pytest.raises(InputError, match="pairs of 1 different architectures"):
        LatencyRegression.fit(space, archs[:1] * 30, np.ones(30), device="one")
    # What differs in skipped blocks only is the same network.
    shallow = space.smallest()
    same = [dataclasses.replace(shallow, ks=(*shallow.ks[:-1], kernel)) for kernel in space.choices("ks")]
    assert len(set(same)) > 1
    with pytest.raises(InputError, match="pairs of 1 different architectures"):
        LatencyRegression.fit(space, same * 10, np.ones(10 * len(same)), device="one")


def test_choices_that_no_pair_has_are_told(space):
    """A search would go to them."""
    archs, latencies_ms = made_up_pairs(space.restricted(d=(3,)), 60)
    with pytest.warns(UserWarning, match=r"choices occur in no pair \(d\[0\]="):
        LatencyRegression.fit(space, archs, latencies_ms, device="deep only")


def test_saved_and_loaded(space, regression, tmp_path):
    """Bit for bit, and a damaged file is named."""
    path = tmp_path / "regression.npz"
    regression.save(path)
    loaded = LatencyRegression.load(path)
    archs = [space.smallest(), space.largest()]
    assert loaded.predict(space, archs).tolist() == regression.predict(space, archs).tolist()
    assert (loaded.device, loaded.metrics) == ("made up", regression.metrics)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"regression\.npz: not a whole latency regression"):
        LatencyRegression.load(path)
    np.savez(path, values=np.zeros(3))
    with pytest.raises(InputError, match=r"regression\.npz: is not an 'ofa_tf latency regression' file"):
        LatencyRegression.load(path)


def test_pairs_that_cannot_be_used(space, tmp_path):
    """Too few, not positive; and lines that are no pairs, named."""
    archs, latencies_ms = made_up_pairs(space, 30)
    with pytest.raises(InputError, match="at least 20; measure more"):
        LatencyRegression.fit(space, archs[:5], latencies_ms[:5], device="x")
    with pytest.raises(InputError, match="not a number above 0"):
        LatencyRegression.fit(space, archs, -latencies_ms, device="x")
    path = tmp_path / "pairs.jsonl"
    arch = archs[0].to_json()
    for line, setting, message in (
        (f'{{"arch": {arch}, "latency_ms": "3"}}', None, "line 1: latency_ms is '3'"),
        (f'{{"arch": {arch}, "latency_ms": {{"a": 1}}}}', None, "line 1: latency_ms has the settings a; name one"),
        (f'{{"arch": {arch}, "latency_ms": 1}}', "a", "line 1: .*there is no setting 'a'"),
        ('{"latency_ms": 1}', None, "line 1: architecture: found the fields"),
        ("[]", None, "line 1: found list"),
    ):
        path.write_text(line + "\n", encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_latency_pairs(path, space, setting=setting)
    path.write_text(f'{{"arch": {arch}, "latency_ms": {{"a": 1.5}}}}\n', encoding="utf-8")
    read, values = read_latency_pairs(path, space, setting="a")
    assert (read, values.tolist()) == ([archs[0]], [1.5])
