"""`SearchResult`: what an evolutionary search found, and how it got there."""

import dataclasses
from collections.abc import Mapping

from ofa_tf.search.candidate import Candidate
from ofa_tf.spaces import Arch


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The best architectures inside the limits.

    Args:
        candidates: distinct architectures, the best predicted accuracy first; at most the population.
        history: the best predicted accuracy so far, 0..1, after each initial population and each generation.
        evaluated: how many different architectures were given to the accuracy predictor.

    Example:
        result = evolutionary_search(space, predictor, [Constraint("macs", 200e6)])
        result.arch, result.predicted_accuracy, result.costs["macs"]
    """

    candidates: tuple[Candidate, ...]
    history: tuple[float, ...]
    evaluated: int

    @property
    def arch(self) -> Arch:
        """The best architecture."""
        return self.candidates[0].arch

    @property
    def predicted_accuracy(self) -> float:
        """Its top-1 as predicted, 0..1."""
        return self.candidates[0].predicted_accuracy

    @property
    def costs(self) -> Mapping[str, float]:
        """Its predicted cost for each constraint, by kind."""
        return self.candidates[0].costs

    def top(self, count: int) -> list[Candidate]:
        """The best `count` different architectures, fewer where the search found fewer."""
        return list(self.candidates[:count])
