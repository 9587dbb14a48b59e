"""One target: what is chosen and how, the rounds, and what is said where there are no weights."""

import dataclasses
import itertools

import pytest

from ofa_tf.common import DiskFullError, InputError, OfaError
from ofa_tf.deploy import Runner, read_description
from ofa_tf.spaces import Arch
from ofa_tf.specialize import (
    TargetResult,
    export_subnet,
    finetuned_weights,
    rounds,
    specialize_target,
    stricter_limits,
    with_latency,
)
from ofa_tf.specialize.rounds import ROUNDS, TIGHTER
from tests.micro import micro_space
from tests.specialize.small import MACS_PER_MS, MacsAccuracy, MacsLatency, small_target


@pytest.fixture
def specialize(opened, predictor, tmp_path):
    """Specializes a target; `measure_ms` stands for its device, of a file."""

    def call(target, *, predictor=predictor, measure_ms=None, say=lambda text: None) -> TargetResult:
        options = {"predictor": predictor, "opened": opened, "table": MacsLatency(), "say": say}
        result = specialize_target(target, tmp_path, **options)
        while measure_ms is not None and "latency_ms" in result.unmeasured:
            result = with_latency(result, measure_ms(result.path), say)
            if result.over and result.status != "failed":
                result = specialize_target(target, tmp_path, previous=result, **options)
        return result

    return call


def macs_ms(path) -> float:
    """What a scripted device measures: the file says which network it is."""
    return read_description(path)["macs"] / MACS_PER_MS


def test_each_kind_that_is_over_becomes_stricter():
    """By what it was over, or by a little at least; the others stay."""
    limits = {"latency_ms": 10.0, "model_bytes": 5}
    rounds = [{"measured": {"latency_ms": 20.0, "model_bytes": 5}}, {"measured": {"latency_ms": 10.1, "macs": 99}}]
    assert stricter_limits(limits, []) == limits
    assert stricter_limits(limits, rounds[:1]) == {"latency_ms": pytest.approx(5), "model_bytes": 5}
    assert stricter_limits(limits, rounds) == {"latency_ms": pytest.approx(5 * TIGHTER), "model_bytes": 5}


def test_a_file_inside_its_limits(specialize, tmp_path):
    """Chosen by the validation split among the search's best, checked on it, measured, and all of that in a file."""
    target = small_target(limits={"latency_ms": 1.2, "model_bytes": 110_000}, candidates=3)
    result = specialize(target, measure_ms=macs_ms)
    assert result.status == "verified"
    assert (
        result.measured["latency_ms"]
        == pytest.approx(result.predicted["latency_ms"])
        == pytest.approx(result.measured["macs"] / MACS_PER_MS)
    )
    assert result.measured["latency_ms"] <= 1.2
    assert result.measured["model_bytes"] == result.path.stat().st_size <= 110_000
    assert (tmp_path / "model.md").exists()
    assert Runner(result.path).input_shape == (1, 16, 16, 3)
    assert len(result.evaluated) == 3
    assert result.supernet_top1 == max(found["top1"] for found in result.evaluated) == result.keras_top1
    assert result.images == 50
    result.save(tmp_path / "result.json")
    assert TargetResult.load(tmp_path / "result.json") == result


def test_a_measurement_over_the_limit_makes_the_search_stricter(specialize):
    """A device that takes 1.3 times what its table says gets a network that is so much smaller."""
    told = []
    target = small_target(limits={"latency_ms": 1.2})
    result = specialize(target, measure_ms=lambda path: 1.3 * macs_ms(path), say=told.append)
    assert result.status == "verified"
    assert result.measured["latency_ms"] <= 1.2
    first, second = result.rounds
    assert first["measured"]["latency_ms"] > 1.2
    assert second["limits"]["latency_ms"] < 1.2 / 1.2
    assert any("over the limit of 1.2; searching again" in text for text in told)
    assert result.arch == Arch.from_json(second["arch"])


