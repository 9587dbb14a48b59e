"""Top-1 of the largest, the smallest and the eight uniform sub-networks of a supernet, on its validation split.

    python -m benchmarks.uniform_subnets --supernet=ofa_imagenette_mbv3 --data_dir=imagenette \\
        --resolutions=96,128,160 --output=benchmarks/results/imagenette.json

The eight: depth 2 or 4, expand ratio 3 or 6, kernel size 3 or 7, everywhere (Cai et al., section 4.1). Each is
calibrated at each resolution. With `--run_dir`, the supernet of a run.
"""

import itertools

from absl import flags

from ofa_tf.common import cli
from tools import source_flags

_SOURCE = source_flags.define()
_RESOLUTIONS = flags.DEFINE_list("resolutions", None, "image sides in pixels; the space's largest unless given")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Evaluates and prints a table."""
    del argv
    from ofa_tf.common import write_json
    from ofa_tf.specialize import open_source

    opened = open_source(**_SOURCE.values())
    space = opened.net.space
    resolutions = [int(text) for text in _RESOLUTIONS.value or space.resolutions[-1:]]
    subnets = {"largest": space.largest(), "smallest": space.smallest()}
    for d, e, ks in itertools.product((2, 4), (3, 6), (3, 7)):
        subnets[f"D{d}-W{e}-K{ks}"] = space.arch(d=d, e=e, ks=ks)
    rows = []
    print("sub-network | million MACs at the largest | " + " | ".join(f"{r} px" for r in resolutions), flush=True)
    for name, arch in subnets.items():
        archs = {r: space.arch(ks=arch.ks, e=arch.e, d=arch.d, r=r) for r in resolutions}
        found = {r: opened.evaluator.evaluate(sized, split="validation") for r, sized in archs.items()}
        macs = {r: space.count_macs(sized) for r, sized in archs.items()}
        rows += [
            {"subnet": name, "resolution": r, "top1": result.top1, "images": result.images, "macs": macs[r]}
            for r, result in found.items()
        ]
        tops = " | ".join(f"{100 * result.top1:.1f}" for result in found.values())
        print(f"{name} | {max(macs.values()) / 1e6:.1f} | {tops}", flush=True)
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"space": space.name, "split": "validation", "rows": rows})


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
