"""Training steps against the authors' PyTorch implementation (PyPI `ofa`), and the memory they take.

    python -m benchmarks.reference_speed --output=benchmarks/results/reference_speed.json

Installs torch and ofa into an environment of their own (`--environment`, made once; needs a package index). Three
sides: that code as it is, the same with its one-line `channels_last` (what a PyTorch that is set up well does), and
ours. Each is a process with the same number of threads and the same work: one sub-network of w1.0, forward, smoothed
cross-entropy, backward, moving statistics, coupled weight decay, Nesterov momentum. Steps of the sides alternate, so
that a busy machine slows all. Ours also normalizes its uint8 images in the step; the others get floats.
`--before` adds a fourth side, an older commit of this project in a folder of its own (`git worktree add`).
Goals, over `channels_last`: largest at least 1.6, smallest 1.3, median of ten random ones 1.4; peak memory at most 1.0.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import time

from absl import flags

from ofa_tf.common import cli

_ENVIRONMENT = flags.DEFINE_string("environment", "build/reference", "folder of the environment with torch and ofa")
_BATCH = flags.DEFINE_integer("batch", 32, "images per step", lower_bound=1)
_RESOLUTION = flags.DEFINE_integer("resolution", 128, "image side in pixels")
_THREADS = flags.DEFINE_integer("threads", 2, "of either side", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 7, "timed steps of each side, per sub-network", lower_bound=1)
_RANDOM = flags.DEFINE_integer("random", 10, "random sub-networks besides the largest and the smallest", lower_bound=1)
_SIDE = flags.DEFINE_bool("side", False, "how this binary calls itself: answers as our side")
_BEFORE = flags.DEFINE_string("before", None, "folder with an older commit of this project, measured too")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

_SPACE = "ofa_mbv3_d234_e346_k357_w1.0"
_PACKAGES = ("torch==2.13.0", "ofa==0.1.0.post202307202001", "numpy", "pillow", "pyyaml", "tqdm")


def main(argv):
    """Measures and prints, or answers as our side."""
    del argv
    if _SIDE.value:
        answer()
        return
    import numpy as np

    from ofa_tf import spaces
    from ofa_tf.common import write_json

    space = spaces.get(_SPACE)
    archs = {"largest": space.largest(), "smallest": space.smallest()}
    archs |= {f"random {index}": space.sample(np.random.default_rng(index)) for index in range(_RANDOM.value)}
    settings = [str(value) for value in (_BATCH.value, _RESOLUTION.value, _THREADS.value)]
    reference = [reference_python(), str(pathlib.Path(__file__).with_name("reference_worker.py")), *settings]
    ours = [sys.executable, "-m", "benchmarks.reference_speed", "--side"]
    ours += [f"--{flag.name}={flag.value}" for flag in (_BATCH, _RESOLUTION, _THREADS)]
    commands = {
        "reference": [*reference, "contiguous_format"],
        "channels_last": [*reference, "channels_last"],
        "ofa_tf": ours,
    }
    if _BEFORE.value:
        commands["before"] = ours
    environment = {**os.environ, "OMP_NUM_THREADS": str(_THREADS.value)}
    sides = {
        side: subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            cwd=_BEFORE.value if side == "before" else None,
        )
        for side, command in commands.items()
    }  # fmt: skip
    rows = []
    print(f"{'sub-network':12s} " + " ".join(f"{side:>13s}" for side in sides) + "  over channels_last", flush=True)
    for name, arch in archs.items():
        # Skipped blocks have no kernel size and ratio; the reference wants some.
        line = json.dumps({"ks": [ks or 3 for ks in arch.ks], "e": [e or 3 for e in arch.e], "d": list(arch.d)})
        seconds = {side: [] for side in sides}
        for turn in range(_STEPS.value + 2):
            for side, process in sides.items():
                print(line, file=process.stdin, flush=True)
                took = json.loads(process.stdout.readline())["seconds"]
                if turn >= 2:  # the first ones trace and fill caches
                    seconds[side].append(took)
        medians = {side: float(np.median(values)) for side, values in seconds.items()}
        ratios = {side: medians[side] / medians["ofa_tf"] for side in sides if side != "ofa_tf"}
        rows.append({"subnet": name, "arch": arch.to_dict(), "seconds": medians, "ratios": ratios})
        figures = " ".join(f"{median:13.3f}" for median in medians.values())
        print(f"{name:12s} {figures}  {ratios['channels_last']:.2f}", flush=True)
    peaks = {}
    for side, process in sides.items():
        process.stdin.close()
        peaks[side] = json.loads(process.stdout.readline())["peak_bytes"]
        process.wait()
    median = float(np.median([row["ratios"]["channels_last"] for row in rows[2:]]))
    print(
        f"over channels_last: largest {rows[0]['ratios']['channels_last']:.2f} (goal at least 1.6), smallest "
        f"{rows[1]['ratios']['channels_last']:.2f} (1.3), median of the random ones {median:.2f} (1.4); peak memory "
        + ", ".join(f"{side} {peak / 2**30:.2f} GiB" for side, peak in peaks.items())
    )
    if _OUTPUT.value:
        settings = {"space": _SPACE, "batch": _BATCH.value, "resolution": _RESOLUTION.value, "threads": _THREADS.value}
        settings |= {"steps": _STEPS.value, "packages": list(_PACKAGES)}
        write_json(_OUTPUT.value, {**settings, "median_ratio": median, "peak_bytes": peaks, "rows": rows})


def reference_python() -> str:
    """The interpreter of the reference's environment, which is made where it is not there."""
    folder = pathlib.Path(_ENVIRONMENT.value)
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing {', '.join(_PACKAGES)} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        # Without what it declares: torchvision is only imported, by parts that are not used here.
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", _PACKAGES[1]], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", _PACKAGES[0], *_PACKAGES[2:]], check=True)
        (folder / "ready").touch()
    return str(python)


def answer() -> None:
    """Our side of the protocol of `reference_worker.py`."""
    import numpy as np
    import tensorflow as tf

    from ofa_tf import networks, spaces
    from ofa_tf.data import SYMMETRIC
    from ofa_tf.training import TrainStep

    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
    space = spaces.get(_SPACE)
    net = networks.build(space)
    step = TrainStep(net, None, SYMMETRIC)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_BATCH.value, _RESOLUTION.value, _RESOLUTION.value, 3), dtype=np.uint8)
    labels = rng.integers(0, space.num_classes, _BATCH.value).astype(np.int32)
    for line in sys.stdin:
        arch = json.loads(line)
        began = time.perf_counter()
        tensors = space.to_array(space.arch(**arch))[None]
        loss, *_ = step(images, labels, tensors, learning_rate=1e-3, kd_ratio=0.0, dropout=0.0, seed=(0, 0))
        float(loss)
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)
    print(json.dumps({"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
