"""Top-1 of sub-networks across the front through their `.tflite` files: float32, int8, int16x8, and trained for int8.

    python -m benchmarks.quantized_accuracy --supernet=ofa_imagenette_mbv3 --data_dir=imagenette \\
        --output=benchmarks/results/quantized_accuracy.json

The front of predicted accuracy over MACs is searched, and sub-networks evenly spaced over it in log MACs are exported
in every kind, as tools.export_tflite ("trained": tools.quantize_aware) does it, and run on the validation split. What
is in the output already is not done again.
"""

import pathlib
import tempfile

from absl import flags

from ofa_tf.common import cli
from tools import source_flags

_SOURCE = source_flags.define()
_PREDICTOR = flags.DEFINE_string("predictor", "ofa_imagenette_mbv3", "predicts the accuracy, as for tools.search")
_COUNT = flags.DEFINE_integer("count", 10, "sub-networks", lower_bound=2)
_KINDS = flags.DEFINE_list("kinds", ["float32", "int8", "int16x8", "trained"], "of files: precisions, and trained int8")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures", required=True)


def main(argv):
    """Searches, exports, evaluates and prints a table."""
    del argv
    import numpy as np

    from ofa_tf.common import InputError, read_json, write_json
    from ofa_tf.search import Constraint, pareto_search
    from ofa_tf.specialize import export_subnet, open_accuracy_predictor, open_source, train_quantized

    opened = open_source(**_SOURCE.values())
    space = opened.net.space
    predictor = open_accuracy_predictor(_PREDICTOR.value)
    limit = Constraint("macs", space.count_macs(space.largest()))
    front = pareto_search(space, predictor, [limit], seed=0).candidates
    costs = np.log([point.costs["macs"] for point in front])
    places = [int(np.abs(costs - cost).argmin()) for cost in np.linspace(costs[0], costs[-1], _COUNT.value)]
    known = read_json(_OUTPUT.value) if pathlib.Path(_OUTPUT.value).exists() else {"rows": [], "of": opened.digests}
    if known.get("of") != opened.digests:
        raise InputError(
            f"--output={_OUTPUT.value}: is of other weights or images, or does not say of which; remove it, or give "
            f"another file"
        )
    rows = known["rows"]
    for number, place in enumerate(places):
        arch = front[place].arch
        for kind in _KINDS.value:
            if any(row["kind"] == kind and row["arch"] == arch.to_dict() for row in rows):
                continue
            with tempfile.TemporaryDirectory() as folder:
                # Whatever the file loses is the result here.
                path = pathlib.Path(folder) / "model.tflite"
                if kind == "trained":
                    report = train_quantized(opened, arch, path, split="validation", max_drop=1.0).to_dict()
                else:
                    report = export_subnet(
                        opened, arch, path, split="validation", precision=kind, max_drop=1.0
                    ).to_dict()
            kept = ("images", "keras_top1", "tflite_top1", "agreement", "output_error", "model_bytes", "partitions")
            rows.append(
                {
                    "subnet": number,
                    "arch": arch.to_dict(),
                    "macs": space.count_macs(arch),
                    "kind": kind,
                    **{name: report[name] for name in kept},
                }
            )
            write_json(_OUTPUT.value, {"space": space.name, "split": "validation", "of": opened.digests, "rows": rows})
            print(
                f"{number} {space.count_macs(arch) / 1e6:.1f} million MACs at {arch.r}, {kind}: "
                f"{100 * report['tflite_top1']:.1f}%, in Keras {100 * report['keras_top1']:.1f}%",
                flush=True,
            )
    print("kind | top-1 lost against float, points: mean, most | the same class")
    for kind in _KINDS.value:
        found = [row for row in rows if row["kind"] == kind]
        lost = [100 * (row["keras_top1"] - row["tflite_top1"]) for row in found]
        agreement = 100 * np.mean([row["agreement"] for row in found])
        print(f"{kind} | {np.mean(lost):.2f}, {max(lost):.2f} | {agreement:.1f}%")


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
