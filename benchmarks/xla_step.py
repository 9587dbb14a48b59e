"""What the forms of a training step for GPUs and TPUs cost where there are none: XLA with masks, and bfloat16.

    python -m benchmarks.xla_step --output=benchmarks/results/xla_step.json

Largest, smallest and random sub-networks of one space. Three sides: the ordinary step (slices, float32), the same with
`precision="mixed_bfloat16"`, and the step that XLA compiles (`jit_compile`), in which masks take the place of slices.
Steps of the sides alternate, so that a busy machine slows all. The first step of each side is timed apart: it holds
tracing and, with XLA, the compilation, which comes again for every image size.
"""

import time

from absl import flags

from ofa_tf.common import cli

_SPACE = flags.DEFINE_string("space", "ofa_tiny", "the space; XLA compiles for minutes where it is large")
_RANDOM = flags.DEFINE_integer("random", 1, "how many random sub-networks besides the largest and the smallest")
_BATCH = flags.DEFINE_integer("batch", 8, "images per step", lower_bound=1)
_RESOLUTION = flags.DEFINE_integer("resolution", 24, "image side in pixels")
_STEPS = flags.DEFINE_integer("steps", 2, "timed steps of each side, per sub-network", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

_SIDES = {"sliced": {}, "bfloat16": {"precision": "mixed_bfloat16"}, "xla": {"jit_compile": True}}


def main(argv):
    """Measures and prints."""
    del argv
    import numpy as np

    from ofa_tf import networks, spaces
    from ofa_tf.common import write_json
    from ofa_tf.data import SYMMETRIC
    from ofa_tf.training import TrainStep

    space = spaces.get(_SPACE.value)
    net = networks.build(space)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_BATCH.value, _RESOLUTION.value, _RESOLUTION.value, 3), dtype=np.uint8)
    labels = rng.integers(0, space.num_classes, _BATCH.value).astype(np.int32)

    def seconds(step, arch):
        start = time.perf_counter()
        tensors = space.to_array(arch)[None]
        loss, *_ = step(images, labels, tensors, learning_rate=1e-3, kd_ratio=0.0, dropout=0.0, seed=(0, 0))
        float(loss)
        return time.perf_counter() - start

    archs = {"largest": space.largest(), "smallest": space.smallest()}
    archs |= {f"random {index}": space.sample(np.random.default_rng(index)) for index in range(_RANDOM.value)}
    steps = {side: TrainStep(net, None, SYMMETRIC, **options) for side, options in _SIDES.items()}
    first = {side: seconds(step, space.largest()) for side, step in steps.items()}
    print("first step, s: " + ", ".join(f"{side} {value:.1f}" for side, value in first.items()), flush=True)
    rows = []
    for name, arch in archs.items():
        turns = [{side: seconds(step, arch) for side, step in steps.items()} for _ in range(_STEPS.value + 1)]
        # The first one fills caches.
        medians = {side: float(np.median([turn[side] for turn in turns[1:]])) for side in steps}
        rows.append({"subnet": name, "arch": arch.to_dict(), **medians})
        print(f"{name:12s} " + ", ".join(f"{side} {value:.3f}" for side, value in medians.items()), flush=True)
    if _OUTPUT.value:
        settings = {"space": space.name, "batch": _BATCH.value, "resolution": _RESOLUTION.value, "steps": _STEPS.value}
        write_json(_OUTPUT.value, {**settings, "first_step_s": first, "rows": rows})


def run():
    """Runs as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
