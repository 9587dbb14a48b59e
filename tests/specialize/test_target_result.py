"""Files of results: read back the same; a damaged or foreign one is named."""

import json

import pytest

from ofa_tf.common import InputError
from ofa_tf.spaces import Arch
from ofa_tf.specialize import Target, TargetResult

RESULT = TargetResult(
    Target("a", "host", {"latency_ms": 2.0}),
    "verified",
    source={"weights": "1f", "data": "2e"},
    arch=Arch((3, 5), (2, 3), (2,), (), 96),
    space="some",
    predicted={"latency_ms": 1.9, "macs": 10.0},
    measured={"latency_ms": 1.95},
    rounds=({"limits": {"latency_ms": 2.0}},),
)


def test_it_is_read_back(tmp_path):
    path = tmp_path / "result.json"
    RESULT.save(path)
    assert TargetResult.load(path) == RESULT
    assert json.loads(path.read_text())["format"] == "ofa_tf target"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 2}, "is not a version 1 'ofa_tf target' file"),
        ({"format": "other"}, "is not a version 1 'ofa_tf target' file"),
        ({"status": "splendid"}, "status is 'splendid', expected one of verified"),
        ({"arch": None}, "status is 'verified', expected an architecture with it"),
        ({"arch": {"r": "big"}}, "architecture: found the fields r"),
        ({"target": None}, "target: found NoneType"),
        ({"colour": 1}, "field colour is unknown"),
    ],
)
def test_damage_is_named(tmp_path, changes, says):
    path = tmp_path / "result.json"
    RESULT.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(InputError, match=says) as caught:
        TargetResult.load(path)
    assert str(caught.value).startswith(str(path))


def test_a_truncated_file(tmp_path):
    path = tmp_path / "result.json"
    RESULT.save(path)
    path.write_text(path.read_text()[:200])
    with pytest.raises(InputError, match="not a whole result of a target"):
        TargetResult.load(path)
