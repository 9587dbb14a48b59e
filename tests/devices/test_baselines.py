"""Baselines are the networks that their names say, in files like ours."""

import dataclasses

import pytest

from ofa_tf.common import InputError, read_json
from ofa_tf.deploy import Runner
from ofa_tf.devices import baselines


def test_macs_are_the_published_ones():
    """219 M for MobileNetV3-Large: protects the count, and that it is this network. Source: docs/method.md."""
    model = baselines._model("mobilenet_v3_large", 224)
    assert baselines.macs(model) == pytest.approx(219e6, rel=0.02)


def test_a_file_is_made_once_and_takes_raw_images(tmp_path, monkeypatch):
    """In the user's cache folder; another version of the code makes another."""
    monkeypatch.setenv("OFA_TF_CACHE", str(tmp_path))
    made = baselines.baseline_file("mobilenet_v3_small", 32)
    (path,) = (tmp_path / "baselines").iterdir()
    written = path.stat().st_mtime_ns
    runner = Runner(made.path)
    assert (runner.input_shape, runner.input_type) == ((1, 32, 32, 3), "uint8")
    again = baselines.baseline_file("mobilenet_v3_small", 32)
    assert (again, path.stat().st_mtime_ns) == (made, written)
    monkeypatch.setattr(baselines, "made_by", lambda *modules: [f"another {module.__name__}" for module in modules])
    monkeypatch.setattr(baselines, "_converted", lambda model, precision: b"by it")
    assert baselines.baseline_file("mobilenet_v3_small", 32).path.read_bytes() == b"by it"
    # An accuracy at 224 pixels is none at 32.
    assert made.to_dict(1.5)["latency_ms"] == 1.5
    assert made.to_dict(1.5)["published_top1"] is None


def test_a_baseline_is_measured_once_for_a_folder(tmp_path, monkeypatch):
    """For each precision and number of threads; another name is added to what is there."""
    asked = []
    made = baselines.BaselineFile("mobilenet_v2", 32, "int8", tmp_path / "a.tflite", 1, 1, None, "")
    monkeypatch.setattr(baselines, "baseline_file", lambda name, *_: dataclasses.replace(made, name=name))

    def measure(path, threads):
        asked.append((path, threads))
        return 1.5

    path = tmp_path / "baselines.json"
    for names, threads in ((["a"], 1), (["a", "b"], 1), (["b"], 2)):
        options = {"resolution": 32, "precision": "int8", "threads": threads}
        baselines.measure_baselines(path, names, measure=measure, **options)
    assert [threads for _, threads in asked] == [1, 1, 2]
    assert [figures["name"] for figures in read_json(path).values()] == ["a", "b", "b"]


def test_unknown_names_are_answered_with_the_known():
    with pytest.raises(InputError, match="known are mobilenet_v2"):
        baselines.baseline_file("mobilenet_v9", 224)


def test_every_published_accuracy_has_a_source():
    """One that a stranger can look up."""
    for name, baseline in baselines.BASELINES.items():
        assert bool(baseline.published_top1) == bool(baseline.source), name
        assert "docs/" not in baseline.source
