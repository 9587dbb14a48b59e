"""The loop over measurements: stricter searches, a bounded number of them, and one line where it is in vain."""

import pytest

from ofa_tf.common import InputError
from ofa_tf.specialize import OverLimitsError, within_limits
from ofa_tf.specialize.rounds import ROUNDS, TIGHTER


def test_each_kind_that_is_over_becomes_stricter():
    """By what it was over, or by a little at least; the others stay."""
    asked, measured = [], [{"latency_ms": 20.0, "model_bytes": 5}, {"latency_ms": 10.1, "macs": 99}, {"latency_ms": 10}]

    def attempt(limits):
        asked.append(limits)
        return len(asked), measured[len(asked) - 1]

    told = []
    assert within_limits({"latency_ms": 10.0, "model_bytes": 5}, attempt, say=told.append) == 3
    assert [limits["latency_ms"] for limits in asked] == pytest.approx([10, 5, 5 * TIGHTER])
    assert {limits["model_bytes"] for limits in asked} == {5}
    assert told == [
        "measured latency_ms 20, over the limit of 10; searching again",
        "measured latency_ms 10.1, over the limit of 10; searching again",
    ]


def test_it_ends():
    asked = []
    with pytest.raises(OverLimitsError, match=rf"latency_ms 12, over the limit of 10 in round {ROUNDS} of") as caught:
        within_limits({"latency_ms": 10}, lambda limits: (asked.append(limits) or len(asked), {"latency_ms": 12}))
    assert len(asked) == ROUNDS == caught.value.model


def test_a_stricter_search_without_an_answer():
    """In the first round it is the user's limit that cannot be kept; later it is the device that broke its promise."""

    def attempt(limits):
        if limits["macs"] < answerable:
            raise InputError("nothing is that small")
        return "model", {"macs": 11}

    answerable = 20
    with pytest.raises(InputError, match=r"^nothing is that small"):
        within_limits({"macs": 10}, attempt)
    answerable = 10
    with pytest.raises(OverLimitsError, match="in round 1, and nothing smaller: nothing is that small") as caught:
        within_limits({"macs": 10}, attempt)
    assert caught.value.model == "model"
