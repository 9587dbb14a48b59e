"""The steps of the demo, from an experiment's configuration to a report."""

import dataclasses
import math
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ofa_tf import devices
from ofa_tf.common import write_json
from ofa_tf.deploy import Runner
from ofa_tf.devices.verification import Verification
from ofa_tf.evaluation import Evaluator
from ofa_tf.predictors import AccuracyPredictor, LatencyTable
from ofa_tf.report import format_table, write_specialization
from ofa_tf.search import Candidate, Constraint, evolutionary_search, random_search
from ofa_tf.search.constraint import constraints_of
from ofa_tf.spaces import Arch, Space
from ofa_tf.specialize import Opened, Target, TargetResult, export_subnet, within_limits
from ofa_tf.training import RunDirectory, Trainer, open_experiment

from .opening import of_run
from .pipeline import collect_pairs, measure_ms, say

PRECISION = "int8"
# Where between the smallest and the largest sub-network's latency the budgets lie, on a logarithmic scale.
BUDGETS = (0.3, 0.5, 0.7)
# Of the search's best, every fourth is evaluated and the hold-out chooses: a predictor fitted to so few pairs is a
# rough judge, and neighbours in its order differ by a gene.
CANDIDATES, EVERY = 96, 4
RANDOM_SUBNETS = 20
# Whole networks that check the latency table, and others, that correct it.
VERIFIED, CORRECTING = 16, 6
MAX_DROP = 0.02
# One percentage point, and a rounding error.
POINT = 0.01 + 1e-9


def demonstrate(run_dir: str, config: Mapping[str, Any], *, pairs: int, seed: int) -> list[TargetResult]:
    """Runs every step, each from what is already in the run directory, and writes the report.

    Args:
        run_dir: where everything is written.
        config: the experiment, see `open_experiment`.
        pairs: sub-networks measured for the accuracy predictor.
        seed: of search and random choices.
    """
    say("1/6 train: all stages of progressive shrinking")
    run, dataset = open_experiment(run_dir, config)
    trainer = Trainer(run, dataset)
    opened = of_run(run, trainer.net, dataset)
    evaluator = opened.evaluator
    trainer.train(evaluate=lambda arch: evaluator.evaluate(arch, split="holdout").to_dict())

    say(f"2/6 collect: hold-out accuracy of {pairs} sub-networks, each calibrated")
    measured = collect_pairs(evaluator, run.path / "accuracy.jsonl", count=pairs)
    say("3/6 fit the accuracy predictor")
    predictor = AccuracyPredictor.fit(run.space, *measured.accuracies())
    predictor.save(run.path / "accuracy_predictor.npz")
    quality = predictor.metrics
    say(f"    held-out pairs: Kendall tau {quality['kendall_tau']:.2f}, RMSE {100 * quality['rmse']:.2f} points")

    say(f"4/6 measure: this machine's {PRECISION} latency table, block by block, then corrected by whole networks")
    table_path = run.path / f"host_{PRECISION}.json"
    with devices.open(devices.HOST) as device:
        verification, table = devices.verified_table(
            device, run.space, PRECISION, table_path, networks=VERIFIED, correct=CORRECTING, seed=seed, say=say
        )
    say(f"    {verification.summary()}")
    say("5/6 search at three budgets, choose on the hold-out, export, measure")
    models = search_all(opened, predictor, table, seed)
    say("6/6 compare with random sub-networks and write the report")
    return conclude(run, evaluator, predictor, table, verification, models, seed)


def search_all(opened: Opened, predictor: AccuracyPredictor, table: LatencyTable, seed: int) -> list[TargetResult]:
    """The smallest and the largest sub-network, and between them the best found for each budget."""
    space = opened.net.space
    smallest_ms, largest_ms = table.predict(space, [space.smallest(), space.largest()])
    smallest, largest = space.smallest(), space.largest()
    models = [finish(opened, predictor, table, "smallest", smallest, {"macs": space.count_macs(smallest)})]
    for share in BUDGETS:
        budget_ms = float(f"{smallest_ms * (largest_ms / smallest_ms) ** share:.2g}")
        models.append(search_one(opened, predictor, table, budget_ms, seed))
    return [*models, finish(opened, predictor, table, "largest", largest, {"macs": space.count_macs(largest)})]


def search_one(
    opened: Opened,
    predictor: AccuracyPredictor,
    table: LatencyTable,
    budget_ms: float,
    seed: int,
) -> TargetResult:
    """Searches below a budget until the exported file is measured inside it."""

    def attempt(limits: dict[str, float]) -> tuple[TargetResult, dict[str, float]]:
        found = evolutionary_search(opened.net.space, predictor, constraints_of(limits, table=table), seed=seed)
        chosen = max(found.top(CANDIDATES)[::EVERY], key=lambda candidate: holdout_top1(opened.evaluator, candidate))
        model = finish(opened, predictor, table, f"{budget_ms:g} ms", chosen.arch, {"latency_ms": budget_ms})
        return model, model.measured

    began = time.monotonic()
    model = within_limits({"latency_ms": budget_ms}, attempt, say=lambda text: say(f"    {text}"))
    return dataclasses.replace(model, seconds=time.monotonic() - began)


