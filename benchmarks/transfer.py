"""What a trained supernet gains with few photos: the training of `tools.specialize --photos`, and one from scratch.

    python -m benchmarks.transfer --images=cifar10 --classes=3 --output=benchmarks/results/transfer.json
    python -m benchmarks.transfer --images=flowers --train=50 --report=200

Of each of the first classes of `--images` in alphabetical order, the first photos in `train/` by name are learned from
(a part of them held out), the next ones are reported on. The run from scratch (`--scratch`) has 100 passes over the
photos, see `ofa_tf/configs/transfer.py`.
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

_IMAGES = flags.DEFINE_string("images", None, "folder with train/<class>/", required=True)
_CLASSES = flags.DEFINE_integer("classes", None, "the first so many; all unless given", lower_bound=2)
_TRAIN = flags.DEFINE_integer("train", 100, "photos of each class to learn from", lower_bound=2)
_REPORT = flags.DEFINE_integer("report", 500, "photos of each class to report on", lower_bound=1)
_INIT_FROM = flags.DEFINE_string("init_from", "ofa_efficientnet_lite", "what the first run begins with")
_SCRATCH = flags.DEFINE_bool("scratch", False, "whether another run begins with random weights")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Trains, evaluates and prints."""
    del argv
    from ofa_tf.common import write_json
    from ofa_tf.specialize.photos import supernet_of_photos
    from ofa_tf.training import RunDirectory

    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        photos = pathlib.Path(folder) / "photos"
        classes = few_photos(pathlib.Path(_IMAGES.value), photos)
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
        asked = {"init_from": _INIT_FROM.value, "classes": classes, "train": _TRAIN.value}
        write_json(_OUTPUT.value, {**asked, "top1": rows})


def few_photos(source: pathlib.Path, target: pathlib.Path) -> list[str]:
    """Links to a few images of some classes into train/ and test/; returns the classes."""
    from ofa_tf.common import InputError

    found = sorted(path.name for path in (source / "train").glob("*") if path.is_dir())
    classes = found[: _CLASSES.value]
    if len(classes) < max(2, _CLASSES.value or 0):
        raise InputError(f"--images={source}: {len(found)} classes in train/, expected at least {_CLASSES.value or 2}")
    for name in classes:
        images = sorted((source / "train" / name).iterdir())
        if len(images) <= _TRAIN.value:
            raise InputError(f"--images={source}: class {name} has {len(images)} images, --train is {_TRAIN.value}")
        link_photos(images[: _TRAIN.value], target / "train" / name)
        link_photos(images[_TRAIN.value : _TRAIN.value + _REPORT.value], target / "test" / name)
    return classes


def call(module: str, *arguments: str) -> None:
    """Runs a binary to its end."""
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, stdout=subprocess.DEVNULL)


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
