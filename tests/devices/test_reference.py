from ofa_tf.devices.measure import Reference


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
