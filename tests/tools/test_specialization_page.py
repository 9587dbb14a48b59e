"""What the page of tools.specialize is made of."""

import json
import types

import pytest

from ofa_tf.report.design_cost import CO2_LB_PER_HOUR
from ofa_tf.specialize import Specialization, TargetResult
from tests.specialize.small import MacsAccuracy, open_small, small_target
from tools.specialization_page import design_cost, write_page


def specialization(folder, results, opened) -> Specialization:
    """What a call of `specialize` gives, of targets without a table."""
    predictor = MacsAccuracy(opened.net.space)
    devices = types.SimpleNamespace(table=lambda target: None)
    return Specialization(folder, results, opened, lambda target: predictor, devices)


def test_design_cost_takes_the_runs_own_times_and_factor(tmp_path):
    """An hour of training, half an hour for a target that has a file; a failed one is no specialization."""
    timing = [{"stage": "full", "epoch": 0, "seconds": 3600, "images_per_second": 10}]
    run = types.SimpleNamespace(path=tmp_path, read_log=lambda name: timing)
    arch = open_small().net.space.smallest()
    results = [
        TargetResult(small_target(), "exported", arch=arch, tflite_top1=0.5, seconds=1800),
        TargetResult(small_target(), "failed", reason="no", seconds=7200),
    ]
    cost = design_cost(run, results)
    assert (cost.training_hours, cost.specialization_hours) == (1, 0.5)
    assert cost.co2_lb_per_hour == CO2_LB_PER_HOUR
    own = design_cost(run, results, 0.01)
    assert own.co2_lb(own.once_for_all(2)) == pytest.approx(0.02)
    assert own.co2_source == "given with --co2_lb_per_hour"
    assert design_cost(None, results) is None


def test_a_device_says_how_many_images_its_targets_are_of(tmp_path):
    """All of them: a range where they differ."""
    opened = open_small()
    arch = opened.net.space.smallest()
    for counts, said in (
        ((), "as the accuracy predictor says"),
        ((1000, 1000), "1,000 hold-out images"),
        ((1000, 50), "50 to 1,000 hold-out images"),
    ):
        results = [TargetResult(small_target("none"), "failed", reason="no")]
        costs = {"macs": 1e5, "params": 1e3}
        results += [
            TargetResult(small_target(f"target {number}"), "exported", arch=arch, predicted=costs, images=count)
            for number, count in enumerate(counts)
        ]
        write_page(specialization(tmp_path, results, opened))
        [device] = json.loads((tmp_path / "report.json").read_text())["devices"]
        assert device["split"] == said


def test_a_target_with_a_wrong_image_side_does_not_cost_the_front(tmp_path):
    """The front of its device is that of the other targets."""
    opened = open_small()
    results = [
        TargetResult(small_target(f"{side} pixels", resolutions=(side,)), "failed", reason="no") for side in (16, 17)
    ]
    write_page(specialization(tmp_path, results, opened))
    [device] = json.loads((tmp_path / "report.json").read_text())["devices"]
    assert device["searched"]
    assert {point["arch"]["r"] for point in device["searched"]} == {16}
