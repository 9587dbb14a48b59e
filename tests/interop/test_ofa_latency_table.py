"""The published phone tables give the published latencies, here and saved in our format."""

import dataclasses
import json
import re

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofa_tf import interop, spaces
from ofa_tf.common import InputError
from ofa_tf.predictors import BlockLatency, LatencyTable
from ofa_tf.spaces.population import distinct_blocks, encode, evaluate
from tests.reference import shared

W12 = "ofa_mbv3_d234_e346_k357_w1.2"
RESOLUTIONS = (160, 176, 192, 208, 224)
NOTE10 = {160: (9.8903, 47.7733), 192: (13.3255, 67.5617), 224: (17.7691, 92.3980)}


@pytest.fixture(scope="module", name="note10")
def _note10():
    return interop.load_ofa_latency_table(shared("data/ofa_official/ofa/note10"))


def note10_cases():
    space = spaces.get(W12)
    cases = json.loads(shared("reference/note10_predictors.json").read_text(encoding="utf-8"))
    return space, [space.arch(**case["arch"], r=case["resolution"]) for case in cases], cases


def test_note10_latencies_equal_the_reference(note10, tmp_path):
    """40 random architectures within 1e-6 ms: read, saved and loaded, and compiled for a search."""
    space, archs, cases = note10_cases()
    expected = [case["note10_latency_ms"] for case in cases]
    assert len(archs) == 40
    np.testing.assert_allclose(note10.predict(space, archs), expected, atol=1e-6, rtol=0)
    note10.save(tmp_path / "note10.json")
    saved = LatencyTable.load(tmp_path / "note10.json")
    assert saved.predict(space, archs).tolist() == note10.predict(space, archs).tolist()
    compiled = evaluate(saved.compile(space, RESOLUTIONS), encode(space, archs))
    assert compiled.tolist() == saved.predict(space, archs).tolist()


@pytest.mark.parametrize("resolution", NOTE10)
def test_note10_smallest_and_largest(note10, resolution):
    """The golden sums of the reference page; one file alone gives the same."""
    space = spaces.get(W12)
    archs = [space.arch(ks=3, e=3, d=2, r=resolution), space.arch(r=resolution)]
    np.testing.assert_allclose(note10.predict(space, archs), NOTE10[resolution], atol=5e-5)
    alone = interop.load_ofa_latency_table(shared(f"data/ofa_official/ofa/note10/{resolution}_lookup_table.yaml"))
    assert alone.predict(space, archs).tolist() == note10.predict(space, archs).tolist()


def test_pixel1_smallest_and_largest():
    """The older format: expand is a ratio, and pooling belongs to the dense layer."""
    table = interop.load_ofa_latency_table(shared("data/ofa_official/proxylessnas/mobile_trim.yaml"))
    space = spaces.proxyless(1.0)
    archs = [space.arch(ks=3, e=3, d=2, r=224), space.arch(r=224)]
    np.testing.assert_allclose(table.predict(space, archs), (45.0885, 191.0299), atol=5e-5)
    with pytest.raises(InputError, match=r"block mbconv-in16-mid64-out24-k7-s2-r112-se0-relu6-expand .*is missing"):
        table.predict(space, [space.arch(e=4)])


def test_what_is_outside_is_named(note10):
    """A resolution without a table, in a prediction and in a search's table."""
    space = spaces.get(W12)
    with pytest.raises(InputError, match=r"block stem-in3-\S*-r128-\S* \(in images of 128 pixels\) is missing"):
        note10.predict(space, [space.arch(r=128)])
    with pytest.raises(InputError, match="128 pixels"):
        note10.compile(space)


def same(found, expected):
    """Blocks are the same, figures but for the last bit of a square's root."""
    assert found.at_resolution.keys() == expected.at_resolution.keys()
    for resolution, blocks in expected.at_resolution.items():
        assert found.at_resolution[resolution].keys() == blocks.keys()
        for key, latency in blocks.items():
            read = found.at_resolution[resolution][key]
            assert (read.median_ms, read.count) == (latency.median_ms, latency.count)
            assert read.std_ms == pytest.approx(latency.std_ms, rel=1e-12)


