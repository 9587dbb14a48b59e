"""Processes of our own code: what they answer, and that their end, whatever it is, is one line here."""

import contextlib
import fcntl
import os
import time

import pytest

from ofa_tf.common import InputError
from ofa_tf.common.child import Child, ChildError


def child(function, *arguments, **options):
    return Child("doubling", f"tests.common.children:{function}", *arguments, **options)


def test_batches_are_answered_in_order_and_chatter_is_kept():
    with child("double", "it's") as started:
        answers = list(started.answers((bytes([number]),) for number in range(5)))
        assert answers == [{"name": "it's", "value": 2 * number} for number in range(5)]
        assert started.said().splitlines() == ["chatter", "native chatter"] * 5
        assert started.said() == ""


def test_it_has_its_variables_and_ends_with_the_block():
    with child("double", "x", variables={"OFA_TF_CHILD": "1"}) as started:
        [answer] = started.answers([(b"\x01",)])
    assert answer["value"] == 2
    assert "OFA_TF_CHILD" not in os.environ
    with pytest.raises((OSError, ValueError)):
        started.send(b"\x01")


@pytest.mark.parametrize(
    ("function", "ending", "said"),
    [("die", "exit code 1", "it said no memory at all"), ("crash", "SIGSEGV", "it said nothing")],
)
def test_one_that_dies_is_told_in_one_line(function, ending, said):
    """How it ended, and what it said before; also where it is found out while something is sent."""
    with child(function) as started, pytest.raises(ChildError) as caught:
        started.answer()
    assert str(caught.value) == f"doubling: its process ended, {ending}: {said}"
    assert (caught.value.ending, caught.value.timed_out) == (ending, False)
    with child(function) as started, pytest.raises(ChildError, match=ending):
        started.send(bytes(1 << 22))


def test_what_it_refuses_is_said_as_it_says_it():
    """An error for the user comes through as one, of the same kind, even where the process is gone by then."""
    with child("refuse") as started, pytest.raises(InputError, match=r"^x\.npz: no room$"):
        for _ in started.answers((bytes(1 << 20),) for _ in range(5)):
            pass


def test_one_that_hangs_is_ended():
    start = time.monotonic()
    with child("hang", timeout_seconds=1.0) as started, pytest.raises(ChildError, match="not done in 1 s") as caught:
        started.answer()
    assert caught.value.timed_out
    assert time.monotonic() - start < 20


def ended(path) -> bool:
    """Whether the fork that locked a file is gone; a moment may pass."""
    deadline = time.monotonic() + 20
    with open(path) as file:
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(0.02)
    return False


def fork_and_stop(path, timeout_seconds):
    """Stops a child by Ctrl-C, or by its time, while its fork holds the lock."""
    with child("fork", str(path), timeout_seconds=timeout_seconds) as started:
        started.answer()
        if timeout_seconds is None:
            raise KeyboardInterrupt
        started.answer()


@pytest.mark.parametrize(("timeout_seconds", "error"), [(None, KeyboardInterrupt), (2.0, ChildError)])
def test_what_it_forked_ends_with_it(tmp_path, timeout_seconds, error):
    """Protects the machine from a file that is timed on after Ctrl-C, or after the time that it had."""
    path = tmp_path / "lock"
    path.touch()
    with pytest.raises(error):
        fork_and_stop(path, timeout_seconds)
    assert ended(path)
