"""What sub-networks keep of the published network that their supernet was made of, and what smaller images keep of it.

    python -m benchmarks.native_supernet --native=lite0.npz --supernet=ofa_efficientnet_lite \\
        --predictor=ofa_efficientnet_lite --data_dir=SAMPLE --output=benchmarks/results/native_supernet.json

SAMPLE/train and SAMPLE/validation have photos in folders of the network's classes; statistics are calibrated on the
first. The published network runs with its own statistics at several image sides. Sub-networks are searched for some
shares of its multiply-accumulates, by the predictor, which never sees a figure that is told here unless it was fitted
on the same photos.
"""

import dataclasses

from absl import flags

from ofa_tf.common import cli

_NATIVE = flags.DEFINE_string("native", None, "the published network as tools.import_ofa packs it", required=True)
_SUPERNET = flags.DEFINE_string("supernet", "ofa_efficientnet_lite", "the supernet that was made of it")
_PREDICTOR = flags.DEFINE_string("predictor", "ofa_efficientnet_lite", "of accuracies, a name or a file")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "photos of the network's classes", required=True)
_SHARES = flags.DEFINE_list("shares", ["0.75", "0.5", "0.25", "0.1"], "of the network's multiply-accumulates")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Evaluates and prints."""
    del argv
    from ofa_tf import spaces
    from ofa_tf.common import write_json
    from ofa_tf.data import Preprocessing
    from ofa_tf.evaluation import evaluate_model
    from ofa_tf.search import Constraint, evolutionary_search
    from ofa_tf.specialize import open_accuracy_predictor, open_source, read_supernet

    packed = read_supernet(_NATIVE.value)
    network = packed.provenance["network"]
    space, native = spaces.native_space(network, num_classes=packed.net.space.num_classes)
    opened = open_source(supernet=_SUPERNET.value, data_dir=_DATA_DIR.value)
    preprocessing = Preprocessing.from_config(dict(packed.preprocessing))
    rows = []
    for side in reversed(space.resolutions):
        arch = dataclasses.replace(native, r=side)
        model = packed.net.extract(arch)
        found = evaluate_model(model, opened.dataset, split="validation", preprocessing=preprocessing)
        rows.append({"network": network, "side": side, "macs": space.count_macs(arch), "top1": found["top1"]})
        _tell(rows[-1], rows[0])
    predictor = open_accuracy_predictor(_PREDICTOR.value)
    for share in map(float, _SHARES.value):
        limit = Constraint("macs", share * rows[0]["macs"])
        arch = evolutionary_search(opened.net.space, predictor, limit, seed=0).arch
        found = opened.evaluator.evaluate(arch, split="validation")
        macs = opened.net.space.count_macs(arch)
        rows.append(
            {"network": "sub-network", "side": arch.r, "macs": macs, "top1": found.top1, "arch": arch.to_json()}
        )
        _tell(rows[-1], rows[0])
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"images": len(opened.dataset.split("validation")), "rows": rows})


def _tell(row: dict, whole: dict) -> None:
    share, kept = row["macs"] / whole["macs"], row["top1"] / whole["top1"]
    print(
        f"{row['network']} at {row['side']}: {row['macs'] / 1e6:.0f} million MACs ({share:.2f}), top-1 "
        f"{row['top1']:.3f} ({kept:.2f} of the published network's)",
        flush=True,
    )


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
