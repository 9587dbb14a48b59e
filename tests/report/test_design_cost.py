"""Device hours come from the log and nowhere else, and add up; published figures are those of the publications."""

import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_tf.common import InputError, write_text
from ofa_tf.report import DesignCost
from ofa_tf.report.design_cost import (
    CO2_LB_PER_HOUR,
    PUBLISHED_COSTS,
    cost_of_run,
    design_cost_plot,
    published_cost_plot,
)
from tests.report.examples import failed, result, timing

HOURS = st.floats(0, 1e6)


def test_hours_are_those_of_the_log():
    cost = DesignCost.from_timing(timing(replicas=2), [36.0, 108.0], hardware="a machine", candidates=10)
    assert cost.stage_hours == {"full": pytest.approx(8), "kernel": pytest.approx(2)}
    assert cost.training_hours == pytest.approx(10)
    assert cost.specialization_hours == pytest.approx(72 / 3600)
    assert cost.once_for_all(40) == pytest.approx(10 + 40 * 0.02)
    assert cost.separate_training(40) == pytest.approx(40 * 8)
    # Ten networks, five epochs each, two device hours an epoch; then the training.
    assert cost.separate(1) == pytest.approx(10 * 5 * 2 + 8)
    assert cost.co2_lb(100) == pytest.approx(28.4)


def test_lines_without_replicas_are_of_one():
    """Those of older versions."""
    alone = DesignCost.from_timing(timing(), [1.0], hardware="a machine")
    assert alone == DesignCost.from_timing(timing(replicas=1), [1.0], hardware="a machine")
    assert alone.training_hours == pytest.approx(5)


def test_an_interrupted_epoch_counts_whole_and_a_repeated_one_once():
    lines = timing()
    whole = DesignCost.from_timing(lines, [1.0], hardware="a machine")
    # After a restart in its middle, the log has the second half of the third epoch.
    lines[2] = {**lines[2], "seconds": 1800.0}
    assert DesignCost.from_timing(lines, [1.0], hardware="a machine") == whole
    assert DesignCost.from_timing([*lines, lines[-1]], [1.0], hardware="a machine") == whole


def test_without_a_stage_that_trains_alone_nothing_is_said_of_separate_trainings():
    lines = [{**line, "stage": "sandwich"} for line in timing()]
    cost = DesignCost.from_timing(lines, [1.0], hardware="a machine", candidates=10)
    assert cost.separate(1) is cost.separate_training(1) is cost.break_even() is None
    assert "N trainings" not in design_cost_plot(cost)


@given(HOURS, st.floats(0, 100), st.floats(0, 1e4), st.floats(0, 1e4))
def test_the_break_even_is_where_the_lines_cross(training, each, alone, search):
    cost = DesignCost("a machine", {"full": training}, each, alone, search)
    for with_search, other in ((True, cost.separate), (False, cost.separate_training)):
        targets = cost.break_even(search=with_search)
        if targets is None:
            assert other(1) <= each or training / (other(1) - each) > 1e300
        elif targets < 10**6:
            assert targets >= 1
            assert cost.once_for_all(targets) <= other(targets) * (1 + 1e-9)
            assert cost.once_for_all(targets - 1) >= other(targets - 1) * (1 - 1e-9)


def test_a_run_and_its_targets_give_the_times_and_the_caller_the_factor(tmp_path):
    """A target without a file is no specialization."""
    machine, run = {"cpu": "a processor", "cores": "2"}, tmp_path
    results = [result(seconds=1800.0), failed()]
    assert cost_of_run(run, results, machine) is cost_of_run(None, results, machine) is None
    write_text(run / "timing.jsonl", "".join(json.dumps(line) + "\n" for line in timing()))
    assert cost_of_run(run, [failed()], machine) is None
    cost = cost_of_run(run, results, machine)
    assert (cost.training_hours, cost.specialization_hours) == (pytest.approx(5), 0.5)
    assert (cost.hardware, cost.co2_lb_per_hour) == ("2 cores of a processor", CO2_LB_PER_HOUR)
    own = cost_of_run(run, results, machine, 0.01)
    assert own.co2_lb(own.once_for_all(2)) == pytest.approx(0.06)
    assert own.co2_source == "given with --co2_lb_per_hour"


@pytest.mark.parametrize(
    "change",
    [{"seconds": None}, {"seconds": -1}, {"images_per_second": 0}, {"seconds": "long"}, {"replicas": 0}],
    ids=str,
)
def test_a_damaged_line_is_named(change):
    lines = timing()
    lines[1] = {key: value for key, value in {**lines[1], **change}.items() if value is not None}
    with pytest.raises(InputError, match=r"timing\.jsonl: entry 2 "):
        DesignCost.from_timing(lines, [1.0], hardware="a machine")


def test_unusable_hours_are_refused():
    with pytest.raises(InputError, match=r"no recorded time of the training"):
        DesignCost.from_timing([], [1.0], hardware="a machine")
    with pytest.raises(InputError, match=r"no recorded time of any specialization"):
        DesignCost.from_timing(timing(), [], hardware="a machine")
    with pytest.raises(InputError, match="stage_hours of full is nan"):
        DesignCost("a machine", {"full": float("nan")}, 1)
    with pytest.raises(InputError, match="co2_lb_per_hour is -1"):
        DesignCost("a machine", {"full": 1}, 1, co2_lb_per_hour=-1)


def test_published_ratios_follow_from_the_published_hours():
    """The abstract's 14, 16 and 1,142 times for 40 targets, by its 1,400 hours; the talk's 1,335 for CO2, by 1,200."""
    hours = {method.name: method.gpu_hours(40) for method in PUBLISHED_COSTS}
    ratios = [int(hours[name] / 1400) for name in ("ProxylessNAS", "FBNet-C", "MnasNet")]
    assert ratios == [14, 16, 1142]
    assert hours["MnasNet"] / hours["Once-for-All"] == pytest.approx(1335, rel=2e-3)
    assert hours["Once-for-All, nets fine-tuned for 25 h"] == 1200 + 25 * 40
    (mnasnet,) = (method for method in PUBLISHED_COSTS if method.name == "MnasNet")
    # One search of its kind: 11.4 thousand pounds.
    assert mnasnet.gpu_hours(1) * 0.284 == pytest.approx(11.4e3, rel=5e-3)


def test_the_plots_go_to_forty_targets_and_name_their_lines():
    cost = DesignCost.from_timing(timing(), [60.0], hardware="a machine", candidates=10)
    for svg, names in (
        (design_cost_plot(cost), ["once-for-all", "N trainings", "N searches and trainings"]),
        (published_cost_plot(), [method.name for method in PUBLISHED_COSTS]),
    ):
        texts = [
            "".join(it.itertext()).strip()
            for it in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        ]
        assert {*names, "1", "40", "targets, N"} <= set(texts)
        # A formula that nothing sets would be shown as its source.
        assert not any("$" in text for text in texts)
