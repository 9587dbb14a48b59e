"""Random architectures inside limits: the baseline of every search."""

import itertools
import numbers
from collections.abc import Sequence

import numpy as np

from ofa_tf.common.config import check_whole
from ofa_tf.search.budget import Budget, Candidate, candidates
from ofa_tf.search.constraint import Constraint
from ofa_tf.search.evolution import AccuracyScorer, search_resolutions
from ofa_tf.spaces import Space

_BATCH = 4096
# Uniform draws before a budget counts as too tight for them.
_UNIFORM_BATCHES = 50
_SHRUNK_BATCHES = 10


def random_search(
    space: Space,
    constraints: Sequence[Constraint] | Constraint,
    count: int = 20,
    *,
    accuracy_predictor: AccuracyScorer | None = None,
    seed: int = 0,
    resolutions: Sequence[int] | None = None,
) -> list[Candidate]:
    """Draws different architectures inside the limits.

    Every choice is drawn uniformly, and what is outside is dropped. Where that takes too long (the limits admit less
    than about one architecture in 200,000), the rest is drawn between random architectures and the smallest.

    Args:
        space: the space.
        constraints: the limits.
        count: how many architectures.
        accuracy_predictor: fills in `predicted_top1` and sorts by it, best first, where it is given.
        seed: equal seeds give equal results.
        resolutions: image sides in pixels to draw from; by default as in `evolutionary_search`.

    Returns:
        `count` candidates; fewer only where the limits admit hardly any.

    Raises:
        InputError: no architecture keeps the limits.

    Example:
        best_of_20 = random_search(space, limits, 20, accuracy_predictor=predictor)[0]
    """
    check_whole("random search: count", count, 1, kind=numbers.Integral)
    if accuracy_predictor is not None:
        resolutions = search_resolutions(space, accuracy_predictor, resolutions)
    budget = Budget.compile(space, constraints, resolutions)
    rng = np.random.default_rng(seed)
    rows = judged = np.zeros((0, len(space.genes) + 1), np.int32)
    for batch in range(_UNIFORM_BATCHES + _SHRUNK_BATCHES):
        made = budget.random(rng, _BATCH)
        if batch >= _UNIFORM_BATCHES:
            made = budget.shrunk(rng, made, rng.random(len(made)))
        joined = np.concatenate([judged, made[budget.inside(made)]])
        _, first = np.unique(joined, axis=0, return_index=True)
        drawn = joined[np.sort(first)]
        kept = (row for row in drawn[len(judged) :] if budget.is_exact or budget.keeps(row))
        rows = np.array([*rows, *itertools.islice(kept, count - len(rows))], np.int32).reshape(-1, rows.shape[1])
        judged = drawn
        if len(rows) == count:
            break
    if not len(rows):
        rows = budget.anchor[None]
    if accuracy_predictor is None:
        return candidates(budget, rows, [None] * len(rows))
    accuracies = np.asarray(accuracy_predictor.predict_rows(space, rows))
    order = np.argsort(-accuracies, kind="stable")
    return candidates(budget, rows[order], accuracies[order].tolist())
