"""Steps that a binary runs alone and the demo runs in a row."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ofa_tf.common import InputError, OfaError
from ofa_tf.deploy import ExportReport, Runner, arch_facts, export, quantization_aware
from ofa_tf.evaluation import Evaluator, Farm, collect, draw_architectures
from ofa_tf.predictors import PairsFile
from ofa_tf.spaces import Arch
from ofa_tf.training import weights_digest
from tools.opening import Opened

# A file that is measured over its budget makes the next search stricter by so much; so many times.
ROUNDS, TIGHTER = 5, 0.96

Model = TypeVar("Model")


def collect_pairs(
    evaluator: Evaluator,
    path: str | os.PathLike,
    *,
    count: int,
    seed: int = 0,
    limit: int | None = None,
    farm: Farm | None = None,
) -> PairsFile:
    """Extends a file of (architecture, hold-out accuracy) pairs to `count` pairs; what is there is not measured again.

    Args:
        evaluator: of the supernet.
        path: the file.
        count: how many pairs it is to hold.
        seed: of the choice of architectures.
        limit: only the first so many hold-out images.
        farm: the Ray workers that evaluate; this process does unless given.
    """
    held_out = len(evaluator.dataset.split("holdout"))
    images = min(held_out, limit or held_out)
    if images == 0:
        raise InputError("the hold-out has no images; train with a larger `holdout` in the config")
    space = evaluator.net.space
    # Accuracies of other weights, or on other images, are no data for the same predictor.
    source = {"weights": weights_digest(evaluator.net), "images": evaluator.dataset.digest}
    pairs = PairsFile(path, space, **source)
    if pairs.provenance != source:
        raise InputError(
            f"{path}: holds accuracies of other weights or images ({pairs.provenance}, here {source}); "
            f"give another --output, or delete the file"
        )
    archs = draw_architectures(space, count, seed)
    known = lambda arch: pairs.holds(arch, images=images, split="holdout")  # noqa: E731
    evaluate = functools.partial(collect, evaluator) if farm is None else farm.collect
    for result in evaluate(archs, split="holdout", limit=limit, known=known):
        pairs.add(result.arch, result.top1, images=result.images, split=result.split, top5=result.top5)
    return pairs


def export_subnet(
    opened: Opened,
    arch: Arch,
    path: str | os.PathLike,
    *,
    split: str,
    limit: int | None = None,
    representative: int = 200,
    **options: Any,
) -> ExportReport:
    """Calibrates a sub-network, writes its file, and checks it on a split's images.

    Args:
        opened: the supernet and its images.
        arch: the sub-network.
        path: the `.tflite` file.
        split: which images check it.
        limit: only the first so many of them.
        representative: training images that give integer precisions their ranges.
        options: precision, form and all else that `deploy.export_blocks` takes.
    """
    evaluator = opened.evaluator
    images, labels = evaluator.images(split, arch.r, limit)
    return export(
        evaluator.net,
        arch,
        evaluator.calibrate(arch),
        path,
        preprocessing=evaluator.preprocessing,
        representative_images=evaluator.calibration_set(arch.r)[0][:representative],
        check_images=images,
        check_labels=labels,
        facts=opened.facts(split),
        **options,
    )


def train_quantized(
    opened: Opened,
    arch: Arch,
    path: str | os.PathLike,
    *,
    split: str,
    limit: int | None = None,
    **options: Any,
) -> ExportReport:
    """Calibrates a sub-network, trains it as an int8 file, and checks that on a split's images.

    Args:
        opened: the supernet and its images.
        arch: the sub-network.
        path: the `.tflite` file.
        split: which images check it.
        limit: only the first so many of them.
        options: recipe, form and all else that `deploy.quantization_aware` takes.
    """
    evaluator, space = opened.evaluator, opened.net.space
    images, labels = evaluator.images(split, arch.r, limit)
    return quantization_aware(
        space.blocks(arch),
        opened.net.plain_weights(arch, evaluator.calibrate(arch)),
        path,
        dataset=opened.dataset,
        preprocessing=evaluator.preprocessing,
        augmentation=evaluator.augmentation,
        check_images=images,
        check_labels=labels,
        facts={**arch_facts(space, arch), **opened.facts(split)},
        **options,
    )


def within_budget(budget_ms: float, attempt: Callable[[float], tuple[Model, float]]) -> Model:
    """Searches below a latency until the exported file is measured inside it.

    Args:
        budget_ms: what the file may take, in milliseconds.
        attempt: given the limit of a search in milliseconds, exports what it found; returns that and its measured
            latency.

    Raises:
        OfaError: none was inside, after all rounds.
    """
    limit_ms = budget_ms
    for _ in range(ROUNDS):
        model, measured_ms = attempt(limit_ms)
        if measured_ms <= budget_ms:
            return model
        say(f"    measured {measured_ms:.3f} ms, over the budget of {budget_ms:g} ms; searching again")
        limit_ms *= min(TIGHTER, budget_ms / measured_ms)
    raise OfaError(
        f"no file was measured inside {budget_ms:g} ms in {ROUNDS} rounds: the machine is busier than when its table "
        f"was built; run it again"
    )


def measure_ms(path: str | os.PathLike, threads: int) -> float:
    """The latency of a file: the median of three medians, so that one busy moment of the machine does not decide."""
    runner = Runner(path, threads=threads)
    return float(np.median([runner.time(min_seconds=0.4).median_ms for _ in range(3)]))


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
