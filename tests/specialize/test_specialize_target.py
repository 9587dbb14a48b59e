"""One target: what is chosen and how, the loop over measurements, and what is said where there are no weights."""

import sys

import pytest

from ofa_tf.common import InputError, OfaError
from ofa_tf.deploy import Runner
from ofa_tf.spaces import Arch
from ofa_tf.specialize import TargetResult, export_subnet, finetuned_weights, specialize_target
from ofa_tf.specialize.rounds import ROUNDS
from tests.specialize.small_workshop import MACS_PER_MS, MacsLatency, small_target


def specialize(workshop, target, folder, **options):
    return specialize_target(
        target, folder, predictor=workshop.predictor(target), opened=workshop.opened, table=MacsLatency(), **options
    )


def macs_of(path) -> float:
    """What a scripted device measures: the file says which network it is."""
    from ofa_tf.deploy import read_description

    return read_description(path)["macs"]


def test_a_file_inside_its_limits(workshop, tmp_path):
    """Chosen by the hold-out among the search's best, checked on it, measured, and all of that in a file."""
    target = small_target(limits={"latency_ms": 1.2, "model_bytes": 110_000}, candidates=3)
    result = specialize(workshop, target, tmp_path, measure=lambda path: macs_of(path) / MACS_PER_MS)
    assert result.status == "verified"
    assert (
        result.measured["latency_ms"]
        == pytest.approx(result.predicted["latency_ms"])
        == pytest.approx(result.measured["macs"] / MACS_PER_MS)
    )
    assert result.measured["latency_ms"] <= 1.2
    assert result.measured["model_bytes"] == (tmp_path / "model.tflite").stat().st_size <= 110_000
    assert (tmp_path / "model.md").exists()
    assert Runner(tmp_path / "model.tflite").input_shape == (1, 16, 16, 3)
    assert len(result.evaluated) == 3
    assert result.supernet_top1 == max(found["top1"] for found in result.evaluated) == result.keras_top1
    assert result.images == 50
    result.save(tmp_path / "result.json")
    assert TargetResult.load(tmp_path / "result.json") == result


def test_a_measurement_over_the_limit_makes_the_search_stricter(workshop, tmp_path):
    """A device that takes 1.3 times what its table says gets a network that is so much smaller."""
    target = small_target(limits={"latency_ms": 1.2})
    told = []
    result = specialize(
        workshop, target, tmp_path, measure=lambda path: 1.3 * macs_of(path) / MACS_PER_MS, say=told.append
    )
    assert result.status == "verified"
    assert result.measured["latency_ms"] <= 1.2
    assert len(result.rounds) == 2
    first, second = result.rounds
    assert first["measured"]["latency_ms"] > 1.2
    assert second["limits"]["latency_ms"] < 1.2 / 1.2
    assert any("over the limit of 1.2; searching again" in text for text in told)
    assert result.arch == Arch.from_json(second["arch"])


def test_a_phone_that_cannot_measure_is_not_a_search_without_an_answer(workshop, tmp_path):
    """Whatever it says in a later round is told as it is."""
    calls = []

    def measure(path):
        calls.append(path)
        if len(calls) == 2:
            raise InputError("phone X: no room")
        return 10.0

    with pytest.raises(OfaError, match=r"^phone X: no room$"):
        specialize(workshop, small_target(limits={"latency_ms": 9.5}), tmp_path, measure=measure)


def test_a_device_that_never_keeps_its_limit(workshop, tmp_path):
    """A bounded number of rounds, then a failure that keeps its last model and says why in one line."""
    times = iter([10.0] * 99)
    result = specialize(workshop, small_target(limits={"latency_ms": 9.5}), tmp_path, measure=lambda path: next(times))
    assert result.status == "failed"
    assert len(result.rounds) == ROUNDS
    assert "measured latency_ms 10, over the limit of 9.5" in result.reason
    assert "\n" not in result.reason
    assert result.arch is not None


def test_without_its_device_a_latency_stays_predicted(workshop, tmp_path):
    result = specialize(workshop, small_target(device="far", limits={"latency_ms": 1.2}), tmp_path)
    assert result.status == "exported"
    assert "latency_ms" not in result.measured
    assert result.predicted["latency_ms"] <= 1.2


def test_a_microcontrollers_peak_is_measured_by_its_runtime(workshop, tmp_path):
    pytest.importorskip("tflite_micro")
    target = small_target(device="board", limits={"peak_memory_bytes": 30_000}, precision="int8", max_drop=1.0)
    result = specialize(workshop, target, tmp_path)
    assert result.status == "verified"
    assert 0 < result.measured["peak_memory_bytes"] <= 30_000


def test_other_weights_end_as_an_architecture(workshop, tmp_path):
    """The predictor's space is not the supernet's: nothing is exported, and predicted figures are all there is."""
    result = specialize(workshop, small_target(predictor="other"), tmp_path)
    assert (result.status, result.arch.r, list(tmp_path.iterdir())) == ("architecture", 16, [])
    assert result.predicted["macs"] <= 1.2e5
    assert 0 < result.predicted_top1 < 1
    assert result.command == ""  # a space that nobody published


def test_mistakes(workshop, tmp_path):
    with pytest.raises(InputError, match="macs of at most 10 cannot be kept, the smallest"):
        specialize(workshop, small_target(limits={"macs": 10}), tmp_path)
    target = small_target(limits={"latency_ms": 3})
    with pytest.raises(InputError, match="latency_table: there is none"):
        specialize_target(target, tmp_path, predictor=workshop.predictor(target), opened=workshop.opened)
    with pytest.raises(OfaError, match="phone gone"):
        specialize(workshop, target, tmp_path, measure=lambda path: (_ for _ in ()).throw(OfaError("phone gone")))


def test_a_file_that_does_not_do_what_its_network_does(workshop, tmp_path, monkeypatch):
    """The next candidate is taken; when there is none left, the reason is the last file's."""
    tried = []

    def export(opened, arch, path, **options):
        tried.append(arch)
        if len(tried) == 1 or always:
            raise OfaError("loses too much")
        return export_subnet(opened, arch, path, **options)

    always = False
    # The package's attribute of that name is the function.
    monkeypatch.setattr(sys.modules["ofa_tf.specialize.specialize_target"], "export_subnet", export)
    result = specialize(workshop, small_target(candidates=3), tmp_path)
    assert (result.status, len(tried), result.arch) == ("verified", 2, tried[1])
    assert result.supernet_top1 == sorted(found["top1"] for found in result.evaluated)[-2]
    always = True
    with pytest.raises(OfaError, match="loses too much"):
        specialize(workshop, small_target(candidates=3), tmp_path)


def test_finetuning_goes_into_the_file(workshop, tmp_path):
    """The file is of the trained network; what the supernet's own weights reached is kept beside it."""
    arch = workshop.opened.net.space.arch(d=1, e=2, ks=3, r=16)
    weights = finetuned_weights(workshop.opened, arch, epochs=1, seed=0, checkpoint=tmp_path / "c.npz")
    assert weights.keys() == workshop.opened.net.plain_weights(arch).keys()
    result = specialize(workshop, small_target(finetune_epochs=4, candidates=1), tmp_path)
    assert result.status == "verified"
    assert result.keras_top1 > result.supernet_top1 + 0.05
    assert not list(tmp_path.glob("*checkpoint*"))
