"""How blocks are timed: with one thread in rows of different ones, with several each alone."""

import itertools

import numpy as np

from ofa_tf.devices import measure
from ofa_tf.devices.measure import Reference


class Recorder:
    """A runner that notes its runs in a list that all of them share."""

    input_type, input_shape = "float32", (1, 2, 2, 3)

    def __init__(self, name: str, time_ms: float, runs: list[str]):
        self.name, self.time_ms, self.runs = name, time_ms, runs

    def fill(self, inputs):
        assert inputs.shape == self.input_shape

    def run_ms(self):
        self.runs.append(self.name)
        return self.time_ms


class QuietMachine:
    def quiet(self, rounds, one_round):
        return [one_round() for _ in range(rounds)], 1.0


def runs_in_a_row(row_length):
    """The runs of six blocks, as (name, how many on end), and their latencies."""
    runs: list[str] = []
    blocks = [Recorder(f"block {number}", 1.0 + number, runs) for number in range(6)]
    latencies, empty_ms, _ = measure.time_blocks(
        blocks, Recorder("empty", 0.25, runs), QuietMachine(), row_length=row_length, rounds=2,
        filling=Recorder("a network", 50.0, runs), rng=np.random.default_rng(0),
    )  # fmt: skip
    assert empty_ms == 0.25
    assert [latency.median_ms for latency in latencies] == [1.0 + number for number in range(6)]
    assert min(latency.count for latency in latencies) >= 2 * 7
    return [(name, len(list(group))) for name, group in itertools.groupby(runs)]


def test_blocks_in_rows():
    """Between two runs of a block lie those of others, whose weights drive its own out of the cache."""
    assert max(length for _, length in runs_in_a_row(3)) == 1


def test_rows_that_are_too_short():
    """A network at their end stands for the blocks that are missing; it is in no other row."""
    names = [name for name, _ in runs_in_a_row(8)]
    assert names.count("a network") == names.count("empty") == names.count("block 0")
    assert "a network" not in [name for name, _ in runs_in_a_row(6)]


def test_blocks_alone():
    """All runs of a block in a round are on end: other models' threads would have to be woken in between."""
    stretches = runs_in_a_row(1)
    assert {name for name, _ in stretches[:7]} == {"empty", *(f"block {number}" for number in range(6))}
    assert min(length for _, length in stretches) >= 7


class _Clock:
    """Stands in for the runner: `now_ms` is what the machine's speed makes of 1 ms."""

    def __init__(self, speeds):
        self.speeds = list(speeds)

    def time(self, *_, **__):
        class Timing:
            median_ms = self.speeds.pop(0) if len(self.speeds) > 1 else self.speeds[0]

        return Timing()


def test_disturbed_rounds_are_tried_again():
    """Protects tables from a busy machine: only rounds between two quiet reference times count."""
    reference = Reference(_Clock([1.0, 1.0, 1.5, 1.0, 1.0, 1.3, 1.0, 1.0]))
    rounds = iter("abcd")
    assert reference.quiet(2, lambda: next(rounds)) == (["b", "d"], 1.0)


def test_a_machine_that_stays_busy_gives_the_best_rounds():
    """Protects against waiting for ever: the quietest of three times as many rounds are taken, and it is said."""
    reference = Reference(_Clock([2.0]), quiet_ms=1.0)
    calls = []
    results, level_ms = reference.quiet(2, lambda: calls.append(1) or len(calls))
    assert (results, level_ms, len(calls)) == ([1, 2], 2.0, 6)
    assert not reference.is_quiet(level_ms)
