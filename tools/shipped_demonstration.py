"""The first part of the demo: the supernet that ships, specialized for this machine without any training."""

import dataclasses
import pathlib
import time
from typing import Any

import numpy as np
import tensorflow as tf

from ofa_tf import devices, zoo
from ofa_tf.common import read_json, write_json
from ofa_tf.data import decode_image, evaluation_image
from ofa_tf.deploy import ExportReport, Runner
from ofa_tf.search import Candidate, evolutionary_search
from ofa_tf.search.constraint import constraints_of
from ofa_tf.specialize import Opened, export_subnet, within_limits

from .opening import open_source
from .pipeline import measure_ms, say

SUPERNET = "ofa_imagenette_mbv3"
RESOLUTION, PRECISION = 128, "int8"
# Where between the smallest and the largest sub-network's latency the budget lies, on a logarithmic scale.
BUDGET = 0.4
# Half of what a table is usually given: the file is measured in the end.
TABLE_ROUNDS = 4
# The check has few images: more than this would be a broken file, not a matter of chance.
MAX_DROP = 0.05
PHOTOS = 5


def specialize_shipped(folder: pathlib.Path, seed: int = 0) -> dict[str, Any]:
    """From photos to an int8 file for this machine.

    Args:
        folder: where the table, the file and `result.json` are written.
        seed: of the search.

    Returns:
        What `result.json` holds.
    """
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    opened = open_source(supernet=SUPERNET)
    space, predictor = opened.net.space, zoo.accuracy_predictor(SUPERNET)
    say(f"1/3 measure: this machine's {PRECISION} latency table at {RESOLUTION} pixels, block by block")
    with devices.open(devices.HOST, settings=devices.Settings(rounds=TABLE_ROUNDS)) as device:
        table = device.build_table(
            space, PRECISION, folder / f"host_{PRECISION}.json", resolutions=(RESOLUTION,), seed=seed
        )
    ends = [dataclasses.replace(arch, r=RESOLUTION) for arch in (space.smallest(), space.largest())]
    smallest_ms, largest_ms = table.predict(space, ends)
    budget_ms = float(f"{smallest_ms * (largest_ms / smallest_ms) ** BUDGET:.2g}")
    say(f"2/3 search below {budget_ms:g} ms (of {smallest_ms:.2f} to {largest_ms:.2f} ms), calibrate, export, measure")
    path = folder / f"{SUPERNET}_{PRECISION}.tflite"

    def attempt(limits: dict[str, float]) -> tuple[tuple[Candidate, ExportReport, float], dict[str, float]]:
        constraints = constraints_of(limits, table=table)
        found = evolutionary_search(space, predictor, constraints, seed=seed, resolutions=(RESOLUTION,)).top(1)[0]
        exported = export_subnet(opened, found.arch, path, precision=PRECISION, split="holdout", max_drop=MAX_DROP)
        measured_ms = measure_ms(path, table.threads)
        return (found, exported, measured_ms), {"latency_ms": measured_ms}

    found, exported, measured_ms = within_limits(
        {"latency_ms": budget_ms}, attempt, say=lambda text: say(f"    {text}")
    )
    say("3/3 classify photos with the file")
    answers = classify(opened, path)
    result = {
        "file": str(path),
        "arch": found.arch.to_dict(),
        "macs": space.count_macs(found.arch),
        "budget_ms": budget_ms,
        "predicted_ms": found.costs["latency_ms"],
        "measured_ms": measured_ms,
        "predicted_top1": found.predicted_top1,
        **{name: getattr(exported, name) for name in ("keras_top1", "tflite_top1", "images", "model_bytes")},
        "photos": answers,
        "seconds": time.monotonic() - began,
    }
    write_json(folder / "result.json", result)
    print(
        f"{path}: {measured_ms:.2f} ms here (budget {budget_ms:g}, predicted {found.costs['latency_ms']:.2f}; the "
        f"largest would take {largest_ms:.2f}), {exported.model_bytes / 1e6:.2f} MB"
    )
    print(
        f"top-1 on {exported.images} photos that it was not trained on: {100 * exported.tflite_top1:.0f}% "
        f"(in float {100 * exported.keras_top1:.0f}%, predicted {100 * found.predicted_top1:.1f}%)"
    )
    for answer in answers:
        print(f"{answer['file']} ({answer['is']}): {answer['answer']}, {100 * answer['probability']:.0f}%")
    print(f"from photos to this file in {result['seconds']:.0f} s, without training")
    return result


def classify(opened: Opened, path: pathlib.Path) -> list[dict[str, Any]]:
    """A few photos of different classes, as an app would have them classified: from the JPEG file to a word."""
    names = read_json(zoo.photos(SUPERNET) / "names.json", "class names")
    classes = [names[name] for name in opened.dataset.class_names]
    split, runner = opened.dataset.split("holdout"), Runner(path)
    answers = []
    for place in np.linspace(0, len(split) - 1, PHOTOS + 2).astype(int)[1:-1]:
        file = split.records[int(split.indices[place])].numpy().decode()
        crop_fraction = opened.evaluator.preprocessing.crop_fraction
        image = evaluation_image(decode_image(tf.io.read_file(file)), RESOLUTION, crop_fraction).numpy()
        logits = runner.predict(image[np.newaxis])[0]
        answers.append(
            {
                "file": pathlib.Path(file).name,
                "is": classes[split.labels[place]],
                "answer": classes[logits.argmax()],
                "probability": float(tf.nn.softmax(logits).numpy().max()),
            }
        )
    return answers
