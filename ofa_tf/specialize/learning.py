"""Pairs of architectures and accuracies, and the closed loop: what was measured for targets extends them, and corrects
latency tables."""

import contextlib
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from ofa_tf.common import InputError, append_json_line, as_called
from ofa_tf.common.locks import locked
from ofa_tf.evaluation import Evaluator, Farm, collect, draw_architectures
from ofa_tf.interop import is_ofa_latency_table
from ofa_tf.predictors import (
    AccuracyPredictor,
    LatencyTable,
    PairsFile,
    fit_correction,
    mean_absolute_percentage_error,
    read_latency_pairs,
)
from ofa_tf.predictors.latency_correction import MIN_NETWORKS
from ofa_tf.spaces import Arch, Space
from ofa_tf.specialize.opened import Opened, resizing
from ofa_tf.specialize.target import Target
from ofa_tf.specialize.target_devices import TargetDevices, other_files
from ofa_tf.specialize.target_result import NAMES, PREDICTOR, TargetResult
from ofa_tf.training import weights_digest

PREDICTOR_FILE = "predictor.npz"


def learn(
    output: pathlib.Path,
    results: Sequence[TargetResult],
    predictor_of: Callable[[Target], AccuracyPredictor],
    opened: Opened | None,
    bench: TargetDevices,
    say: Callable[[str], None],
) -> None:
    """Corrects the tables of measured targets, and extends the accuracy pairs of the supernet."""
    groups: dict[pathlib.Path, list[TargetResult]] = {}
    for result in results:
        if "latency_ms" in result.measured and "latency_ms" in result.target.limits:
            groups.setdefault(pathlib.Path(os.path.abspath(bench.table_path(result.target))), []).append(result)
    for path, group in groups.items():
        table = bench.table(group[0].target)
        if not isinstance(table, LatencyTable) or is_ofa_latency_table(path):
            say(f"{path}: is no table of blocks that could be corrected")
            continue
        # Results of before do not tell their form.
        group = [it for it in group if not other_files(table, it.target, it.form or it.target.file_form())]
        if not group:
            say(f"{path}: not corrected by the measured files, which are of another kind than its own")
            continue
        target, name = group[0].target, path.stem
        beside = os.path.relpath(path, output / "tables")
        if beside != path.name:
            # Others elsewhere may have the same name; where both were moved together, it is the same one.
            name += f"_{hashlib.sha256(os.fsencode(beside)).hexdigest()[:8]}"
        networks = output / "tables" / f"{name}.networks.jsonl"
        learned = learn_latencies(table, predictor_of(target).space, networks, group)
        if learned is table:
            say(f"{path}: its correction stays; {networks} has what was measured")
        else:
            learned.save(path)
            say(
                f"{path}: corrected by {learned.correction.networks} networks, "
                f"error {learned.correction.mape_after:.1f}%"
            )
    if opened is not None:
        # The run's own pairs, or some beside the results.
        own = opened.run is not None and is_of_run(opened)
        path = (opened.run.path if own else output) / "accuracy.jsonl"
        pairs = learn_accuracies(opened, path, results)
        fit = as_called("python -m tools.fit_accuracy_predictor")
        say(f"{path}: {len(pairs)} pairs; {fit} --pairs={path} --output={path.with_name(PREDICTOR_FILE)} fits anew")


def is_of_run(opened: Opened) -> bool:
    """Whether what is opened is the run as its own pairs are of: its last weights, its images, resized as its own."""
    run, asked = opened.run, (opened.source or {}).get("stage")
    return (
        run.recipe.preprocessing == opened.evaluator.preprocessing
        and opened.dataset.digest == run.dataset["digest"]
        and (asked is None or asked == run.finished_stages()[-1])
    )


