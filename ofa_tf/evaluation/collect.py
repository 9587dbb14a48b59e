"""Measuring the accuracy of many sub-networks: the data of accuracy predictors."""

import sys
from collections.abc import Callable, Iterator

import numpy as np
import tqdm

from ofa_tf.evaluation.evaluation import Evaluation
from ofa_tf.evaluation.evaluator import Evaluator
from ofa_tf.spaces import Arch, Space


def draw_architectures(space: Space, count: int, seed: int) -> list[Arch]:
    """Different random architectures, the largest and the smallest at each resolution first.

    The corners keep a predictor from extrapolating. Asking for more gives the same ones and some more.

    Example:
        draw_architectures(space, 100, seed=0) == draw_architectures(space, 200, seed=0)[:100]
    """
    drawn = {}
    for resolution in reversed(space.resolutions):
        smallest = space.smallest()
        for corner in (space.arch(r=resolution), space.arch(ks=smallest.ks, e=smallest.e, d=smallest.d, r=resolution)):
            drawn[corner] = None
    for index in range(20 * count):
        if len(drawn) >= count:
            break
        drawn[space.sample(np.random.default_rng([seed, index]))] = None
    return list(drawn)[:count]


def collect(
    evaluator: Evaluator, archs: list[Arch], *, split: str, limit: int | None = None, known: Callable[[Arch], bool]
) -> Iterator[Evaluation]:
    """Evaluates architectures one after the other, with a progress bar.

    Args:
        evaluator: of the supernet.
        archs: what to evaluate.
        split: which images, "holdout" for a predictor's data.
        limit: at most so many images, evenly spaced over the split.
        known: says which architectures are measured already and are passed over.

    Yields:
        An `Evaluation` for each of the others, as soon as it is there, so that a caller can store it at once.
    """
    for arch in tqdm.tqdm(archs, desc="collect", unit="subnet", dynamic_ncols=True, file=sys.stderr):
        if not known(arch):
            yield evaluator.evaluate(arch, split=split, limit=limit)
