"""Latency tables: sums of what was measured, whole on disk, and clear about what they lack."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.predictors import BlockLatency, LatencyCorrection, LatencyTable, fit_correction
from ofa_tf.predictors.latency_table import DRIFT, HOST_CONDITIONS, HOT, METHOD, PHONE_CONDITIONS, UNFINISHED
from ofa_tf.spaces import costs, population
from tests.space_strategies import space_and_archs

SPACE = spaces.get("ofa_tiny")
CONDITIONS = {"device": "host", "precision": "int8", "threads": 1, "form": "hard-swish"}
CORRECTION = LatencyCorrection(scale=1.07, offset_ms=0.3, networks=12, mape_before=9.0, mape_after=2.0)


def measured(space, resolutions=None) -> dict[str, BlockLatency]:
    """What a device might have answered for every block of a space."""
    times = {block.key: costs.macs(block) / 3.1e6 + 0.01 for block in population.distinct_blocks(space, resolutions)}
    return {key: BlockLatency(time, 1.2 * time, 0.05 * time, 50) for key, time in times.items()}


@pytest.fixture(scope="module", name="table")
def _table():
    return LatencyTable(**CONDITIONS, versions={"litert": "2.3"}, date="2026-01-02").adding(measured(SPACE))


@settings(max_examples=25)
@given(space_and_archs(), st.sampled_from([None, CORRECTION]))
def test_architectures_and_rows_are_predicted_exactly_alike(case, correction):
    """To the last bit: what a search finds at the limit must be at the limit for everyone else."""
    space, archs = case
    table = LatencyTable(**CONDITIONS, blocks=measured(space), correction=correction)
    predicted = table.predict(space, archs)
    rows = population.encode(space, archs)
    assert predicted.tolist() == population.evaluate(table.compile(space), rows).tolist()
    sums = [sum(table.blocks[block.key].median_ms for block in space.blocks(arch)) for arch in archs]
    expected = sums if correction is None else [1.07 * total + 0.3 for total in sums]
    np.testing.assert_allclose(predicted, expected, rtol=1e-4)


def test_any_resolution_whose_blocks_were_measured(table):
    odd = SPACE.replace(resolutions=(36,))
    table = table.adding(measured(odd))
    (predicted,) = table.predict(SPACE, [SPACE.arch(r=36)])
    smaller, larger = table.predict(SPACE, [SPACE.arch(r=32), SPACE.arch(r=40)])
    assert smaller < predicted < larger


def test_what_is_missing_is_named_with_the_command_that_measures_it(table):
    space = spaces.get("ofa_mbv3_d234_e346_k357_w0.5")
    block = population.distinct_blocks(space)[0]
    some = LatencyTable(**CONDITIONS, blocks=measured(SPACE, (24,)))
    for ask, key in (
        (lambda: table.predict(space, [space.largest()]), block.key.rsplit("-r", 1)[0]),
        (lambda: table.compile(space), block.key),
        (lambda: some.compile(SPACE), "r32"),
    ):
        with pytest.raises(InputError, match=r"mobile_bench\.build_latency_table --device=host") as caught:
            ask()
        assert key in str(caught.value)
        assert re.search(r"--resolutions=\d+ --precision=int8.* --threads=1 --output=", str(caught.value))
        assert "\n" not in str(caught.value)
    assert some.missing(population.distinct_blocks(SPACE, (24,))) == []
    assert set(some.missing(population.distinct_blocks(SPACE))) == set(population.distinct_blocks(SPACE)) - set(
        population.distinct_blocks(SPACE, (24,))
    )
    table = some.compile(SPACE, (24,))
    assert np.isfinite(population.evaluate(table, population.encode(SPACE, [SPACE.arch(r=24)]))).all()


def test_a_file_gives_the_same_table(table, tmp_path):
    path = tmp_path / "host_int8.json"
    for written in (table, table.with_correction(CORRECTION)):
        written.save(path)
        assert LatencyTable.load(path) == written
    value = json.loads(path.read_text())
    assert (value["unit"], value["version"], value["threads"]) == ("ms", 1, 1)
    assert value["blocks"][next(iter(table.blocks))].keys() == {"median_ms", "p95_ms", "std_ms", "count"}


def test_a_table_of_before_its_form_was_called_form(table, tmp_path):
    """Users have such tables, measured on their phones."""
    path = tmp_path / "phone.json"
    table.save(path)
    fields = json.loads(path.read_text())
    fields["activation_form"] = fields.pop("form")
    path.write_text(json.dumps(fields))
    assert LatencyTable.load(path) == table


def test_measuring_can_stop_and_go_on(table, tmp_path):
    """Saved after every batch; what the file holds is not measured again."""
    path = tmp_path / "host.json"
    todo = population.distinct_blocks(SPACE)
    LatencyTable(**CONDITIONS).save(path)
    while left := LatencyTable.load(path).missing(todo):
        part = LatencyTable.load(path)
        part.adding({block.key: table.blocks[block.key] for block in left[:40]}).save(path)
    assert LatencyTable.load(path).blocks == table.blocks


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_a_truncated_file_is_one_line_of_error(table, tmp_path, share):
    path = tmp_path / "host.json"
    table.save(path)
    whole = path.read_bytes().rstrip()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"host\.json.*anew") as caught:
        LatencyTable.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"format": "x"}, "not an 'ofa_tf latency table'"),
        ({"version": 2}, "version 2"),
        ({"unit": "us"}, "'us'"),
        ({"threads": "1"}, "threads is '1'"),
        ({"device": None}, "device is None"),
        ({"versions": {"hot blocks": ["stem"]}}, "versions has .* as hot blocks, expected a text"),
        ({"versions": {"drift": "much"}}, "versions has 'much' as drift, expected a number"),
        ({"blocks": []}, "blocks is"),
        ({"blocks": {"stem": {"median_ms": -1, "p95_ms": 1, "std_ms": 0, "count": 50}}}, "block stem"),
        ({"blocks": {"stem": {"median_ms": "1", "p95_ms": 1, "std_ms": 0, "count": 50}}}, "block stem"),
        ({"blocks": {"stem": {"median_ms": 1e308, "p95_ms": 1, "std_ms": 0, "count": 50}}}, "block stem"),
        ({"blocks": {"stem": {"median_ms": math.nan, "p95_ms": 1, "std_ms": 0, "count": 50}}}, "block stem"),
        ({"blocks": {"stem": 1.5}}, "block stem"),
        ({"correction": {"scale": 0, "offset_ms": 0, "networks": 9, "mape_before": 1, "mape_after": 1}}, "scale"),
        ({"correction": {"scale": 1}}, "correction"),
        ({"resolutions": ["24"]}, "resolutions is .*24.*, expected a list of image sides"),
    ],
)
def test_wrong_fields_are_named(table, tmp_path, changes, found):
    path = tmp_path / "host.json"
    table.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(InputError, match=found):
        LatencyTable.load(path)


def test_tables_merge_where_conditions_are_equal(table):
    keys = list(table.blocks)
    first = dataclasses.replace(table, blocks={key: table.blocks[key] for key in keys[:80]}, correction=CORRECTION)
    newer = BlockLatency(9.0, 9.5, 0.1, 70)
    second = dataclasses.replace(
        table, date="2026-02-01", blocks={**{k: table.blocks[k] for k in keys[70:]}, keys[75]: newer}
    )
    merged = first.merge(second)
    assert set(merged.blocks) == set(keys)
    assert merged.blocks[keys[75]] == newer
    assert merged.date == "2026-02-01"
    assert merged.correction is None, "a correction of other sums would mislead"
    assert first.merge(LatencyTable(**CONDITIONS)).correction == CORRECTION
    for name, value in (("device", "Pixel 1"), ("precision", "float32"), ("threads", 4), ("form", "x")):
        with pytest.raises(InputError, match=name):
            table.merge(dataclasses.replace(table, **{name: value}))


def test_the_later_measurement_counts_beside_those_of_single_resolutions(table):
    """Published tables have blocks of each resolution; one that was measured anew takes the place of all of them."""
    at_resolution = {side: measured(SPACE, (side,)) for side in SPACE.resolutions}
    published = dataclasses.replace(table, blocks={}, at_resolution=at_resolution, correction=None)
    slow = {key: BlockLatency(100.0, None, 0.0, 50) for key in measured(SPACE, SPACE.resolutions)}
    newer = LatencyTable(**CONDITIONS, blocks=slow)
    archs = [SPACE.smallest(), SPACE.largest()]
    expected = newer.predict(SPACE, archs).tolist()
    corrected = newer.with_correction(CORRECTION)
    assert published.merge(corrected).correction == CORRECTION
    assert published.merge(corrected).at_resolution == {}
    assert published.merge(newer).predict(SPACE, archs).tolist() == expected
    assert newer.merge(published).predict(SPACE, archs).tolist() == published.predict(SPACE, archs).tolist()


def test_how_blocks_were_measured_is_kept_of_both(table):
    """What is merged, or added, is no longer measured in one way; each is said once."""
    first, second = (dataclasses.replace(table, versions={METHOD: text}) for text in ("50 runs", "20 runs"))
    assert first.merge(second).methods == ["50 runs", "20 runs"]
    assert first.merge(second).merge(first).versions[METHOD] == "50 runs | 20 runs"
    assert first.merge(table).methods == table.merge(first).methods == ["50 runs"]
    assert table.methods == []
    # Of before the time of an empty model, which differs in every session, had a place of its own.
    older = [
        table.with_versions({METHOD: f"50 runs, less the {time_us} us of an empty model"}) for time_us in (12.3, 9)
    ]
    assert older[0].merge(older[1]).methods == ["50 runs, less the time of an empty model"]


def test_image_sides_are_kept_and_united(table, tmp_path):
    """A file of an older program, which does not tell them, is read as before."""
    first, second = table.for_resolutions((32, 24)), table.for_resolutions((40, 24))
    first.save(tmp_path / "host.json")
    assert LatencyTable.load(tmp_path / "host.json").resolutions == (24, 32)
    assert first.merge(second).resolutions == (24, 32, 40)
    value = json.loads((tmp_path / "host.json").read_text())
    assert value.pop("resolutions") == [24, 32]
    (tmp_path / "host.json").write_text(json.dumps(value))
    assert LatencyTable.load(tmp_path / "host.json") == table


@pytest.mark.parametrize("name", [*HOST_CONDITIONS, *PHONE_CONDITIONS])
def test_tables_of_other_builds_or_delegates_do_not_merge(table, name):
    """A graphics processor's blocks among a processor's would make sums of nothing; who does not tell may be merged."""
    first, second = (dataclasses.replace(table, versions={name: value}) for value in ("one", "another"))
    with pytest.raises(InputError, match=f"{name} is 'one' in one and 'another' in the other"):
        first.merge(second)
    assert first.merge(dataclasses.replace(table, versions={})).versions[name] == "one"


def test_what_is_doubtful_survives_a_merge(table):
    """Blocks that were hot stay named unless the other table measured them anew; the larger drift counts."""
    keys = list(table.blocks)
    building = {f"{UNFINISHED}ofa_tiny": "{}"}
    first = dataclasses.replace(table, versions={HOT: f"{keys[0]} {keys[1]}", DRIFT: "1.400", **building})
    blocks = {key: table.blocks[key] for key in keys[1:3]}
    second = dataclasses.replace(table, blocks=blocks, versions={HOT: keys[2], DRIFT: "1.010"})
    merged = first.merge(second).versions
    assert set(merged[HOT].split()) == {keys[0], keys[2]}
    assert merged[DRIFT] == "1.400"
    assert not building.keys() & merged.keys()
    assert not {HOT, DRIFT} & set(table.merge(table).versions)


@settings(max_examples=25)
@given(
    scale=st.floats(0.5, 3),
    offset=st.floats(-0.3, 3),
    speed=st.sampled_from([1e-3, 1.0, 1e3]),
    count=st.integers(8, 30),
    seed=st.integers(0, 1000),
)
def test_correction_finds_the_line_despite_disturbed_measurements(scale, offset, speed, count, seed):
    """One network in eight was disturbed by up to a factor of two; device speeds range over six decades."""
    rng = np.random.default_rng(seed)
    sums = rng.uniform(2, 12, count)
    networks = (scale * sums + offset) * (1 + 0.003 * rng.standard_normal(count))
    networks[: count // 8] *= rng.uniform(1.3, 2, count // 8)
    correction = fit_correction(speed * sums, speed * networks)
    clean = scale * sums + offset
    predicted = (correction.scale * speed * sums + correction.offset_ms) / speed
    assert np.median(np.abs(predicted - clean) / clean) < 0.012
    assert correction.scale > 0
    assert correction.networks == count


def test_correction_reports_errors_of_networks_it_was_not_fitted_on():
    rng = np.random.default_rng(0)
    sums = rng.uniform(2, 12, 10)
    correction = fit_correction(sums, 1.3 * sums + 0.5)
    assert correction.mape_before == pytest.approx(100 * np.mean((0.3 * sums + 0.5) / (1.3 * sums + 0.5)))
    assert correction.mape_after < 0.1
    noise = fit_correction(sums, np.exp(rng.normal(0, 0.2, 10)))
    assert noise.mape_after > 5


@pytest.mark.parametrize(
    ("predicted", "networks"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 2, 3, 4], [1, 2, 3]),
        ([1, 2, 3, 0], [1, 2, 3, 4]),
        ([1, 2, 3, 4], [1, 2, 3, math.nan]),
    ],
)
def test_correction_refuses_what_is_no_measurement(predicted, networks):
    with pytest.raises(InputError, match="latency correction"):
        fit_correction(predicted, networks)