def test_both_formats_are_written_as_they_are_read(note10, tmp_path):
    """The published tables, written and read again, are what they were; entries of blocks are the published ones."""
    files = interop.save_ofa_latency_table(note10, spaces.get(W12), tmp_path / "note10")
    assert [path.name for path in files] == [f"{resolution}_lookup_table.yaml" for resolution in RESOLUTIONS]
    same(interop.load_ofa_latency_table(tmp_path / "note10"), note10)
    published = yaml.safe_load(shared("data/ofa_official/ofa/note10/192_lookup_table.yaml").read_text(encoding="utf-8"))
    written = yaml.safe_load((tmp_path / "note10" / "192_lookup_table.yaml").read_text(encoding="utf-8"))
    assert written.keys() == published.keys()
    blocks = [key for key in published if key.startswith("expanded_conv")]
    assert {key: written[key]["mean"] for key in blocks} == {key: published[key]["mean"] for key in blocks}
    assert sum(entry["mean"] for entry in written.values()) == pytest.approx(
        sum(entry["mean"] for entry in published.values())
    )
    pixel1 = interop.load_ofa_latency_table(shared("data/ofa_official/proxylessnas/mobile_trim.yaml"))
    interop.save_ofa_latency_table(pixel1, spaces.proxyless(1.0), tmp_path / "pixel1", older=True)
    # Two of its entries are first blocks with kernels that the space does not have.
    blocks = {key: block for key, block in pixel1.at_resolution[224].items() if not re.search("out16-k[57]", key)}
    assert len(blocks) == len(pixel1.at_resolution[224]) - 2
    same(interop.load_ofa_latency_table(tmp_path / "pixel1"), dataclasses.replace(pixel1, at_resolution={224: blocks}))


def test_measured_tables_are_written(tmp_path):
    """Ours have blocks of all resolutions together, and more than the format holds."""
    space = spaces.get("ofa_tiny")
    blocks = {block.key: BlockLatency(0.25 + place, 9.0, 0.5, 50) for place, block in enumerate(distinct_blocks(space))}
    table = LatencyTable("phone", "int8", 1, "folded-rows", blocks=blocks)
    assert len(interop.save_ofa_latency_table(table, space, tmp_path / "phone")) == len(space.resolutions)
    archs = [space.smallest(), space.largest(), space.sample(np.random.default_rng(0))]
    read = interop.load_ofa_latency_table(tmp_path / "phone")
    assert read.predict(space, archs).tolist() == table.predict(space, archs).tolist()
    with pytest.raises(InputError, match="the older one, has no word for it"):
        interop.save_ofa_latency_table(table, space, tmp_path / "older", older=True)
    with pytest.raises(InputError, match="no stem and head of ofa_micro"):
        interop.save_ofa_latency_table(table, spaces.get("ofa_micro"), tmp_path / "micro")


def test_files_that_are_no_such_table(tmp_path):
    """One line that names the file and the entry."""
    path = tmp_path / "224_lookup_table.yaml"
    whole = shared("data/ofa_official/ofa/note10/224_lookup_table.yaml").read_text(encoding="utf-8")
    entries = yaml.safe_load(whole)
    for text, message in (
        ("a: {count: 1, mean: 1.0, std: 0.1}\n", "entry 'a' is not one of a published latency table"),
        ("- 1\n", "holds list"),
        (
            whole + whole.split("\n")[0] + " {count: 1, mean: 1.0, std: 0.1}\n",
            r"224_lookup_table\.yaml: .* occurs twice",
        ),
        ("a: [", "cannot be read as YAML"),
        ("!!python/object/apply:os.system ['true']\n", "cannot be read as YAML"),
        (whole.replace("mean:", "mode:", 1), "expected count, mean and std"),
        (whole.replace("Logits-", "AvgPool2D-", 1), "224_lookup_table.yaml: entry"),
        ("\n".join(line for line in whole.split("\n") if line)[: len(whole) // 2], r"224_lookup_table\.yaml: "),
        (yaml.safe_dump({key: it for key, it in entries.items() if "Conv_1" not in key}), "no entries of a head"),
        (yaml.safe_dump({key: it for key, it in entries.items() if "expanded" not in key}), "no entries of blocks"),
        (re.sub(r"count: \d+", "count: 2.5", whole, count=1), "expected count, mean and std"),
        (re.sub(r"mean: [\d.e-]+", "mean: true", whole, count=1), "expected count, mean and std"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=message) as caught:
            interop.load_ofa_latency_table(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        interop.load_ofa_latency_table(tmp_path / "missing.yaml")
    path.write_text(whole, encoding="utf-8")
    (tmp_path / "224_again.yaml").write_text(whole, encoding="utf-8")
    with pytest.raises(InputError, match=r"224_lookup_table\.yaml: is of images of 224 pixels, as another file"):
        interop.load_ofa_latency_table(tmp_path)
    (tmp_path / "224_again.yaml").unlink()
    (tmp_path / "192_lookup_table.json").write_text('{"Conv-input:', encoding="utf-8")
    with pytest.raises(InputError, match=r"192_lookup_table\.json: cannot be read"):
        interop.load_ofa_latency_table(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no published latency table"):
        interop.load_ofa_latency_table(tmp_path / "empty")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(0, 4000))
def test_damage_is_an_input_error(tmp_path, noise, place):
    """Whatever is written into the file: read, or refused in one line."""
    path = tmp_path / "fuzzed.yaml"
    whole = shared("data/ofa_official/ofa/note10/160_lookup_table.yaml").read_bytes()[:4000]
    path.write_bytes(whole[:place] + noise + whole[place:])
    try:
        interop.load_ofa_latency_table(path)
    except InputError as error:
        refused = str(error)
    else:
        refused = "fuzzed.yaml was read"
    assert "fuzzed.yaml" in refused
