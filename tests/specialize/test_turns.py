"""Who measures on this machine does so alone; devices do not wait for each other."""

import concurrent.futures
import contextlib
import threading
import time

from ofa_tf.specialize.turns import Turns


def test_nobody_works_while_this_machine_is_measured():
    turns, working, measuring, seen = Turns(), set(), set(), []

    def worker(name):
        for _ in range(20):
            with turns.working():
                working.add(name)
                time.sleep(0.001)
                working.remove(name)
                turns.pause()
                with turns.measuring("host"):
                    measuring.add(name)
                    seen.append((len(measuring), len(working)))
                    time.sleep(0.001)
                    measuring.remove(name)

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(worker, name) for name in range(4)]:
            future.result(timeout=60)
    assert seen == [(1, 0)] * 80


def test_a_phone_is_measured_while_others_work():
    """And another phone too, but not the same one twice at once."""
    turns, both = Turns(), threading.Barrier(3)
    at_once = []

    def measure(device):
        with turns.working(), turns.measuring(device):
            at_once.append(device)
            both.wait(timeout=30)

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(measure, device) for device in ("phone", "other")]
        with turns.working():
            both.wait(timeout=30)
        for future in futures:
            future.result(timeout=30)
    assert sorted(at_once) == ["other", "phone"]


def test_an_error_gives_everything_back():
    """Whoever comes after has its turn at once, on this machine and beside others."""
    turns, done = Turns(), []

    def fail():
        with contextlib.suppress(ValueError), turns.working(), turns.measuring("host"):
            raise ValueError("a bug")

    def succeed():
        with turns.working(), turns.measuring("host"):
            done.append("measured")
        with turns.working():
            done.append("worked")

    # A thread that waits for ever is left behind, and does not keep the tests from ending.
    for act in (fail, fail, succeed):
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert done == ["measured", "worked"]
