"""`Reference`: a network that is timed again and again, to know when the machine is busy with something else."""

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ofa_tf.deploy import Runner

Result = TypeVar("Result")

# Alone on the machine the reference's times agree to about 1%.
TOLERANCE = 1.05
# Rounds that are tried for each one that is wanted.
_PATIENCE = 3
_RUNS = 5
_QUIET_QUANTILE = 5
_SHORTEST_SECONDS = 0.002


class Reference:
    """Tells quiet rounds of a measurement from disturbed ones.

    What else runs on a machine slows everything on it for seconds at a time, by tens of percent. A network is timed
    before and after each round; rounds in which it was slower than it can be are tried again.

    Args:
        runner: of the network.
        quiet_ms: its time on the quiet machine, in milliseconds, where that is known from before.

    Example:
        results, level_ms = reference.quiet(8, measure_once)
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
        return min(self._known_ms, float(np.percentile(self._times_ms, _QUIET_QUANTILE)))

    def now_ms(self) -> float:
        """The network's time now, in milliseconds."""
        self._times_ms.append(self._runner.time(_RUNS, _SHORTEST_SECONDS, warmup_runs=2).median_ms)
        return self._times_ms[-1]

    def is_quiet(self, level_ms: float) -> bool:
        """Whether the network's time was as good as undisturbed."""
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
