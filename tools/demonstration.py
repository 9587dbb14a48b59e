"""The steps of the demo, from an experiment's configuration to a report."""

import dataclasses
import datetime
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ofa_tf import devices
from ofa_tf.common import write_json
from ofa_tf.deploy import Runner
from ofa_tf.devices.verification import Verification
from ofa_tf.evaluation import Evaluator
from ofa_tf.predictors import AccuracyPredictor, LatencyTable
from ofa_tf.report import Report, ReportModel, ReportPoint, format_table, write_report
from ofa_tf.search import Candidate, Constraint, evolutionary_search, random_search
from ofa_tf.search.constraint import constraints_of
from ofa_tf.spaces import Arch
from ofa_tf.specialize import Opened, export_subnet, within_limits
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


def demonstrate(run_dir: str, config: Mapping[str, Any], *, pairs: int, seed: int) -> Report:
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


def search_all(opened: Opened, predictor: AccuracyPredictor, table: LatencyTable, seed: int) -> list[ReportModel]:
    """The smallest and the largest sub-network, and between them the best found for each budget."""
    space = opened.net.space
    smallest_ms, largest_ms = table.predict(space, [space.smallest(), space.largest()])
    models = [finish(opened, predictor, table, "smallest", space.smallest())]
    for share in BUDGETS:
        budget_ms = float(f"{smallest_ms * (largest_ms / smallest_ms) ** share:.2g}")
        models.append(search_one(opened, predictor, table, budget_ms, seed))
    return [*models, finish(opened, predictor, table, "largest", space.largest())]


def search_one(
    opened: Opened,
    predictor: AccuracyPredictor,
    table: LatencyTable,
    budget_ms: float,
    seed: int,
) -> ReportModel:
    """Searches below a budget until the exported file is measured inside it."""

    def attempt(limits: dict[str, float]) -> tuple[ReportModel, dict[str, float]]:
        found = evolutionary_search(opened.net.space, predictor, constraints_of(limits, table=table), seed=seed)
        chosen = max(found.top(CANDIDATES)[::EVERY], key=lambda candidate: holdout_top1(opened.evaluator, candidate))
        model = finish(opened, predictor, table, f"{budget_ms:g} ms", chosen.arch, budget_ms)
        return model, {"latency_ms": model.measured_ms}

    return within_limits({"latency_ms": budget_ms}, attempt, say=lambda text: say(f"    {text}"))


def holdout_top1(evaluator: Evaluator, candidate: Candidate) -> float:
    """What a candidate is chosen by."""
    return evaluator.evaluate(candidate.arch, split="holdout").top1


def finish(
    opened: Opened,
    predictor: AccuracyPredictor,
    table: LatencyTable,
    name: str,
    arch: Arch,
    budget_ms: float | None = None,
) -> ReportModel:
    """Exports a sub-network, checks its file on the hold-out, and measures it."""
    path, space = model_path(opened.run, name), opened.net.space
    exported = export_subnet(opened, arch, path, precision=PRECISION, split="holdout", max_drop=MAX_DROP)
    model = ReportModel(
        name,
        arch,
        space.count_macs(arch),
        budget_ms=budget_ms,
        predicted_ms=float(table.predict(space, [arch])[0]),
        measured_ms=measure_ms(path, table.threads),
        predicted_top1=float(predictor.predict(space, [arch])[0]),
        keras_top1=exported.keras_top1,
        tflite_top1=exported.tflite_top1,
        model_bytes=exported.model_bytes,
    )
    say(
        f"    {name}: {model.measured_ms:.3f} ms, int8 hold-out top-1 {100 * model.tflite_top1:.1f}%, "
        f"{exported.partitions} partition"
    )
    return model


