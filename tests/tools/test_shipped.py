"""A supernet that ships works by its name alone: no run, no data set, no training."""

import json

import pytest

from ofa_tf.common import InputError
from ofa_tf.deploy import Runner
from ofa_tf.specialize import open_source
from tools.demonstration import RESOLUTION, SUPERNET, specialize_shipped


def test_it_is_opened_with_its_photos():
    """Calibrated on the 200 photos that ship, the largest sub-network knows half of 200 others, of 1,000 classes."""
    opened = open_source(supernet=SUPERNET)
    arch = opened.net.space.largest()
    evaluation = opened.evaluator.evaluate(arch, split="validation")
    assert (evaluation.images, evaluation.calibrated) == (200, True)
    assert evaluation.top1 >= 0.5


def test_a_mistyped_name_is_answered_with_those_that_ship():
    """Neither a name nor a file: the message lists the names."""
    with pytest.raises(InputError, match=f"'ofa_imagenet' does not ship, there are: {SUPERNET}, .* a file's path"):
        open_source(supernet="ofa_imagenet")


@pytest.mark.slow
def test_the_first_part_of_the_demo(tmp_path):
    """From photos to an int8 file inside its budget on this machine, which still knows the photos."""
    result = specialize_shipped(tmp_path / "shipped")
    assert json.loads((tmp_path / "shipped" / "result.json").read_text()) == result
    assert result["measured_ms"] <= result["budget_ms"]
    assert result["tflite_top1"] >= 0.65
    runner = Runner(result["file"])
    assert (runner.input_shape, runner.input_type) == ((1, RESOLUTION, RESOLUTION, 3), "uint8")
    assert len({photo["is"] for photo in result["photos"]}) > 1