def test_a_device_that_never_keeps_its_limit(specialize):
    """A bounded number of rounds, then a failure that keeps its last model and says why in one line."""
    result = specialize(small_target(limits={"latency_ms": 9.5}), measure_ms=lambda path: 10.0)
    assert result.status == "failed"
    assert len(result.rounds) == ROUNDS
    assert "measured latency_ms 10, over the limit of 9.5" in result.reason
    assert "\n" not in result.reason
    assert result.arch is not None


def test_what_was_over_is_not_made_again(specialize):
    """A network far below its limit by the table, and over it on the device: stricter limits alone keep it."""
    result = specialize(small_target(limits={"latency_ms": 9.5}), measure_ms=lambda path: 9.6)
    archs = [made["arch"] for made in result.rounds]
    assert len(archs) == ROUNDS
    assert all(one != other for one, other in itertools.combinations(archs, 2))


def test_a_stricter_search_without_an_answer(specialize, opened):
    """It is the device that broke its table's promise, not the user's limit that cannot be kept."""
    space = opened.net.space
    least_ms = space.count_macs(space.arch(d=1, e=2, ks=3, r=16)) / MACS_PER_MS
    result = specialize(small_target(limits={"latency_ms": 1.01 * least_ms}), measure_ms=lambda path: 99.0)
    assert (result.status, len(result.rounds)) == ("failed", 1)
    assert "in round 1, and nothing smaller: " in result.reason


def test_the_smallest_is_tried_before_giving_up(specialize, opened):
    """One bad measurement asks for less than there is; the smallest sub-network keeps the limit all the same."""
    space = opened.net.space
    least_ms = space.count_macs(space.arch(d=1, e=2, ks=3, r=16)) / MACS_PER_MS
    factors = iter([3.0, 1.0])
    result = specialize(
        small_target(limits={"latency_ms": 1.5 * least_ms}), measure_ms=lambda path: next(factors) * macs_ms(path)
    )
    assert (result.status, len(result.rounds)) == ("verified", 2)
    assert result.measured["latency_ms"] <= 1.5 * least_ms


def test_what_was_evaluated_stays_in_the_choice(specialize):
    """Of all that was evaluated and is inside the last limits, none is better than what was chosen."""
    result = specialize(small_target(limits={"latency_ms": 1.2}), measure_ms=lambda path: 1.1 * macs_ms(path))
    assert len(result.rounds) > 1
    made_before = [Arch.from_json(made["arch"]) for made in result.rounds[:-1]]
    limit_macs = result.rounds[-1]["limits"]["latency_ms"] * MACS_PER_MS
    space = micro_space()
    inside = [
        found["top1"]
        for found in result.evaluated
        if Arch.from_json(found["arch"]) not in made_before
        and space.count_macs(Arch.from_json(found["arch"])) <= limit_macs
    ]
    assert result.supernet_top1 >= max(inside) - 1e-9


def test_what_photos_cannot_tell_apart_the_predictor_does(specialize, opened, monkeypatch):
    """All candidates of all rounds are right on all images: the best one by the predictor is taken each time."""
    evaluate = type(opened).evaluate

    def all_right(self, *arguments, **options):
        return dataclasses.replace(evaluate(self, *arguments, **options), top1=1.0)

    monkeypatch.setattr(type(opened), "evaluate", all_right)
    result = specialize(small_target(limits={"latency_ms": 1.2}), measure_ms=lambda path: 1.1 * macs_ms(path))
    assert len(result.rounds) > 1
    made_before = [Arch.from_json(made["arch"]) for made in result.rounds[:-1]]
    limit_macs, space = result.rounds[-1]["limits"]["latency_ms"] * MACS_PER_MS, micro_space()
    left = [arch for found in result.evaluated if (arch := Arch.from_json(found["arch"])) not in made_before]
    inside = [macs for arch in left if (macs := space.count_macs(arch)) <= limit_macs]
    assert space.count_macs(result.arch) == max(inside), "this predictor's accuracies ascend with them"