def conclude(
    run: RunDirectory,
    evaluator: Evaluator,
    predictor: AccuracyPredictor,
    table: LatencyTable,
    verification: Verification,
    models: list[ReportModel],
    seed: int,
) -> Report:
    """Adds the random sub-networks, prints the table and what it shows, and writes `report.html` and `result.json`."""
    space = run.space
    # Everything is decided: only now are the test images looked at.
    models = [on_test_images(run, evaluator, model) for model in models]
    comparisons, points = {}, []
    for model in models:
        if model.budget_ms is not None:
            comparisons[model.name], drawn = compare_with_random(evaluator, predictor, table, model, seed)
            points += drawn
    images = len(evaluator.dataset.split("val"))
    report = Report(
        "Once-for-all on handwritten digits",
        f"this machine ({table.versions['cpu']}), {table.threads} thread, {PRECISION}, ai_edge_litert",
        f"{images} test images that no decision saw",
        space,
        models,
        random_points=points,
        latency_pairs=list(zip(verification.predicted_ms, verification.measured_ms, strict=True)),
        metrics=run.read_log("metrics"),
        notes=notes(run, table, predictor),
    )
    write_report(run.path / "report.html", report)
    write_json(
        run.path / "result.json",
        {
            "models": [{**dataclasses.asdict(model), "arch": model.arch.to_dict()} for model in models],
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
    print(f"report: {run.path / 'report.html'}")
    return report


def on_test_images(run: RunDirectory, evaluator: Evaluator, model: ReportModel) -> ReportModel:
    """The model with its accuracies on "val", in Keras and through its file."""
    images, labels = evaluator.images("val", model.arch.r)
    classes = Runner(model_path(run, model.name)).predict(images).argmax(-1)
    return dataclasses.replace(
        model,
        keras_top1=evaluator.evaluate(model.arch, split="val").top1,
        tflite_top1=float(np.mean(classes == labels)),
    )


def model_path(run: RunDirectory, name: str) -> pathlib.Path:
    """Where a model's file lies."""
    return run.path / "models" / f"{name.replace(' ', '_')}.tflite"


def shortcomings(models: list[ReportModel], comparisons: dict[str, dict], verification: Verification) -> list[str]:
    """What a demo should show and this one did not; empty where all is well."""
    found = []
    for model in models:
        if model.over_budget:
            found.append(f"{model.name}: measured over its budget")
        if model.keras_top1 - model.tflite_top1 > POINT:
            found.append(f"{model.name}: int8 is more than a point below float on the test images")
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
    evaluator: Evaluator, predictor: AccuracyPredictor, table: LatencyTable, model: ReportModel, seed: int
) -> tuple[dict[str, Any], list[ReportPoint]]:
    """A model next to random sub-networks inside its budget.

    Returns:
        Top-1 of the model and of the random sub-network that the hold-out would choose, on both splits; beside them
        the best "val" of any random one, which nobody could have chosen. And the points of the random ones.
    """
    constraint = Constraint("latency_ms", model.budget_ms, predictor=table)
    space = evaluator.net.space
    inside = random_search(space, [constraint], RANDOM_SUBNETS, accuracy_predictor=predictor, seed=seed)
    results = [top1_by_split(evaluator, candidate.arch) for candidate in inside]
    points = [
        ReportPoint(
            candidate.arch,
            predicted_ms=candidate.costs["latency_ms"],
            predicted_top1=candidate.predicted_top1,
            keras_top1=result["val"],
        )
        for candidate, result in zip(inside, results, strict=True)
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


def notes(run: RunDirectory, table: LatencyTable, predictor: AccuracyPredictor) -> dict[str, str]:
    """Where the report's figures come from."""
    quality = predictor.metrics
    return {
        "date": datetime.date.today().isoformat(),
        "command": "python -m tools.demo",
        "training": f"{run.path / 'run.json'}, seed {run.recipe.seed}",
        "decisions": "search and choice use the hold-out; the table's accuracies are on the test images",
        "accuracy predictor": f"on held-out pairs: Kendall tau {quality['kendall_tau']:.2f}, "
        f"Spearman {quality['spearman']:.2f}, RMSE {100 * quality['rmse']:.2f} points",
        "versions": ", ".join(f"{name} {version}" for name, version in table.versions.items()),
    }
