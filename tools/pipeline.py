"""Steps that a binary runs alone and the demo runs in a row."""

import functools
import os
import sys

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.deploy import Runner
from ofa_tf.evaluation import Evaluator, Farm, collect, draw_architectures
from ofa_tf.predictors import PairsFile
from ofa_tf.specialize import open_pairs


def collect_pairs(
    evaluator: Evaluator,
    path: str | os.PathLike,
    *,
    count: int,
    seed: int = 0,
    limit: int | None = None,
    farm: Farm | None = None,
) -> PairsFile:
    """Extends a file of (architecture, validation accuracy) pairs; what is there is not measured again.

    Args:
        evaluator: of the supernet.
        path: the file.
        count: how many pairs it is to hold.
        seed: of the choice of architectures.
        limit: at most so many validation images, evenly spaced.
        farm: the Ray workers that evaluate; this process does unless given.
    """
    held_out = len(evaluator.dataset.split("validation"))
    images = min(held_out, limit or held_out)
    if images == 0:
        raise InputError("the validation split has no images; train with a larger `validation` in the config")
    pairs = open_pairs(evaluator, path)
    archs = draw_architectures(evaluator.net.space, count, seed)
    known = lambda arch: pairs.holds(arch, images=images, split="validation")  # noqa: E731
    evaluate = functools.partial(collect, evaluator) if farm is None else farm.collect
    for result in evaluate(archs, split="validation", limit=limit, known=known):
        pairs.add(result.arch, result.top1, images=result.images, split=result.split, top5=result.top5)
    return pairs


def measure_ms(path: str | os.PathLike, threads: int) -> float:
    """The latency of a file: the median of three medians, so that one busy moment of the machine does not decide."""
    runner = Runner(path, threads=threads)
    return float(np.median([runner.time(min_seconds=0.4).median_ms for _ in range(3)]))


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