def test_what_cannot_be_trained_as_int8_is_said_before(specialize):
    """A target's form that training cannot write is told before the search."""
    said = []
    with pytest.raises(InputError, match="fused"):
        specialize(small_target(precision="int8", form="fused-same", quantization_aware_epochs=1), say=said.append)
    assert not said


def test_without_its_device_a_latency_stays_predicted(specialize):
    result = specialize(small_target(device="far", limits={"latency_ms": 1.2}))
    assert result.status == "exported"
    assert "latency_ms" not in result.measured
    assert result.predicted["latency_ms"] <= 1.2


def test_a_microcontrollers_peak_is_measured_by_its_runtime(specialize):
    pytest.importorskip("tflite_micro")
    target = small_target(device="board", limits={"peak_memory_bytes": 30_000}, precision="int8", max_drop=1.0)
    result = specialize(target)
    assert result.status == "verified"
    assert 0 < result.measured["peak_memory_bytes"] <= 30_000


def test_other_weights_end_as_an_architecture(specialize, tmp_path):
    """The predictor's space is not the supernet's: nothing is exported, and predicted figures are all there is."""
    result = specialize(small_target(), predictor=MacsAccuracy(micro_space(num_classes=7)))
    assert (result.status, result.arch.r, list(tmp_path.iterdir())) == ("architecture", 16, [])
    assert result.predicted["macs"] <= 1.2e5
    assert 0 < result.predicted_top1 < 1
    assert result.command == ""  # a space that nobody published


def test_mistakes(specialize, opened, predictor, tmp_path):
    with pytest.raises(InputError, match="macs of at most 10 cannot be kept, the smallest"):
        specialize(small_target(limits={"macs": 10}))
    target = small_target(limits={"latency_ms": 3})
    with pytest.raises(InputError, match="latency_table: there is none"):
        specialize_target(target, tmp_path, predictor=predictor, opened=opened)


def test_a_file_that_does_not_do_what_its_network_does(specialize, monkeypatch):
    """The next candidate is taken; when there is none left, the reason is the last file's."""
    tried = []

    def export(opened, arch, path, **options):
        tried.append(arch)
        if len(tried) == 1 or always:
            raise OfaError("loses too much")
        return export_subnet(opened, arch, path, **options)

    always = False
    monkeypatch.setattr(rounds, "export_subnet", export)
    result = specialize(small_target(candidates=3))
    assert (result.status, len(tried), result.arch) == ("verified", 2, tried[1])
    assert result.supernet_top1 == sorted(found["top1"] for found in result.evaluated)[-2]
    always = True
    with pytest.raises(OfaError, match="loses too much"):
        specialize(small_target(candidates=3))


def test_a_full_disk_is_no_fault_of_a_network(specialize, monkeypatch):
    """A worse network that fits would be there for good."""
    tried = []

    def export(opened, arch, path, **options):
        tried.append(arch)
        raise DiskFullError("no room")

    monkeypatch.setattr(rounds, "export_subnet", export)
    with pytest.raises(DiskFullError):
        specialize(small_target(candidates=3))
    assert len(tried) == 1


def test_finetuning_goes_into_the_file(specialize, opened, tmp_path):
    """The file is of the trained network; what the supernet's own weights reached is kept beside it."""
    arch = opened.net.space.arch(d=1, e=2, ks=3, r=16)
    weights = finetuned_weights(opened, arch, epochs=1, seed=0, checkpoint=tmp_path / "c.npz")
    assert weights.keys() == opened.net.plain_weights(arch).keys()
    result = specialize(small_target(finetune_epochs=4, candidates=1))
    assert result.status == "verified"
    assert result.keras_top1 > result.supernet_top1 + 0.05
    assert not list(tmp_path.glob("*checkpoint*"))
