"""Random sub-networks of every family as float32 and int8 files, against Keras.

    python -m benchmarks.families --output=benchmarks/results/families.json

Random weights with calibrated batch norms, 64 pixels. float32: the largest difference of a logit from Keras's, relative
to the largest logit. int8: on how many of the images the class is the same. Logits of random weights lie closer
together than those of trained ones, so this share says how exact int8 is, not what accuracy it keeps; the correlation
of the logits stands beside it.
"""

from absl import flags

from ofa_tf.common import cli

_SUBNETS = flags.DEFINE_integer("subnets", 5, "random sub-networks of each family", lower_bound=1)
_RESOLUTION = flags.DEFINE_integer("resolution", 64, "image side in pixels", lower_bound=32)
_IMAGES = flags.DEFINE_integer("images", 64, "images that files are compared on", lower_bound=8)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

# Narrow where that changes nothing but the time it takes.
_FAMILIES = {
    "mobilenet_v3 w0.5": ("mobilenet_v3", (0.5,)),
    "proxyless w0.5": ("proxyless", (0.5,)),
    "resnet50 w0.125 to 0.25": ("resnet50", ((0.125, 0.1875, 0.25),)),
}


def main(argv):
    """Exports, compares and prints."""
    del argv
    import pathlib
    import tempfile

    import numpy as np
    import tqdm

    from ofa_tf import deploy, networks, spaces
    from ofa_tf.common import write_json
    from ofa_tf.data import PUBLISHED

    rng = np.random.default_rng(0)
    side = _RESOLUTION.value
    # Smooth images: those of pixel noise all look the same to a network.
    images = rng.integers(0, 256, (_IMAGES.value, 8, 8, 3), np.uint8)
    images = images.repeat(-(-side // 8), axis=1).repeat(-(-side // 8), axis=2)[:, :side, :side]
    rows = []
    for family, (function, arguments) in tqdm.tqdm(_FAMILIES.items(), desc="families", disable=None):
        space = getattr(spaces, function)(*arguments, num_classes=10, resolutions=(side,))
        net = networks.build(space, seed=1)
        for place in range(_SUBNETS.value):
            arch = space.sample(rng)
            _, statistics = net.batch_statistics(PUBLISHED.normalize(images), arch)
            statistics = statistics.numpy()
            expected = net.extract(arch, statistics)(PUBLISHED.normalize(images), training=False).numpy()
            row = {"family": family, "subnet": place, "macs": space.count_macs(arch), "arch": arch.to_dict()}
            for precision in ("float32", "int8"):
                with tempfile.TemporaryDirectory() as folder:
                    path = pathlib.Path(folder) / "model.tflite"
                    network = deploy.Network.of_subnet(net, arch, PUBLISHED, statistics)
                    network.export(path, precision, representative_images=images, outputs="logits", max_drop=1.0)
                    runner = deploy.Runner(path)
                    logits = runner.predict(images)
                if precision == "float32":
                    row["float32_error"] = float(np.abs(logits - expected).max() / np.abs(expected).max())
                row[f"{precision}_agreement"] = float(np.mean(logits.argmax(-1) == expected.argmax(-1)))
                row[f"{precision}_correlation"] = float(np.corrcoef(logits.ravel(), expected.ravel())[0, 1])
                row[f"{precision}_partitions"] = runner.partitions
            rows.append(row)
            if _OUTPUT.value:
                write_json(_OUTPUT.value, {"resolution": side, "images": len(images), "rows": rows})
    print("family | float32: largest error of a logit | int8: same class, least to greatest | int8: correlation, least")
    for family in _FAMILIES:
        found = [row for row in rows if row["family"] == family]
        shares = [row["int8_agreement"] for row in found]
        print(
            f"{family} | {max(row['float32_error'] for row in found):.1e} | {np.median(shares):.3f} "
            f"({min(shares):.3f} to {max(shares):.3f}) | {min(row['int8_correlation'] for row in found):.4f}"
        )


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
