"""Search, make, measure, and again with stricter limits where the measurement is over them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ofa_tf.common import InputError, OfaError

# A model that is measured over a limit makes the next search stricter by so much at least; so many searches.
ROUNDS, TIGHTER = 5, 0.96

Model = TypeVar("Model")


class OverLimitsError(OfaError):
    """No model was measured inside its limits.

    Args:
        message: one line.
        model: the last one that was made.
    """

    def __init__(self, message: str, model: Any = None):
        super().__init__(message)
        self.model = model


def within_limits(
    limits: Mapping[str, float],
    attempt: Callable[[dict[str, float]], tuple[Model, Mapping[str, float]]],
    *,
    rounds: int = ROUNDS,
    say: Callable[[str], None] = lambda text: None,
) -> Model:
    """Searches below limits until what was made is measured inside them.

    Args:
        limits: what a model may take, by kind ("latency_ms", "model_bytes"), in the kind's unit.
        attempt: given the limits of a search, makes what it found; returns that and its measured costs, by kind. What
            was not measured is left out, and not judged.
        rounds: how many searches.
        say: told of each model over its limits.

    Raises:
        OverLimitsError: none was inside after all rounds, or a stricter search has no answer.

    Example:
        within_limits({"latency_ms": 20}, lambda limits: make_and_measure(search(limits)))
    """
    searched, model, over = dict(limits), None, {}
    for number in range(1, rounds + 1):
        try:
            model, measured = attempt(dict(searched))
        except InputError as error:
            if number == 1:
                raise
            # The first search had an answer: it is the machine that does not keep what its table promises.
            raise OverLimitsError(
                f"{_words(over, limits)} in round {number - 1}, and nothing smaller: {error}", model
            ) from error
        over = {kind: value for kind, value in measured.items() if kind in limits and value > limits[kind]}
        if not over:
            return model
        say(f"{_words(over, limits)}" + ("; searching again" if number < rounds else ""))
        for kind, value in over.items():
            searched[kind] *= min(TIGHTER, limits[kind] / value)
    raise OverLimitsError(
        f"{_words(over, limits)} in round {rounds} of {rounds}; where that is a latency, the device is busier than "
        f"when its table was built: give the same command again",
        model,
    )


def _words(over: Mapping[str, float], limits: Mapping[str, float]) -> str:
    return ", ".join(f"measured {kind} {value:.6g}, over the limit of {limits[kind]:g}" for kind, value in over.items())