def holdout_top1(evaluator: Evaluator, candidate: Candidate) -> float:
    """What a candidate is chosen by."""
    return evaluator.evaluate(candidate.arch, split="holdout").top1


def finish(
    opened: Opened,
    predictor: AccuracyPredictor,
    table: LatencyTable,
    name: str,
    arch: Arch,
    limits: dict[str, float],
) -> TargetResult:
    """Exports a sub-network, checks its file on the hold-out, and measures it."""
    began, path, space = time.monotonic(), model_path(opened.run, name), opened.net.space
    exported = export_subnet(opened, arch, path, precision=PRECISION, split="holdout", max_drop=MAX_DROP)
    predicted = counted(space, arch) | {"latency_ms": float(table.predict(space, [arch])[0])}
    measured = {"latency_ms": measure_ms(path, table.threads), "model_bytes": float(exported.model_bytes)}
    model = TargetResult(
        Target(name, devices.HOST, limits, precision=PRECISION, threads=table.threads),
        "verified",
        arch=arch,
        space=space.name,
        predicted=predicted,
        measured=counted(space, arch) | measured,
        predicted_top1=float(predictor.predict(space, [arch])[0]),
        keras_top1=exported.keras_top1,
        tflite_top1=exported.tflite_top1,
        images=exported.images,
        seconds=time.monotonic() - began,
    )
    say(
        f"    {name}: {measured['latency_ms']:.3f} ms, int8 hold-out top-1 {100 * model.tflite_top1:.1f}%, "
        f"{exported.partitions} partition"
    )
    return model


def counted(space: Space, arch: Arch) -> dict[str, float]:
    """The costs that are known of any architecture."""
    return {"macs": float(space.count_macs(arch)), "params": float(space.count_params(arch))}


def conclude(
    run: RunDirectory,
    evaluator: Evaluator,
    predictor: AccuracyPredictor,
    table: LatencyTable,
    verification: Verification,
    models: list[TargetResult],
    seed: int,
) -> list[TargetResult]:
    """Adds the random sub-networks, prints the table and what it shows, and writes `report.html` and `result.json`."""
    # Everything is decided: only now are the test images looked at.
    models = [on_test_images(run, evaluator, model) for model in models]
    comparisons, others = {}, checks(verification, table)
    for model in models:
        if "latency_ms" in model.target.limits:
            comparison = compare_with_random(evaluator, predictor, table, model, seed)
            comparisons[model.target.name], drawn = comparison
            others += drawn
    images = len(evaluator.dataset.split("val"))
    page = write_specialization(
        run.path,
        machine=table.versions,
        predictor_of=lambda target: predictor,
        table_of=lambda target: table,
        results=models,
        others=others,
        run_directory=run.path,
        images=f"{images} test images that no decision saw",
        title="Once-for-all on handwritten digits",
        notes=notes(run, predictor),
        say=say,
    )
    write_json(
        run.path / "result.json",
        {
            "models": [figures(model) for model in models],
            "comparisons": comparisons,
            "latency": verification.to_dict(),
            "predictor": dict(predictor.metrics),
            "shortcomings": shortcomings(models, comparisons, verification),
        },
    )
    print(format_table(models))
    for name, comparison in comparisons.items():
        found, drawn = comparison["searched"], comparison["best_random"]
        print(
            f"{name}: top-1 of the searched sub-network {100 * found['holdout']:.1f}% on the hold-out, "
            f"{100 * found['val']:.1f}% on the test images; of the best of {RANDOM_SUBNETS} random ones inside the "
            f"budget {100 * drawn['holdout']:.1f}%, {100 * drawn['val']:.1f}% "
            f"(best on the test images: {100 * comparison['best_random_val']:.1f}%)"
        )
    print(f"latency table: {verification.summary()}")
    for shortcoming in shortcomings(models, comparisons, verification):
        print(f"NOT AS IT SHOULD BE: {shortcoming}")
    print(f"report: {page}")
    return models


def figures(model: TargetResult) -> dict[str, Any]:
    """What `result.json` says of a model."""
    return {
        "name": model.target.name,
        "arch": model.arch.to_dict(),
        "macs": int(model.measured["macs"]),
        "budget_ms": model.target.limits.get("latency_ms"),
        "predicted_ms": model.predicted["latency_ms"],
        "measured_ms": model.measured["latency_ms"],
        **{name: getattr(model, name) for name in ("predicted_top1", "keras_top1", "tflite_top1")},
        "model_bytes": int(model.measured["model_bytes"]),
    }


