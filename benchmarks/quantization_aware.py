"""int8 files with and without training for it, across the front of a supernet, on its hold-out.

    python -m benchmarks.quantization_aware --supernet=ofa_imagenette_mbv3 --data_dir=imagenette \
        --predictor=ofa_imagenette_mbv3 --output=benchmarks/results/quantization_aware.jsonl

Goal: files of quantization-aware training within half a point of the float network's top-1. The front is searched by
the predictor against MACs, and sub-networks are taken from it at equal ratios. Each is exported both ways and run on
the hold-out through the files. A line is written for each; the same command goes on where it was stopped.
"""

import pathlib
import tempfile
import time

from absl import flags

from ofa_tf.common import cli
from tools import source_flags

_SOURCE = source_flags.define()
_PREDICTOR = flags.DEFINE_string("predictor", None, "of accuracy: one that ships, or a file", required=True)
_COUNT = flags.DEFINE_integer("count", 10, "sub-networks", lower_bound=2)
_EPOCHS = flags.DEFINE_integer("epochs", 1, "of quantization-aware training", lower_bound=1)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-4, "of its first step", lower_bound=0.0)
_OUTPUT = flags.DEFINE_string("output", None, "the .jsonl file for the figures", required=True)


def main(argv):
    """Searches, exports twice, prints."""
    del argv
    import numpy as np

    from ofa_tf.common import append_json_line, read_json_lines
    from ofa_tf.search import Constraint, pareto_search
    from tools.opening import open_accuracy_predictor, open_source

    opened = open_source(**_SOURCE.values())
    space = opened.net.space
    limit = Constraint("macs", space.count_macs(space.largest()))
    front = pareto_search(space, open_accuracy_predictor(_PREDICTOR.value), limit)
    costs = [candidate.costs["macs"] for candidate in front.candidates]
    chosen = [front.best(macs).arch for macs in np.geomspace(min(costs), max(costs), _COUNT.value)]
    settings = {"epochs": _EPOCHS.value, "learning_rate": _LEARNING_RATE.value}
    rows = read_json_lines(_OUTPUT.value) if pathlib.Path(_OUTPUT.value).exists() else []
    for arch in dict.fromkeys(chosen):
        known = {"arch": arch.to_dict(), **settings}
        row = next((row for row in rows if known.items() <= row.items()), None)
        if row is None:
            row = {**known, "macs": space.count_macs(arch), **_figures(opened, arch)}
            append_json_line(_OUTPUT.value, row)
        print(
            f"{row['macs'] / 1e6:.1f} million MACs at {arch.r} px: float {100 * row['float_top1']:.1f}%, int8 "
            f"{100 * row['int8_top1']:.1f}%, trained for it {100 * row['trained_top1']:.1f}% "
            f"({row['train_seconds']:.0f} s, {row['trained_partitions']} partitions)",
            flush=True,
        )


def _figures(opened, arch) -> dict:
    """Both files of a sub-network, on the same images."""
    from ofa_tf.deploy import QuantizationRecipe, export_blocks, quantization_aware

    evaluator = opened.evaluator
    blocks = opened.net.space.blocks(arch)
    weights = opened.net.plain_weights(arch, evaluator.calibrate(arch))
    images, labels = evaluator.images("holdout", arch.r, None)
    same = {
        "preprocessing": evaluator.preprocessing,
        "check_images": images,
        "check_labels": labels,
        # The loss is what is measured.
        "max_drop": 1.0,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        representative = evaluator.calibration_set(arch.r)[0][:200]
        plain = export_blocks(blocks, weights, path, precision="int8", representative_images=representative, **same)
        start = time.perf_counter()
        trained = quantization_aware(
            blocks,
            weights,
            path,
            dataset=opened.dataset,
            augmentation=evaluator.augmentation,
            recipe=QuantizationRecipe(epochs=_EPOCHS.value, learning_rate=_LEARNING_RATE.value),
            **same,
        )
    return {
        "images": len(images),
        "float_top1": plain.keras_top1,
        "int8_top1": plain.tflite_top1,
        "int8_agreement": plain.agreement,
        "trained_top1": trained.tflite_top1,
        "trained_agreement": trained.agreement,
        "trained_partitions": trained.partitions,
        "train_seconds": round(time.perf_counter() - start, 1),
    }


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
