"""A run's log becomes one axis of epochs, restarts and stages run alone included."""

import pytest

from ofa_tf.common import InputError
from ofa_tf.report import TrainingCurve
from tests.report.examples import metrics


def test_stages_follow_each_other():
    curve = TrainingCurve.from_metrics(metrics())
    assert curve.stages == (("full", 0, 3), ("kernel", 3, 5))
    assert [[epoch for epoch, _ in series] for series in curve.loss] == [[1, 2, 3], [4, 5]]
    assert curve.top1[0] == ((1, 0.5), (2, 0.75), (3, 1 - 0.5 / 3))
    assert curve.evaluations == {"largest": ((3, 0.99), (5, 0.98)), "smallest": ((5, 0.94),)}
    assert curve.images == "400 images of the split “holdout”"


def test_after_a_restart_the_last_line_of_an_epoch_counts():
    lines = metrics()
    again = TrainingCurve.from_metrics([*lines, {**lines[1], "loss": 0.25}, {**lines[-1], "top1": 0.5}])
    assert again.loss[0][1] == (2, 0.25)
    assert again.evaluations["smallest"] == ((5, 0.5),)
    assert again.stages == TrainingCurve.from_metrics(lines).stages


def test_a_stage_run_alone_begins_at_zero():
    curve = TrainingCurve.from_metrics([line for line in metrics() if line["stage"] == "kernel"])
    assert curve.stages == (("kernel", 0, 2),)


def test_the_order_of_stages_is_that_of_training_even_if_only_evaluations_remain():
    curve = TrainingCurve.from_metrics([line for line in metrics() if "subnet" in line])
    assert curve.stages == (("full", 0, 3), ("kernel", 3, 5))
    assert curve.loss == ((), ())


@pytest.mark.parametrize(
    "change",
    [{"stage": None}, {"epoch": None}, {"epoch": "three"}, {"top1": None}, {"loss": None}, {"split": "holdout"}],
    ids=str,
)
def test_a_damaged_line_is_named(change):
    line = {key: value for key, value in {**metrics()[0], **change}.items() if value is not None}
    with pytest.raises(InputError) as error:
        TrainingCurve.from_metrics([metrics()[1], line])
    assert "entry 2" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_object_is_named():
    with pytest.raises(InputError, match="entry 1"):
        TrainingCurve.from_metrics([["full", 1]])