def checks(verification: Verification, table: LatencyTable) -> list[TargetResult]:
    """The whole networks that the latency table was checked with."""
    return [
        TargetResult(
            Target(
                f"check {number}", devices.HOST, {"latency_ms": measured_ms}, precision=PRECISION, threads=table.threads
            ),
            "architecture",
            arch=arch,
            predicted={"latency_ms": predicted_ms},
            measured={"latency_ms": measured_ms},
        )
        for number, (arch, predicted_ms, measured_ms) in enumerate(
            zip(verification.archs, verification.predicted_ms, verification.measured_ms, strict=True)
        )
    ]


def on_test_images(run: RunDirectory, evaluator: Evaluator, model: TargetResult) -> TargetResult:
    """The model with its accuracies on "val", in Keras and through its file."""
    images, labels = evaluator.images("val", model.arch.r)
    classes = Runner(model_path(run, model.target.name)).predict(images).argmax(-1)
    return dataclasses.replace(
        model,
        keras_top1=evaluator.evaluate(model.arch, split="val").top1,
        tflite_top1=float(np.mean(classes == labels)),
    )


def model_path(run: RunDirectory, name: str) -> pathlib.Path:
    """Where a model's file lies."""
    return run.path / "models" / f"{name.replace(' ', '_')}.tflite"


def shortcomings(models: list[TargetResult], comparisons: dict[str, dict], verification: Verification) -> list[str]:
    """What a demo should show and this one did not; empty where all is well."""
    found = []
    for model in models:
        if model.measured["latency_ms"] > model.target.limits.get("latency_ms", math.inf):
            found.append(f"{model.target.name}: measured over its budget")
        if model.keras_top1 - model.tflite_top1 > POINT:
            found.append(f"{model.target.name}: int8 is more than a point below float on the test images")
    for name, comparison in comparisons.items():
        # On the test images the bar is whichever random one is best there, though nobody could have chosen it.
        bars = {"hold-out": ("holdout", comparison["best_random"]["holdout"])}
        bars["test images"] = ("val", comparison["best_random_val"])
        for images, (split, bar) in bars.items():
            if bar - comparison["searched"][split] > POINT:
                found.append(f"{name}: more than a point below the best random sub-network on the {images}")
    if verification.mape > 5 or verification.spearman < 0.98:
        found.append("the latency table misses networks by more than 5%, or orders them badly: was the machine busy?")
    return found


def compare_with_random(
    evaluator: Evaluator, predictor: AccuracyPredictor, table: LatencyTable, model: TargetResult, seed: int
) -> tuple[dict[str, Any], list[TargetResult]]:
    """A model next to random sub-networks inside its budget.

    Returns:
        Top-1 of the model and of the random sub-network that the hold-out would choose, on both splits; beside them
        the best "val" of any random one, which nobody could have chosen. And the points of the random ones.
    """
    constraint = Constraint("latency_ms", model.target.limits["latency_ms"], predictor=table)
    space = evaluator.net.space
    inside = random_search(space, [constraint], RANDOM_SUBNETS, accuracy_predictor=predictor, seed=seed)
    results = [top1_by_split(evaluator, candidate.arch) for candidate in inside]
    points = [
        TargetResult(
            dataclasses.replace(model.target, name=f"random {number} below {model.target.name}"),
            "architecture",
            arch=candidate.arch,
            predicted=counted(space, candidate.arch) | dict(candidate.costs),
            predicted_top1=candidate.predicted_accuracy,
            keras_top1=result["val"],
        )
        for number, (candidate, result) in enumerate(zip(inside, results, strict=True))
    ]
    comparison = {
        "searched": top1_by_split(evaluator, model.arch),
        "best_random": max(results, key=lambda result: result["holdout"]),
        "best_random_val": max(result["val"] for result in results),
    }
    return comparison, points


def top1_by_split(evaluator: Evaluator, arch: Arch) -> dict[str, float]:
    """Calibrated float top-1 on the hold-out and on the test images."""
    statistics = evaluator.calibrate(arch)
    return {split: evaluator.evaluate(arch, split=split, statistics=statistics).top1 for split in ("holdout", "val")}


def notes(run: RunDirectory, predictor: AccuracyPredictor) -> dict[str, str]:
    """Where the report's figures come from."""
    quality = predictor.metrics
    return {
        "command": "python -m tools.demo",
        "training": f"{run.path / 'run.json'}, seed {run.recipe.seed}",
        "decisions": "search and choice use the hold-out; the table's accuracies are on the test images",
        "accuracy predictor": f"on held-out pairs: Kendall tau {quality['kendall_tau']:.2f}, "
        f"Spearman {quality['spearman']:.2f}, RMSE {100 * quality['rmse']:.2f} points",
    }
