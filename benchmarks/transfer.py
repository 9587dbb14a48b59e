"""What a trained supernet gains with 300 photos: the training of `tools.specialize --photos`, and one from scratch.

    python -m benchmarks.transfer --cifar10=DIR --output=benchmarks/results/transfer.json

DIR holds `train/<class>/*.jpg`, CIFAR-10's training images. The first three classes in alphabetical order; of each, the
first 100 images to train on (a part of them held out) and the next 500 to report on. The run from scratch
(`--scratch`) has 100 passes over the images, see `ofa_tf/configs/transfer.py`.
"""

import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

from absl import flags

from benchmarks.subset import link_photos
from ofa_tf.common import cli

_CIFAR10 = flags.DEFINE_string("cifar10", None, "folder with train/<class>/*.jpg", required=True)
_INIT_FROM = flags.DEFINE_string("init_from", "ofa_efficientnet_lite", "what the first run begins with")
_SCRATCH = flags.DEFINE_bool("scratch", False, "whether another run begins with random weights")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

_CLASSES, _TRAIN, _VAL = 3, 100, 500


def main(argv):
    """Trains, evaluates and prints."""
    del argv
    from ofa_tf.common import write_json
    from ofa_tf.specialize.photos import supernet_of_photos
    from ofa_tf.training import RunDirectory

    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        photos = pathlib.Path(folder) / "photos"
        classes = few_photos(pathlib.Path(_CIFAR10.value), photos)
        supernet_of_photos(photos, pathlib.Path(folder) / "photos_run", supernet=_INIT_FROM.value, targets=())()
        if _SCRATCH.value:
            call("tools.train", "--config=ofa_tf/configs/transfer.py", f"--data_dir={photos}",
                 f"--run_dir={folder}/scratch_run")  # fmt: skip
        for start in ("photos", "scratch")[: 1 + _SCRATCH.value]:
            space = RunDirectory.open(f"{folder}/{start}_run").space
            rows[start] = {}
            for arch, side in itertools.product(("largest", "smallest"), space.resolutions):
                result = f"{folder}/{start}_{arch}.json"
                call("tools.evaluate", f"--run_dir={folder}/{start}_run", f"--arch={arch}", f"--resolution={side}",
                     "--split=test", f"--output={result}")  # fmt: skip
                found = json.loads(pathlib.Path(result).read_text())
                rows[start][f"{arch}, {side} pixels"] = {"top1": found["top1"], "images": found["images"]}
                print(
                    f"{start}: {arch}, {side} pixels: {100 * found['top1']:.1f}% of {found['images']} images",
                    flush=True,
                )
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"init_from": _INIT_FROM.value, "classes": classes, "train": _TRAIN, "top1": rows})


def few_photos(source: pathlib.Path, target: pathlib.Path) -> list[str]:
    """Links to a few images of a few classes into train/ and test/; returns the classes."""
    from ofa_tf.common import InputError

    classes = sorted(path.name for path in (source / "train").glob("*") if path.is_dir())[:_CLASSES]
    if len(classes) < _CLASSES:
        raise InputError(f"--cifar10={source}: {len(classes)} classes in train/, expected at least {_CLASSES}")
    for name in classes:
        images = sorted((source / "train" / name).iterdir())
        link_photos(images[:_TRAIN], target / "train" / name)
        link_photos(images[_TRAIN : _TRAIN + _VAL], target / "test" / name)
    return classes


def call(module: str, *arguments: str) -> None:
    """Runs a binary to its end."""
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, stdout=subprocess.DEVNULL)


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