def learn_latencies(
    table: LatencyTable, space: Space, networks: str | os.PathLike, results: Sequence[TargetResult]
) -> LatencyTable:
    """A table with the correction that measured whole networks ask for.

    Args:
        table: of one device, by which the results were predicted.
        space: of the networks.
        networks: a file of latency pairs, which those of the results that it lacks are appended to.
        results: of that device; those that were not measured are passed over.

    Returns:
        The table with a correction fitted on all networks of the file, where that predicts each of them better (fitted
        on the others) than the table did; else the table itself.

    Example:
        learn_latencies(table, space, "host_int8.networks.jsonl", results).save("host_int8.json")
    """
    known: dict[Arch, list[float]] = {}
    if os.path.exists(networks):
        for arch, latency_ms in zip(*read_latency_pairs(networks, space), strict=True):
            known.setdefault(arch, []).append(float(latency_ms))
    for result in results:
        for made in result.rounds:
            if "latency_ms" not in made["measured"]:
                continue
            arch, latency_ms = space.canonical(Arch.from_json(made["arch"])), made["measured"]["latency_ms"]
            if latency_ms not in known.setdefault(arch, []):
                known[arch].append(latency_ms)
                append_json_line(networks, {"arch": arch.to_dict(), "latency_ms": latency_ms})
    if len(known) < MIN_NETWORKS:
        return table
    archs, measured_ms = list(known), np.array([np.median(latencies) for latencies in known.values()])
    correction = fit_correction(table.with_correction(None).predict(space, archs), measured_ms)
    before = mean_absolute_percentage_error(table.predict(space, archs), measured_ms)
    return table.with_correction(correction) if correction.mape_after < before else table


def learn_accuracies(opened: Opened, path: str | os.PathLike, results: Sequence[TargetResult]) -> PairsFile:
    """Extends a file of accuracy pairs by the candidates that were evaluated for targets.

    Args:
        opened: the supernet and the images that they were evaluated with.
        path: the file, see `PairsFile`.
        results: those of other weights or images, or of images resized otherwise, are passed over.

    Raises:
        InputError: the file holds accuracies of such, or another process collects into it.
    """
    with _alone_in(path):
        pairs, source = open_pairs(opened.evaluator, path), opened.digests
        for result in results:
            if {name: value for name, value in result.source.items() if name not in (PREDICTOR, NAMES)} == source:
                for found in result.evaluated:
                    arch = Arch.from_json(found["arch"])
                    pairs.add(arch, found["top1"], images=found["images"], split=found["split"], top5=found["top5"])
    return pairs


def _alone_in(path: str | os.PathLike) -> contextlib.AbstractContextManager:
    """Held while a file of pairs is extended: two writers would leave pairs in it twice."""
    return locked(path, f"{path}: another process collects into it; wait for its end, or give another file")


def open_pairs(evaluator: Evaluator, path: str | os.PathLike) -> PairsFile:
    """A file of accuracies that an evaluator measures, new or to be extended.

    Raises:
        InputError: it holds accuracies of other weights, on other images, or on images that were resized otherwise: no
            data for the same predictor.
    """
    source = {"weights": weights_digest(evaluator.net), "images": evaluator.dataset.digest, **resizing(evaluator)}
    pairs = PairsFile(path, evaluator.net.space, **source)
    if pairs.provenance != source:
        raise InputError(
            f"{path}: holds accuracies of other weights or images, or resized otherwise ({pairs.provenance}, here "
            f"{source}); give another --output, or delete the file"
        )
    return pairs


def collect_pairs(
    evaluator: Evaluator,
    path: str | os.PathLike,
    *,
    count: int,
    seed: int = 0,
    limit: int | None = None,
    farm: Farm | None = None,
    on_pair: Callable[[int], None] = lambda pairs: None,
) -> PairsFile:
    """Extends a file of (architecture, validation accuracy) pairs; what is there is not measured again.

    Args:
        evaluator: of the supernet.
        path: the file.
        count: how many pairs it is to hold.
        seed: of the choice of architectures.
        limit: at most so many validation images, evenly spaced.
        farm: the Ray workers that evaluate; this process does unless given.
        on_pair: called with the number of pairs as each is added.

    Raises:
        InputError: there are no validation images, the file is of other weights or images, or another process
            collects into it.

    Example:
        pairs = collect_pairs(opened.evaluator, "accuracy.jsonl", count=200)
        predictor = AccuracyPredictor.fit(opened.net.space, *pairs.accuracies())
    """
    split = evaluator.dataset.split("validation")
    images = min(len(split), limit or len(split))
    if images == 0:
        raise InputError("the validation split has no images; train with a larger `validation` in the config")
    archs = draw_architectures(evaluator.net.space, count, seed)

    def known(arch: Arch) -> bool:
        # Images that were found to be damaged count in none of the figures.
        fewest = images - int(np.isin(split.indices, list(split.damaged)).sum())
        return any(pairs.holds(arch, images=count, split="validation") for count in range(fewest, images + 1))

    evaluate = functools.partial(collect, evaluator) if farm is None else farm.collect
    with _alone_in(path):
        pairs = open_pairs(evaluator, path)
        for result in evaluate(archs, split="validation", limit=limit, known=known):
            pairs.add(result.arch, result.top1, images=result.images, split=result.split, top5=result.top5)
            on_pair(len(pairs))
    return pairs
