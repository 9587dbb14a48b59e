"""Files of results: read back the same; a damaged or foreign one is named."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofa_tf.common import InputError
from ofa_tf.spaces import Arch
from ofa_tf.specialize import Target, TargetResult
from tests.records import assert_read_or_refused, damaged

ARCH = Arch((3, 5), (2, 3), (2,), (), 96)
RESULT = TargetResult(
    Target("a", "host", {"latency_ms": 2.0}),
    "verified",
    source={"weights": "1f", "data": "2e"},
    arch=ARCH,
    space="some",
    predicted={"latency_ms": 1.9, "macs": 10.0},
    measured={"latency_ms": 1.95},
    rounds=({"limits": {"latency_ms": 2.0}, "arch": ARCH.to_dict(), "measured": {"latency_ms": 1.95}},),
)


def test_it_is_read_back(tmp_path):
    path = tmp_path / "result.json"
    RESULT.save(path)
    assert TargetResult.load(path) == RESULT
    assert json.loads(path.read_text())["format"] == "ofa_tf target"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 2}, "'ofa_tf target' file of version 2"),
        ({"format": "other"}, "is not an 'ofa_tf target' file"),
        ({"status": "splendid"}, "status is 'splendid', expected one of verified"),
        ({"arch": None}, "status is 'verified', expected an architecture with it"),
        ({"arch": {"r": "big"}}, "architecture: found the fields r"),
        ({"target": None}, "target: found NoneType"),
        ({"colour": 1}, "field colour is unknown"),
        ({"measured": []}, "measured is .*, expected numbers by kind of cost"),
        ({"predicted": {"macs": "x"}}, "predicted is .*, expected numbers by kind of cost"),
        ({"rounds": [{}]}, "a round is {}, expected at least arch"),
        ({"rounds": [{"measured": {}}]}, "a round is .*, expected at least arch"),
        ({"rounds": [{"measured": 3, "arch": ARCH.to_dict()}]}, "measured of a round is 3"),
        ({"evaluated": [{"arch": ARCH.to_dict()}]}, "evaluated is .*, expected an arch and its top1"),
        ({"evaluated": [{"arch": {"r": "big"}, "top1": 1.0}]}, "architecture: found the fields r"),
        ({"tflite_top1": "0.5"}, "tflite_top1 is '0.5', expected a number"),
        ({"images": "4"}, "images is '4', expected a whole number"),
    ],
)
def test_damage_is_named(tmp_path, changes, says):
    path = tmp_path / "result.json"
    RESULT.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(InputError, match=says) as caught:
        TargetResult.load(path)
    assert str(caught.value).startswith(str(path))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path, data):
    path = tmp_path / "result.json"
    RESULT.save(path)
    assert_read_or_refused(TargetResult.load, tmp_path / "damaged.json", data.draw(damaged(path)))


def test_a_truncated_file(tmp_path):
    path = tmp_path / "result.json"
    RESULT.save(path)
    path.write_text(path.read_text()[:200])
    with pytest.raises(InputError, match="not a whole target"):
        TargetResult.load(path)
