"""Sub-networks evaluated a minute, by an earlier version of the project and by this one.

    git worktree add build/before 3cc3a28
    python -m benchmarks.evaluation_speed --before=build/before --data_dir=imagenette \
        --output=benchmarks/results/evaluation_speed.json

The shipped supernet `ofa_imagenette_mbv3`, calibrated with 2,000 augmented training images and evaluated on 1,000
hold-out photos. Each side is a process; the sides take turns with the same random sub-networks, `--subnets` of each
resolution in a turn. What is done once, decoding the images of a resolution and tracing, is not in the times.
Goal: three times as many a minute, with the same accuracies.
"""

import json
import os
import resource
import subprocess
import sys
import time

from absl import flags

from ofa_tf.common import cli

_BEFORE = flags.DEFINE_string("before", None, "a folder with the earlier version, for example a git worktree")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the photos, as for --supernet=ofa_imagenette_mbv3", required=True)
_RESOLUTIONS = flags.DEFINE_list("resolutions", ["96", "128", "160"], "image sides, in pixels")
_SUBNETS = flags.DEFINE_integer("subnets", 2, "sub-networks of each resolution", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 14, "of the sub-networks")
_ONEDNN = flags.DEFINE_bool("onednn", False, "a third side: the earlier version with TF_ENABLE_ONEDNN_OPTS=1")
_SIDE = flags.DEFINE_bool("side", False, "how this binary calls itself: answers as one side")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

_SUPERNET = "ofa_imagenette_mbv3"


def main(argv):
    """Measures and prints, or answers as one side."""
    del argv
    if _SIDE.value:
        answer()
        return
    import dataclasses

    import numpy as np

    from ofa_tf import zoo
    from ofa_tf.common import InputError, write_json

    if _BEFORE.value is None:
        raise InputError("--before: give the folder of the earlier version (`git worktree add FOLDER COMMIT`)")
    space = zoo.supernet(_SUPERNET).space
    here = os.getcwd()
    folders = {"before": (_BEFORE.value, {}), "now": (here, {})}
    if _ONEDNN.value:
        folders["before, oneDNN"] = _BEFORE.value, {"TF_ENABLE_ONEDNN_OPTS": "1"}
    sides = {}
    for side, (folder, changes) in folders.items():
        # The earlier version has no such file; its packages come before ours on the path.
        environment = {**os.environ, **changes, "PYTHONPATH": os.path.abspath(folder)}
        photos = os.path.abspath(_DATA_DIR.value)
        command = [sys.executable, os.path.abspath(__file__), "--side", f"--data_dir={photos}"]
        sides[side] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
        )
    rows = []
    for turn, resolution in enumerate(map(int, _RESOLUTIONS.value)):
        archs = [
            dataclasses.replace(space.sample(np.random.default_rng([_SEED.value, turn, index])), r=resolution).to_dict()
            for index in range(_SUBNETS.value)
        ]
        for side, process in sides.items():
            print(json.dumps({"resolution": resolution, "archs": archs}), file=process.stdin, flush=True)
            answered = json.loads(process.stdout.readline())
            rows.append({"side": side, "resolution": resolution, "subnets": len(archs), **answered})
            rate = 60 * len(archs) / answered["seconds"]
            print(f"{resolution} px, {side}: {rate:.1f} sub-networks a minute", flush=True)
    peaks = {}
    for side, process in sides.items():
        process.stdin.close()
        peaks[side] = json.loads(process.stdout.readline())["peak_bytes"]
        process.wait()
    seconds = {side: sum(row["seconds"] for row in rows if row["side"] == side) for side in sides}
    rates = {
        side: 60 * sum(row["subnets"] for row in rows if row["side"] == side) / total for side, total in seconds.items()
    }
    top1 = {side: [value for row in rows if row["side"] == side for value in row["top1"]] for side in sides}
    differences = np.abs(np.subtract(top1["now"], top1["before"]))
    print(
        f"sub-networks a minute: {', '.join(f'{side} {rate:.2f}' for side, rate in rates.items())}; "
        f"{rates['now'] / rates['before']:.2f} times as many (goal at least 3); top-1 differs by at most "
        f"{100 * differences.max():.1f} points; peak memory {peaks['before'] / 2**30:.2f} and now "
        f"{peaks['now'] / 2**30:.2f} GiB"
    )
    if _OUTPUT.value:
        write_json(
            _OUTPUT.value,
            {
                "supernet": _SUPERNET,
                "subnets_per_minute": rates,
                "ratio": rates["now"] / rates["before"],
                "largest_top1_difference": float(differences.max()),
                "peak_bytes": peaks,
                "rows": rows,
            },
        )


def answer() -> None:
    """One side: reads lists of architectures, answers with the seconds that all of a list took, and their top-1."""
    from ofa_tf.evaluation import collect
    from ofa_tf.specialize import open_source

    opened = open_source(supernet=_SUPERNET, data_dir=_DATA_DIR.value)
    space = opened.net.space
    first = True
    for line in sys.stdin:
        asked = json.loads(line)
        resolution = asked["resolution"]
        # Skipped blocks have no kernel size and ratio; an architecture is given some.
        archs = [
            space.arch(ks=[ks or 3 for ks in arch["ks"]], e=[e or 3 for e in arch["e"]], d=arch["d"], r=resolution)
            for arch in asked["archs"]
        ]
        # What the first sub-network of a run or of a resolution does for all others.
        opened.evaluator.calibration_set(resolution)
        opened.evaluator.images("holdout", resolution)
        if first:
            opened.evaluator.evaluate(space.smallest(), split="holdout", limit=opened.evaluator.batch_size)
            first = False
        began = time.perf_counter()
        found = list(collect(opened.evaluator, archs, split="holdout", known=lambda arch: False))
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "top1": [result.top1 for result in found]}), flush=True)
    print(json.dumps({"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
