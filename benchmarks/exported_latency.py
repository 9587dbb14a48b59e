"""Latency of exported float32 files against the same networks written by hand in plain Keras, and against known ones.

    python -m benchmarks.exported_latency --output=benchmarks/results/exported_latency.json

The smallest, the largest and three random sub-networks of the published w1.0 space at 160 and 224 pixels, random
weights: as exported by default (form "fused-rows"), in form "fused", and written by hand below, the way one writes a
MobileNetV3. All take raw uint8 images and go through the same converter; they run in turns, one thread. The ratio is
the median over turns of the exported file's time over the hand-written one's. Then the baselines of
ofa_tf/devices/baselines.py at the same resolutions.
"""

from absl import flags

from ofa_tf.common import cli

_RESOLUTIONS = flags.DEFINE_list("resolutions", ["160", "224"], "image sides in pixels")
_ROUNDS = flags.DEFINE_integer("rounds", 9, "turns of all files", lower_bound=1)
_BASELINES = flags.DEFINE_bool("baselines", True, "whether the known networks are measured too")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

_SPACE = "ofa_mbv3_d234_e346_k357_w1.0"
_FORMS = ("fused-rows", "fused")


def by_hand(arch):
    """A MobileNetV3 of an architecture, written in layers as a user of Keras would.

    Source: docs/method.md, "MobileNetV3".
    """
    from keras import Input, Model, layers

    def eight(value: float) -> int:
        rounded = max(8, int(value + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * value else rounded

    def convolved(x, filters: int, activation: str | None, kernel: int = 1, stride: int = 1):
        if stride > 1:
            x = layers.ZeroPadding2D(kernel // 2)(x)
        x = layers.Conv2D(filters, kernel, stride, "valid" if stride > 1 else "same", use_bias=False)(x)
        x = layers.BatchNormalization(epsilon=1e-5)(x)
        return layers.Activation(activation)(x) if activation else x

    def depthwise(x, activation: str, kernel: int, stride: int):
        if stride > 1:
            x = layers.ZeroPadding2D(kernel // 2)(x)
        x = layers.DepthwiseConv2D(kernel, stride, "valid" if stride > 1 else "same", use_bias=False)(x)
        return layers.Activation(activation)(layers.BatchNormalization(epsilon=1e-5)(x))

    def gated(x):
        channels = x.shape[-1]
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = layers.Conv2D(eight(channels // 4), 1, activation="relu")(gate)
        gate = layers.Activation("hard_sigmoid")(layers.Conv2D(channels, 1)(gate))
        return layers.Multiply()([x, gate])

    images = Input((arch.r, arch.r, 3))
    x = convolved(images, 16, "hard_swish", 3, 2)
    x = layers.Add()([x, convolved(depthwise(x, "relu", 3, 1), 16, None)])
    stages = [(24, 2, "relu", False), (40, 2, "relu", True), (80, 2, "hard_swish", False),
              (112, 1, "hard_swish", True), (160, 2, "hard_swish", True)]  # fmt: skip
    for stage, (width, stride, activation, gate) in enumerate(stages):
        for place in range(arch.d[stage]):
            kernel, ratio = arch.ks[4 * stage + place], arch.e[4 * stage + place]
            before = x
            x = convolved(x, eight(round(x.shape[-1] * ratio)), activation)
            x = depthwise(x, activation, kernel, stride if place == 0 else 1)
            x = convolved(gated(x) if gate else x, width, None)
            x = layers.Add()([before, x]) if place else x
    x = layers.GlobalAveragePooling2D(keepdims=True)(convolved(x, 960, "hard_swish"))
    x = layers.Activation("hard_swish")(layers.Conv2D(1280, 1, use_bias=False)(x))
    return Model(images, layers.Dense(1000)(layers.Flatten()(x)), name="by_hand")


def main(argv):
    """Converts, measures and prints."""
    del argv
    import dataclasses

    import numpy as np
    import tqdm

    from ofa_tf import spaces
    from ofa_tf.common import OfaError, write_json
    from ofa_tf.deploy import Runner, convert
    from ofa_tf.devices import baselines, host
    from ofa_tf.devices.block_models import model_bytes, normalize
    from ofa_tf.devices.measure import random_input

    space = spaces.get(_SPACE)
    rng = np.random.default_rng(0)
    archs = [space.smallest(), *(space.sample(rng) for _ in range(3)), space.largest()]
    rows, known = [], []
    cases = [(int(side), place) for side in _RESOLUTIONS.value for place in range(len(archs))]
    for side, place in tqdm.tqdm(cases, desc="sub-networks", disable=None):
        arch = dataclasses.replace(archs[place], r=side)
        model = by_hand(arch)
        trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        found, expected = (baselines.macs(model), trainable), (space.count_macs(arch), space.count_params(arch))
        if found != expected:
            raise OfaError(f"by hand: {found} MACs and parameters, {expected} expected; it is another network")
        runners = [Runner(model_bytes(space.blocks(arch), "float32", form=form)) for form in _FORMS]
        runners.append(Runner(convert(model, "float32", prepare=normalize)))
        times = _in_turns(runners, random_input, rng)
        row = {"subnet": place, "resolution": side, "macs": expected[0], "by_hand_ms": float(np.median(times[:, -1]))}
        for index, form in enumerate(_FORMS):
            row[f"{form}_ms"] = float(np.median(times[:, index]))
            row[f"{form}_ratio"] = float(np.median(times[:, index] / times[:, -1]))
        rows.append(row)
    for side in map(int, _RESOLUTIONS.value if _BASELINES.value else []):
        files = [baselines.baseline_file(name, side) for name in baselines.BASELINES]
        times = _in_turns([Runner(file.path) for file in files], random_input, rng)
        known += [
            file.to_dict(latency_ms) for file, latency_ms in zip(files, np.median(times, axis=0).tolist(), strict=True)
        ]
    print("sub-network | pixels | by hand, ms | " + " | ".join(f"{form}, ms (ratio)" for form in _FORMS))
    for row in rows:
        forms = " | ".join(f"{row[f'{form}_ms']:.2f} ({row[f'{form}_ratio']:.3f})" for form in _FORMS)
        name = f"{row['subnet']}, {row['macs'] / 1e6:.0f} M MACs"
        print(f"{name} | {row['resolution']} | {row['by_hand_ms']:.2f} | {forms}")
    ratios = {form: [row[f"{form}_ratio"] for row in rows] for form in _FORMS}
    for form, values in ratios.items():
        print(f"{form}: ratio {np.median(values):.3f} ({min(values):.3f} to {max(values):.3f})")
    for baseline in known:
        print(f"{baseline['name']} | {baseline['resolution']} | {baseline['latency_ms']:.2f} ms")
    if _OUTPUT.value:
        value = {"unit": "ms", "space": space.name, "versions": host.describe(), "rows": rows, "baselines": known}
        write_json(_OUTPUT.value, value)


def _in_turns(runners, random_input, rng):
    """Medians of every file in every turn, in milliseconds: float64 (rounds, files)."""
    import numpy as np

    for runner in runners:
        runner.fill(random_input(runner, rng))
    times = np.empty((_ROUNDS.value, len(runners)))
    for turn in times:
        for index in rng.permutation(len(runners)):
            turn[index] = runners[index].time(10, 0.02, warmup_runs=2).median_ms
    return times


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
