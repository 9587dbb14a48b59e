"""The two parts of the demo: the supernet that ships, specialized for this machine; and one that is trained here."""

import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ofa_tf import devices, zoo
from ofa_tf.common import OfaError, as_called, write_json
from ofa_tf.data import decode_image, evaluation_image, load
from ofa_tf.data.names import label_facts
from ofa_tf.deploy import Runner
from ofa_tf.devices.verification import Verification
from ofa_tf.evaluation import Evaluator
from ofa_tf.predictors import AccuracyPredictor, LatencyTable
from ofa_tf.report import format_table
from ofa_tf.search import Constraint, random_search
from ofa_tf.spaces import Arch
from ofa_tf.specialize import (
    Opened,
    Specialization,
    Target,
    TargetDevices,
    TargetResult,
    file_top1,
    specialize,
    train_supernet,
)
from ofa_tf.specialize.linear_probe import with_fitted_classifier
from ofa_tf.specialize.opened import of_packed
from ofa_tf.specialize.photos import TABLE_ROUNDS
from ofa_tf.specialize.work import say

from .specialization_page import write_page

SUPERNET, PHOTOS_OF, RESOLUTION, PHOTOS = "ofa_efficientnet_lite", "ofa_imagenette_mbv3", 128, 5
# Where between the smallest and the largest sub-network's latency the budgets lie, on a logarithmic scale.
SHIPPED_BUDGET, BUDGETS = 0.4, (0.3, 0.5, 0.7)
# What comes after the training, for the time that is told to be left.
THEN_SECONDS = {"specialize at three budgets of this machine": 90.0, "compare with random sub-networks": 60.0}
# A predictor that was fitted to few pairs is a rough judge: many of the search's best are evaluated.
CANDIDATES, RANDOM_SUBNETS = 24, 20
# Whole networks that the latency table is checked with in the end.
VERIFIED = 16
# The shipped photos are few: more than this would be a broken file, not a matter of chance.
MAX_DROP, SHIPPED_MAX_DROP = 0.02, 0.05
# One percentage point, and a rounding error.
POINT = 0.01 + 1e-9


def specialize_shipped(folder: pathlib.Path, seed: int = 0) -> dict[str, Any]:
    """From photos of a few classes to an int8 file for this machine; nothing is trained but a classifier.

    Args:
        folder: where everything is written.
        seed: of the search.

    Returns:
        What `result.json` holds.
    """
    began = time.monotonic()
    packed, photos = zoo.packed_supernet(SUPERNET), load("folder", zoo.photos(PHOTOS_OF))
    say(f"1/4 fit a classifier for {photos.num_classes} classes to {len(photos.split('train'))} photos")
    opened = of_packed(with_fitted_classifier(packed, photos), photos, SUPERNET)
    say(f"2/4 measure: this machine's int8 latency table at {RESOLUTION} pixels, block by block")
    options = {"resolutions": (RESOLUTION,), "candidates": 1, "max_drop": SHIPPED_MAX_DROP, "seed": seed}
    settings = devices.Settings(rounds=TABLE_ROUNDS)
    [target] = targets_between(opened, folder, [SHIPPED_BUDGET], settings, **options)
    say(f"3/4 search below {target.limits['latency_ms']:g} ms, calibrate, export, measure")
    # It was fitted to accuracies on other classes; the order of sub-networks is much the same.
    predictor = dataclasses.replace(zoo.accuracy_predictor(SUPERNET), space=opened.net.space)
    done = specialize(opened, targets=[target], output=folder, predictor=predictor, settings=settings)
    [result] = kept(done)
    say("4/4 classify photos with the file")
    answers = classify(opened, result.path)
    figures = {
        "file": str(result.path),
        "arch": result.arch.to_dict(),
        "macs": result.predicted["macs"],
        "budget_ms": target.limits["latency_ms"],
        "predicted_ms": result.predicted["latency_ms"],
        "measured_ms": result.measured["latency_ms"],
        "model_bytes": result.measured["model_bytes"],
        **{name: getattr(result, name) for name in ("keras_top1", "tflite_top1", "images")},
        "photos": answers,
        "seconds": time.monotonic() - began,
    }
    write_json(folder / "result.json", figures)
    print(
        f"{result.path}: {figures['measured_ms']:.2f} ms here (budget {figures['budget_ms']:g}, predicted "
        f"{figures['predicted_ms']:.2f}), {figures['model_bytes'] / 1e6:.2f} MB"
    )
    print(
        f"top-1 on {result.images} photos that the classifier was not fitted to: {100 * result.tflite_top1:.0f}% (in "
        f"float {100 * result.keras_top1:.0f}%); of accuracies the search knew the order only, on ImageNet's classes"
    )
    for answer in answers:
        print(f"{answer['file']} ({answer['is']}): {answer['answer']}, {100 * answer['probability']:.0f}%")
    print(f"from photos to this file in {figures['seconds']:.0f} s; a training (--photos) makes it better")
    return figures


