"""What elasticity costs: a training step of the supernet over that of a plain Keras model of the same sub-network.

    python -m benchmarks.elasticity --output=benchmarks/results/elasticity.json

Largest, smallest and random sub-networks of the w1.0 space at batch 32, 128 x 128. Both sides do all that a step does:
normalization of uint8 images, smoothed cross-entropy, gradients, batch norms' moving statistics, coupled weight decay,
Nesterov momentum. Steps of the two sides alternate, so that a busy machine slows both. Goal: ratios of at most 0.75.
"""

import time

from absl import flags

from ofa_tf.common import cli

_SPACE = flags.DEFINE_string("space", "ofa_mbv3_d234_e346_k357_w1.0", "the space")
_RANDOM = flags.DEFINE_integer("random", 10, "how many random sub-networks besides the largest and the smallest")
_BATCH = flags.DEFINE_integer("batch", 32, "images per step", lower_bound=1)
_RESOLUTION = flags.DEFINE_integer("resolution", 128, "image side in pixels")
_STEPS = flags.DEFINE_integer("steps", 7, "timed steps of each side, per sub-network", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Measures and prints."""
    del argv
    import keras
    import numpy as np

    from ofa_tf import networks, spaces
    from ofa_tf.common import write_json
    from ofa_tf.data import SYMMETRIC
    from ofa_tf.training import TrainStep

    space = spaces.get(_SPACE.value)
    net = networks.build(space)
    step = TrainStep(net, None, SYMMETRIC)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_BATCH.value, _RESOLUTION.value, _RESOLUTION.value, 3), dtype=np.uint8)
    labels = rng.integers(0, space.num_classes, _BATCH.value).astype(np.int32)
    archs = {"largest": space.largest(), "smallest": space.smallest()}
    archs |= {f"random {index}": space.sample(np.random.default_rng(index)) for index in range(_RANDOM.value)}
    rows = []
    print(f"{'sub-network':12s} {'supernet s':>10s} {'plain s':>8s} {'ratio':>6s}", flush=True)
    for name, arch in archs.items():
        tensors = space.to_array(arch)[None]
        blocks = space.blocks(space.arch(ks=arch.ks, e=arch.e, d=arch.d, r=_RESOLUTION.value))
        plain = plain_step(networks.build_plain(blocks, keras), images, labels)
        sides = {
            "supernet": lambda tensors=tensors: float(
                step(images, labels, tensors, learning_rate=1e-3, kd_ratio=0.0, dropout=0.0, seed=(0, 0))[0]
            ),
            "plain": plain,
        }
        seconds = {side: [] for side in sides}
        for turn in range(_STEPS.value + 2):
            for side, run_step in sides.items():
                start = time.perf_counter()
                run_step()
                if turn >= 2:  # the first ones trace and fill caches
                    seconds[side].append(time.perf_counter() - start)
        medians = {side: float(np.median(times)) for side, times in seconds.items()}
        ratio = medians["supernet"] / medians["plain"]
        rows.append({"subnet": name, "arch": arch.to_dict(), **medians, "ratio": ratio})
        print(f"{name:12s} {medians['supernet']:10.3f} {medians['plain']:8.3f} {ratio:6.2f}", flush=True)
    median = float(np.median([row["ratio"] for row in rows]))
    print(f"median ratio {median:.2f} (goal at most 0.75), largest {rows[0]['ratio']:.2f}, one trace: "
          f"{step.run.experimental_get_tracing_count() == 1}")  # fmt: skip
    if _OUTPUT.value:
        settings = {"space": space.name, "batch": _BATCH.value, "resolution": _RESOLUTION.value, "steps": _STEPS.value}
        write_json(_OUTPUT.value, {**settings, "median_ratio": median, "rows": rows})


def plain_step(model, images, labels):
    """A training step of a plain Keras model, doing what `TrainStep` does; returns a function that runs it once."""
    import keras
    import tensorflow as tf

    from ofa_tf.data import SYMMETRIC
    from ofa_tf.training.train_step import decays, distillation_loss, soft_targets

    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True)
    optimizer.build(model.trainable_variables)
    no_teacher = tf.zeros((len(labels), model.output_shape[-1]))

    @tf.function(autograph=False)
    def one_step(images, labels):
        with tf.GradientTape() as tape:
            logits = model(SYMMETRIC.normalize(images), training=True)
            loss = distillation_loss(logits, labels, no_teacher, label_smoothing=0.1, kd_ratio=0.0)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        gradients = [
            gradient + 3e-5 * variable if decays(variable) else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        optimizer.apply(gradients)
        return loss

    images, labels = tf.constant(images), soft_targets(labels, model.output_shape[-1])
    return lambda: float(one_step(images, labels))


def run():
    """Runs as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
