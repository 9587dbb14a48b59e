"""A sub-network for a board of 256 KB SRAM and 1 MB flash: searched, exported, run in the microcontroller's runtime.

    python -m benchmarks.microcontroller --supernet=ofa_imagenette_mbv3 --data_dir=imagenette \\
        --predictor=ofa_imagenette_mbv3 --resolutions=96 --output=benchmarks/results/microcontroller_imagenette.json
    python -m tools.fit_accuracy_predictor --pairs=benchmarks/results/cifar10/m_delayed_seed0_accuracy.jsonl \\
        --output=cifar10.npz
    python -m benchmarks.microcontroller --supernet=benchmarks/results/cifar10/m_delayed_seed0.npz --data_dir=cifar10 \\
        --predictor=cifar10.npz --max_macs=12500000 --images=5000 --output=cifar10_board.json

The int8 file is run in LiteRT and in tflite-micro on the same validation images. 32 KB of the SRAM and 128 KB of the
flash are left to the stack, the application and the runtime's code.
"""

from absl import flags

from ofa_tf.common import cli
from tools import source_flags

_SOURCE = source_flags.define()
_PREDICTOR = flags.DEFINE_string("predictor", None, "of the accuracy, as in tools.search", required=True)
_RESOLUTIONS = flags.DEFINE_list("resolutions", None, "image sides to search; the predictor's unless given")
_MAX_PEAK_MEMORY_BYTES = flags.DEFINE_float("max_peak_memory_bytes", 150e3, "limit of the search")
_MAX_MODEL_BYTES = flags.DEFINE_float("max_model_bytes", 900e3, "limit of the search")
_MAX_MACS = flags.DEFINE_float("max_macs", None, "limit of the search; none unless given", lower_bound=0)
_SRAM_BYTES = flags.DEFINE_integer("sram_bytes", (256 - 32) * 1024, "what the arena may take")
_FLASH_BYTES = flags.DEFINE_integer("flash_bytes", (1024 - 128) * 1024, "what the file may take")
_IMAGES = flags.DEFINE_integer("images", 1000, "validation images", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Searches, exports, runs and prints."""
    del argv
    import json
    import pathlib
    import tempfile

    from ofa_tf.common import write_json
    from ofa_tf.common.form import MICROCONTROLLER_FORM
    from ofa_tf.deploy import Runner
    from ofa_tf.deploy.micro_runtime import run_micro
    from ofa_tf.search import Constraint, evolutionary_search
    from ofa_tf.spaces.costs import ActivationMemory
    from ofa_tf.specialize import export_subnet, open_accuracy_predictor, open_source

    opened = open_source(**_SOURCE.values())
    written = {"precision": "int8", "form": MICROCONTROLLER_FORM}
    limits = [
        Constraint("peak_memory_bytes", _MAX_PEAK_MEMORY_BYTES.value, memory=ActivationMemory(**written)),
        Constraint("model_bytes", _MAX_MODEL_BYTES.value, **written),
    ]
    if _MAX_MACS.value is not None:
        limits.append(Constraint("macs", _MAX_MACS.value))
    resolutions = None if _RESOLUTIONS.value is None else [int(side) for side in _RESOLUTIONS.value]
    predictor = open_accuracy_predictor(_PREDICTOR.value)
    found = evolutionary_search(opened.net.space, predictor, limits, resolutions=resolutions)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "net.tflite"
        report = export_subnet(
            opened, found.arch, path, split="validation", limit=_IMAGES.value, max_drop=0.05, **written
        )
        images, labels = opened.evaluator.images("validation", found.arch.r, _IMAGES.value)
        logits = Runner(path).predict(images)
        run = run_micro(path, images)
        if run.arena_bytes <= _SRAM_BYTES.value:
            # What was added up is shown to be enough.
            run_micro(path, images[:1], arena_bytes=_SRAM_BYTES.value)
    result = {
        "space": opened.net.space.name,
        "arch": found.arch.to_dict(),
        "macs": opened.net.space.count_macs(found.arch),
        "form": report.form,
        "predicted_top1": found.predicted_top1,
        "predicted": dict(found.costs),
        "peak_memory_bytes": run.head_bytes,
        "tail_bytes": run.tail_bytes,
        "board_tail_bytes": run.board_tail_bytes,
        "arena_bytes": run.arena_bytes,
        "model_bytes": run.model_bytes,
        "fits": run.arena_bytes <= _SRAM_BYTES.value and run.model_bytes <= _FLASH_BYTES.value,
        "images": len(images),
        "keras_top1": report.keras_top1,
        "litert_top1": float((logits.argmax(-1) == labels).mean()),
        "micro_top1": float((run.outputs.argmax(-1) == labels).mean()),
        "same_class": float((run.outputs.argmax(-1) == logits.argmax(-1)).mean()),
    }
    print(json.dumps(result))
    if _OUTPUT.value:
        write_json(_OUTPUT.value, result)


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