def demonstrate(run_dir: str, config: Mapping[str, Any], *, pairs: int, seed: int) -> Specialization:
    """Trains, collects, fits, specializes at three budgets, and compares with random sub-networks.

    Args:
        run_dir: where everything is written; what is there is not done again.
        config: the experiment, see `open_experiment`.
        pairs: sub-networks measured for the accuracy predictor.
        seed: of search and random choices.
    """
    opened, predictor = train_supernet(run_dir, config, pairs=pairs, then=THEN_SECONDS)
    run, quality = opened.run, predictor.metrics
    judged = f"Kendall tau {quality['kendall_tau']:.2f}, RMSE {100 * quality['rmse']:.2f} points"
    options = {"candidates": CANDIDATES, "max_drop": MAX_DROP, "seed": seed}
    targets = targets_between(opened, run.path, BUDGETS, devices.Settings(), **options)
    done = specialize(opened, targets=targets, output=run.path, predictor=predictor)
    results = kept(done)

    say("compare with random sub-networks, and check the latency table with whole ones")
    table = done.devices.table(targets[0])
    with devices.open(devices.HOST) as device:
        verification, _ = devices.verify_table(table, run.space, device, networks=VERIFIED, seed=seed + 1)
    comparisons, others = {}, checks(verification, targets[0])
    for result in results:
        comparisons[result.target.name], drawn = compare_with_random(opened, predictor, table, result, seed)
        others += drawn
    lacks = shortcomings(comparisons, verification)
    figures = {"comparisons": comparisons, "latency": verification.to_dict(), "predictor": dict(quality)}
    write_json(run.path / "result.json", {**figures, "shortcomings": lacks})
    print(format_table(results))
    for result in results:
        found = comparisons[result.target.name]
        print(
            f"{result.target.name}, test images: {100 * found['file_test']:.1f}% by the file, "
            f"{100 * found['searched']['test']:.1f}% in float; the best of {RANDOM_SUBNETS} random sub-networks inside "
            f"the budget, chosen on validation images, {100 * found['best_random']['test']:.1f}%"
        )
    print(f"latency table: {verification.summary()}")
    for lack in lacks:
        print(f"NOT AS IT SHOULD BE: {lack}")
    page = write_page(
        done,
        others=others,
        title="Once-for-all on handwritten digits",
        notes={
            "command": as_called("python -m tools.demo"),
            "training": f"{run.path / 'run.json'}, seed {run.recipe.seed}",
            "decisions": "search, choice and all accuracies on this page are of validation images; result.json has "
            "those of the test images",
            "accuracy predictor": f"on pairs that it was not fitted to: {judged}",
        },
    )
    print(f"report: {page}")
    return done


def targets_between(
    opened: Opened, folder: pathlib.Path, shares: Sequence[float], settings: devices.Settings, **options: Any
) -> list[Target]:
    """Targets on this machine whose budgets lie between the smallest and the largest sub-network's latency.

    Args:
        opened: the supernet.
        folder: of the tables; the table that tells is made there.
        shares: where they lie, 0..1, on a logarithmic scale.
        settings: of the measurement.
        options: of the targets.
    """
    space = opened.net.space
    sides = options.get("resolutions", space.resolutions)
    bench = TargetDevices(folder / "tables", settings=settings, say=say)
    any_budget = Target("any", devices.HOST, {"latency_ms": 1.0}, **options)
    bench.build_tables([(any_budget, space, sides)])
    table = bench.table(any_budget)
    ends = [dataclasses.replace(space.smallest(), r=min(sides)), dataclasses.replace(space.largest(), r=max(sides))]
    smallest_ms, largest_ms = table.predict(space, ends)
    budgets_ms = [float(f"{smallest_ms * (largest_ms / smallest_ms) ** share:.2g}") for share in shares]
    say(f"    sub-networks take {smallest_ms:.2f} to {largest_ms:.2f} ms")
    return [Target(f"{budget:g} ms", devices.HOST, {"latency_ms": budget}, **options) for budget in budgets_ms]


