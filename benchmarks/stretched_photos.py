"""What stretched photos cost, and what calibration on stretched photos regains, for sub-networks trained on crops.

    python -m benchmarks.stretched_photos --supernet=ofa_imagenette_mbv3 --data_dir=imagenette \\
        --output=benchmarks/results/stretched_photos_imagenette.json

Top-1 on the validation split, cropped and stretched, with batch-norm statistics of crops and of stretched photos.
Without `--data_dir` on the few photos that ship, with `--run_dir` of the supernet of a run.
"""

import dataclasses

from absl import flags

from ofa_tf.common import InputError, cli
from ofa_tf.common.resizing import RESIZES
from tools import source_flags

_SOURCE = source_flags.define()
_RESOLUTIONS = flags.DEFINE_list("resolutions", None, "image sides in pixels; the space's largest unless given")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Evaluates and prints a table."""
    del argv
    from ofa_tf.common import write_json
    from ofa_tf.specialize import open_source

    if _SOURCE.resize.value is not None:
        raise InputError("--resize: both ways are measured here; leave it out")
    evaluators = {way: open_source(**{**_SOURCE.values(), "resize": way}).evaluator for way in RESIZES}
    space = evaluators[RESIZES[0]].net.space
    rows = []
    print("sub-network | calibrated on | " + " | ".join(f"top-1, {way}" for way in RESIZES), flush=True)
    for side in map(int, _RESOLUTIONS.value or space.resolutions[-1:]):
        for name, arch in {"largest": space.largest(), "smallest": space.smallest()}.items():
            sized = dataclasses.replace(arch, r=side)
            for calibrated, evaluator in evaluators.items():
                statistics = evaluator.calibrate(sized)
                found = {
                    way: each.evaluate(sized, split="validation", statistics=statistics)
                    for way, each in evaluators.items()
                }
                row = {"subnet": name, "resolution": side, "calibrated_on": calibrated}
                row |= {f"top1_{way}": result.top1 for way, result in found.items()}
                rows.append(row | {"images": found[calibrated].images})
                tops = " | ".join(f"{100 * result.top1:.1f}" for result in found.values())
                print(f"{name}, {side} px | {calibrated} | {tops}", flush=True)
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"space": space.name, "split": "validation", "rows": rows})


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
