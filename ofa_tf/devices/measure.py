"""Timing blocks as they run inside a network, and networks as they run alone, on a machine that does other things too.

A block that is run again and again finds its weights in the nearest cache; inside a network, whatever ran before it has
driven them out, if the network is larger than that cache. So blocks are timed in *rows*: as many different blocks as a
network has, each with a fresh input, run one after the other, the row again and again. From each time that of an empty
model in the same row is taken off: the cost of a call, which a network has once and not per block. Where this was tried
(ofa_mbv3 w1.0, float32), sums of such blocks agreed with the networks to 1%, those of blocks timed alone fell 9% short.

With several threads blocks are timed alone, each again and again: in a row every model has threads of its own, which
have to be woken for each run anew. Where this was tried (ofa_mbv3 w0.5, two threads, two cores), sums of blocks alone
agreed with the networks to 1%; blocks in rows took several times as long.

Rows are shuffled anew and networks are taken in turn in every round. What other programs do to a machine only ever adds
time: disturbed rounds are tried again (`Reference`), and a figure is the lower quartile of its rounds' medians.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from ofa_tf.deploy import Runner
from ofa_tf.predictors.latency_table import BlockLatency

Result = TypeVar("Result")

# Alone on the machine the reference's times agree to about 1%.
TOLERANCE = 1.05
# Rounds that are tried for each one that is wanted.
_PATIENCE = 3
_REFERENCE_RUNS = 5
_REFERENCE_QUANTILE = 5
_SHORTEST_SECONDS = 0.002


class Reference:
    """Tells quiet rounds of a measurement from disturbed ones.

    What else runs on a machine slows everything on it for seconds at a time, by tens of percent. A network is timed
    before and after each round; rounds in which it was slower than it can be are tried again. Its time on the quiet
    machine, in milliseconds, is given where it is known from before.
    """

    def __init__(self, runner: Runner, quiet_ms: float | None = None):
        self._runner = runner
        self._known_ms = math.inf if quiet_ms is None else quiet_ms
        self._times_ms: list[float] = []
        self.now_ms()

    @property
    def quiet_ms(self) -> float:
        """The network's time on the quiet machine, in milliseconds, as far as it is known."""
        # The fastest of all may have been lucky.
        return min(self._known_ms, float(np.percentile(self._times_ms, _REFERENCE_QUANTILE)))

    def now_ms(self) -> float:
        """The network's time now, in milliseconds."""
        self._times_ms.append(self._runner.time(_REFERENCE_RUNS, _SHORTEST_SECONDS, warmup_runs=2).median_ms)
        return self._times_ms[-1]

    def is_quiet(self, level_ms: float) -> bool:
        """Whether the network's time shows no disturbance."""
        return level_ms <= TOLERANCE * self.quiet_ms

    def quiet(self, rounds: int, measure: Callable[[], Result]) -> tuple[list[Result], float]:
        """Calls `measure` until it has run undisturbed `rounds` times, at most three times as often.

        Returns:
            What the least disturbed `rounds` calls returned, and the network's time in the worst of them.
        """
        levels_ms: list[float] = []
        results: list[Result] = []
        while sum(map(self.is_quiet, levels_ms)) < rounds and len(levels_ms) < _PATIENCE * rounds:
            before_ms = self.now_ms()
            results.append(measure())
            after_ms = self.now_ms()
            levels_ms.append(max(before_ms, after_ms))
        order = np.argsort(levels_ms, kind="stable")[:rounds]
        return [results[index] for index in order], levels_ms[order[-1]]


ROUNDS = 8
MIN_SECONDS = 0.1
# In one round a row, or a network, is run so often and for so long; with the rounds, at least 50 times, and 0.1 s of
# the row. A block has its share of that: to give the fastest block 0.1 s of its own would take seconds per row.
_PASSES = 7
_ROW_SECONDS = MIN_SECONDS / ROUNDS
_QUIET_QUANTILE = 25


def random_input(runner: Runner, rng: np.random.Generator) -> np.ndarray:
    """An input of the model's type, (1, height, width, channels): any 8-bit values, or normal ones."""
    if np.issubdtype(runner.input_type, np.integer):
        limits = np.iinfo(runner.input_type)
        return rng.integers(limits.min, limits.max, runner.input_shape, runner.input_type, endpoint=True)
    return rng.standard_normal(runner.input_shape, np.float32)


def time_blocks(
    runners: Sequence[Runner],
    empty: Runner,
    reference: Reference,
    *,
    row_length: int,
    filling: Runner,
    rounds: int = ROUNDS,
    rng: np.random.Generator,
) -> tuple[list[BlockLatency], float, float]:
    """Times blocks in rows of about `row_length`, or alone where that is 1; see the module.

    A row that is too short for one ends with `filling`, a network, which drives its blocks out of the caches.

    Returns:
        One latency per runner: `median_ms` is the lower quartile of the rounds' medians, `p95_ms` and `std_ms` are of
        all timed runs, `count` is their number. Then the same of the empty model, the cost of a call that they all
        have, and the reference's time in the worst round that was used, in milliseconds.
    """
    members = [(runner, random_input(runner, rng)) for runner in (*runners, empty, filling)]
    last = len(runners)
    # A row's last one is the empty model.
    ends = [last, last + 1] if last < row_length else [last]

    def one_round() -> list[np.ndarray]:
        times = [None] * len(members)
        if row_length == 1:
            rows = [[index] for index in rng.permutation(last + 1)]
        else:
            parts = np.array_split(rng.permutation(last), max(1, round(last / row_length)))
            rows = [[*part, *ends] for part in parts]
        for row in rows:
            for index, column in zip(row, _row([members[index] for index in row]).T, strict=True):
                times[index] = column
        return times

    kept, level_ms = reference.quiet(rounds, one_round)
    latencies = []
    for index in range(last + 1):
        times = [times[index] for times in kept]
        everything = np.concatenate(times)
        latencies.append(
            BlockLatency(
                median_ms=_quiet([np.median(part) for part in times]),
                p95_ms=float(np.percentile(everything, 95)),
                std_ms=float(everything.std()),
                count=len(everything),
            )
        )
    return latencies[:-1], latencies[-1].median_ms, level_ms


def time_networks(
    runners: Sequence[Runner],
    reference: Reference,
    *,
    rounds: int = ROUNDS,
    rng: np.random.Generator,
) -> list[float]:
    """Times of whole networks, taken in turn, in milliseconds; each round has at least 7 runs of every one."""
    for runner in runners:
        runner.fill(random_input(runner, rng))

    def one_round() -> list[float]:
        medians_ms = [0.0] * len(runners)
        for index in rng.permutation(len(runners)):
            medians_ms[index] = runners[index].time(_PASSES, MIN_SECONDS / ROUNDS, warmup_runs=2).median_ms
        return medians_ms

    kept, _ = reference.quiet(rounds, one_round)
    return [_quiet(medians_ms) for medians_ms in zip(*kept, strict=True)]


def _row(members: Sequence[tuple[Runner, np.ndarray]]) -> np.ndarray:
    """Times of the members, float64 (passes, members), milliseconds; a first pass, which warms up, is left out."""
    passes: list[list[float]] = []
    total_ms = 0.0
    while len(passes) <= _PASSES or total_ms < _ROW_SECONDS * 1e3:
        times = []
        for runner, values in members:
            runner.fill(values)
            times.append(runner.run_ms())
        passes.append(times)
        total_ms += sum(times)
    return np.array(passes[1:])


def _quiet(medians_ms: Sequence[float]) -> float:
    return float(np.percentile(medians_ms, _QUIET_QUANTILE))
