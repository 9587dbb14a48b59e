"""The closed loop: what was measured for targets corrects the latency table and extends the accuracy pairs."""

import os
from collections.abc import Sequence

import numpy as np

from ofa_tf.common import InputError, append_json_line
from ofa_tf.evaluation import Evaluator
from ofa_tf.predictors import (
    LatencyTable,
    PairsFile,
    fit_correction,
    mean_absolute_percentage_error,
    read_latency_pairs,
)
from ofa_tf.predictors.latency_correction import MIN_NETWORKS
from ofa_tf.spaces import Arch, Space
from ofa_tf.specialize.opened import Opened
from ofa_tf.specialize.specialize_target import source_of
from ofa_tf.specialize.target_result import TargetResult
from ofa_tf.training import weights_digest


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
        results: those of other weights or images are passed over.

    Raises:
        InputError: the file holds accuracies of other weights or images.
    """
    pairs, source = open_pairs(opened.evaluator, path), source_of(opened)
    for result in results:
        if source.items() <= dict(result.source).items():
            for found in result.evaluated:
                arch = Arch.from_json(found["arch"])
                pairs.add(arch, found["top1"], images=found["images"], split=found["split"], top5=found["top5"])
    return pairs


def open_pairs(evaluator: Evaluator, path: str | os.PathLike) -> PairsFile:
    """A file of accuracies that an evaluator measures, new or to be extended.

    Raises:
        InputError: it holds accuracies of other weights, or on other images: no data for the same predictor.
    """
    source = {"weights": weights_digest(evaluator.net), "images": evaluator.dataset.digest}
    pairs = PairsFile(path, evaluator.net.space, **source)
    if pairs.provenance != source:
        raise InputError(
            f"{path}: holds accuracies of other weights or images ({pairs.provenance}, here {source}); "
            f"give another --output, or delete the file"
        )
    return pairs
