"""Accuracy and latency of int8 files by quantizer, on three sub-networks of the shipped supernet.

    python -m benchmarks.quantizers --data_dir=imagenette --output=benchmarks/results/quantizers.json

The smallest at 96x96, a random one at 128x128 and the largest at 128x128 and 160x160, on the hold-out of the
supernet's training (1,000 photos): float32, int8 with tf.lite's own calibration, int8 by both quantizers with the
ranges of `deploy.quantization`, and int8 with the worst layers left in float. Latency in turns, one thread, next to
float32 in its fastest form.
"""

from absl import flags

from ofa_tf.common import cli

_SUPERNET = flags.DEFINE_string("supernet", "ofa_imagenette_mbv3", "a supernet that ships, or a file")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "folder of class folders of its photos", required=True)
_IMAGES = flags.DEFINE_integer("images", 1000, "hold-out images", lower_bound=1)
_REPRESENTATIVE = flags.DEFINE_integer("representative", 200, "training images that give the ranges", lower_bound=1)
_FLOAT_LAYERS = flags.DEFINE_integer("float_layers", 3, "layers left in float", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 9, "turns of all files", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Quantizes, measures and prints."""
    del argv
    import dataclasses

    import numpy as np

    from ofa_tf.common import write_json
    from tools.opening import open_source

    opened = open_source(supernet=_SUPERNET.value, data_dir=_DATA_DIR.value)
    space = opened.net.space
    random = space.sample(np.random.default_rng(0))
    subnets = [
        ("largest", space.largest(), 128),
        ("smallest", space.smallest(), 96),
        ("random", random, 128),
        ("largest", space.largest(), 160),
    ]
    rows = []
    for name, arch, side in subnets:
        rows += _measure(opened.evaluator, name, space.canonical(dataclasses.replace(arch, r=side)))
        if _OUTPUT.value:
            write_json(_OUTPUT.value, {"images": _IMAGES.value, "representative": _REPRESENTATIVE.value, "rows": rows})


def _measure(evaluator, name, arch):
    import keras
    import numpy as np

    from ofa_tf.deploy import Runner, convert
    from ofa_tf.deploy.export import for_symmetric_inputs
    from ofa_tf.deploy.layer_errors import sqnr_db
    from ofa_tf.deploy.quantization import quantize
    from ofa_tf.networks.plain import build_plain, formed_weights
    from ofa_tf.networks.supernet import set_plain_weights

    blocks = evaluator.net.space.blocks(arch)
    weights = evaluator.net.plain_weights(arch, evaluator.calibrate(arch))
    models = {}
    for form, own in (
        ("fused-rows", weights),
        ("folded-rows", for_symmetric_inputs(weights, blocks[0].name, evaluator.preprocessing)),
    ):
        models[form] = build_plain(blocks, keras, form=form)
        set_plain_weights(models[form], formed_weights(blocks, own, form))
    images, labels = evaluator.images("holdout", arch.r, _IMAGES.value)
    representative = evaluator.calibration_set(arch.r)[0][: _REPRESENTATIVE.value].copy()
    representative[0, 0, 0], representative[0, -1, -1] = 0, 255
    inputs = (representative.astype(np.float32) - 128) / 128
    kept = quantize(models["folded-rows"], inputs, float_layers=_FLOAT_LAYERS.value)
    files = {
        "float32": convert(models["fused-rows"], "float32", prepare=evaluator.preprocessing.normalize),
        "tf.lite's own calibration": convert(
            models["folded-rows"], "int8", representative=inputs, input_type="uint8", output_type="uint8"
        ),
        "tflite": quantize(models["folded-rows"], inputs).data,
        "ai_edge": quantize(models["folded-rows"], inputs, quantizer="ai_edge").data,
        f"tflite, {_FLOAT_LAYERS.value} layers in float": kept.data,
    }
    runners = {kind: Runner(data) for kind, data in files.items()}
    logits = {kind: runner.predict(images) for kind, runner in runners.items()}
    times = {kind: [] for kind in files}
    for _ in range(_ROUNDS.value):
        for kind, runner in runners.items():
            times[kind].append(runner.time(20, 0.05, warmup_runs=2).median_ms)
    rows = []
    reference, float_ms = logits["float32"], float(np.median(times["float32"]))
    for kind, found in logits.items():
        row = {
            "subnet": f"{name}@{arch.r}",
            "file": kind,
            "top1": float(np.mean(found.argmax(-1) == labels)),
            "agreement": float(np.mean(found.argmax(-1) == reference.argmax(-1))),
            "logits_db": sqnr_db(reference, found),
            "median_ms": float(np.median(times[kind])),
            "of_float32": float(np.median(times[kind])) / float_ms,
            "partitions": runners[kind].partitions,
            "model_bytes": len(files[kind]),
            "float_layers": list(kept.float_layers) if "in float" in kind else [],
        }
        rows.append(row)
        print(row, flush=True)
    return rows


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