def kept(done: Specialization) -> Sequence[TargetResult]:
    """The results, all of which a demo needs."""
    for result in done.failed:
        raise OfaError(f"{result.target.name}: {result.reason}")
    return done.results


def compare_with_random(
    opened: Opened, predictor: AccuracyPredictor, table: LatencyTable, result: TargetResult, seed: int
) -> tuple[dict[str, Any], list[TargetResult]]:
    """A chosen sub-network next to random ones inside its budget.

    Returns:
        Top-1 of it and of the random sub-network that validation images would choose, on both splits; beside them the
        best "test" of any random one, which nobody could have chosen, and the file's. And the random ones.
    """
    constraint = Constraint("latency_ms", result.target.limits["latency_ms"], predictor=table)
    evaluator = opened.evaluator
    inside = random_search(evaluator.net.space, [constraint], RANDOM_SUBNETS, accuracy_predictor=predictor, seed=seed)
    tops = [top1_by_split(evaluator, candidate.arch) for candidate in inside]
    drawn = [
        dataclasses.replace(
            result,
            target=dataclasses.replace(result.target, name=f"random {number} below {result.target.name}"),
            arch=candidate.arch,
            predicted=dict(candidate.costs),
            measured={},
            predicted_top1=candidate.predicted_top1,
            keras_top1=top["validation"],
            tflite_top1=None,
        )
        for number, (candidate, top) in enumerate(zip(inside, tops, strict=True))
    ]
    comparison = {
        "searched": top1_by_split(evaluator, result.arch),
        "best_random": max(tops, key=lambda top: top["validation"]),
        "best_random_test": max(top["test"] for top in tops),
        "file_test": file_top1(opened, result.path, result.arch.r, split="test")[0],
    }
    return comparison, drawn


def checks(verification: Verification, target: Target) -> list[TargetResult]:
    """The whole networks that the latency table was checked with, for the page."""
    found = zip(verification.archs, verification.predicted_ms, verification.measured_ms, strict=True)
    return [
        TargetResult(
            dataclasses.replace(target, name=f"check {number}"),
            "architecture",
            arch=arch,
            predicted={"latency_ms": predicted_ms},
            measured={"latency_ms": measured_ms},
        )
        for number, (arch, predicted_ms, measured_ms) in enumerate(found)
    ]


def top1_by_split(evaluator: Evaluator, arch: Arch) -> dict[str, float]:
    """Calibrated float top-1 on validation and test images."""
    statistics = evaluator.calibrate(arch)
    return {
        split: evaluator.evaluate(arch, split=split, statistics=statistics).top1 for split in ("validation", "test")
    }


def shortcomings(comparisons: Mapping[str, Mapping], verification: Verification) -> list[str]:
    """What a demo should show and this one did not; empty where all is well."""
    found = []
    for name, comparison in comparisons.items():
        if comparison["searched"]["test"] - comparison["file_test"] > POINT:
            found.append(f"{name}: int8 is more than a point below float on the test images")
        # On the test images the bar is whichever random one is best there, though nobody could have chosen it.
        bars = {"validation images": ("validation", comparison["best_random"]["validation"])}
        bars["test images"] = ("test", comparison["best_random_test"])
        for images, (split, bar) in bars.items():
            if bar - comparison["searched"][split] > POINT:
                found.append(f"{name}: more than a point below the best random sub-network on the {images}")
    if verification.mape > 5 or verification.spearman < 0.98:
        found.append("the latency table misses networks by more than 5%, or orders them badly: was the machine busy?")
    return found


def classify(opened: Opened, path: pathlib.Path) -> list[dict[str, Any]]:
    """A few photos of different classes, as an app would have them classified: from the JPEG file to a word."""
    classes = label_facts(opened.dataset)["names"]
    split, runner = opened.dataset.split("validation"), Runner(path)
    answers = []
    for place in np.linspace(0, len(split) - 1, PHOTOS + 2).astype(int)[1:-1]:
        file = split.records[int(split.indices[place])].numpy().decode()
        preprocessing = opened.evaluator.preprocessing
        image = evaluation_image(
            decode_image(tf.io.read_file(file)), RESOLUTION, preprocessing.crop_fraction, preprocessing.resize
        ).numpy()
        probabilities = runner.predict(image[np.newaxis])[0]
        answers.append(
            {
                "file": pathlib.Path(file).name,
                "is": classes[split.labels[place]],
                "answer": classes[probabilities.argmax()],
                "probability": float(probabilities.max()),
            }
        )
    return answers
