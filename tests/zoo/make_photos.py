"""Makes the folders of photos that ship with supernets, `ofa_tf/zoo/photos/NAME`.

    python -m tests.zoo.make_photos ofa_imagenette_mbv3 imagenette
    python -m tests.zoo.make_photos ofa_efficientnet_lite imagenet_sample

The first: of each class that the supernet was trained on, the first 20 training photos and the first 10 of the
validation split in the order of their names. The second, of a folder with one photo of each of ImageNet's classes: 200
classes to calibrate with and 200 others to check with, the short side made 192 pixels.
"""

import pathlib
import shutil
import sys

import numpy as np
import PIL.Image
import PIL.ImageOps

from ofa_tf import zoo
from ofa_tf.common import InputError, write_json
from ofa_tf.data import load

PHOTOS_PER_CLASS = {"train": 20, "validation": 10}
# What ImageNet calls them.
NAMES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


# Of the classes in the order of their ids, each fifth, beginning with these.
FIRST, EVERY, SHORT_SIDE = {"train": 0, "validation": 2}, 5, 192


def of_imagenette(data_dir: str, output: pathlib.Path) -> None:
    """Copies photos that the supernet was trained on."""
    known = zoo.packed_supernet("ofa_imagenette_mbv3").dataset
    dataset = load("folder", data_dir, validation=known["validation"], seed=known["seed"])
    if dataset.digest != known["digest"]:
        raise InputError(f"{data_dir}: not the photos that the supernet was trained on")
    for name, count in PHOTOS_PER_CLASS.items():
        split = dataset.split(name)
        for label, class_name in enumerate(dataset.class_names):
            folder = output / name / class_name
            folder.mkdir(parents=True)
            for index in split.indices[np.flatnonzero(split.labels == label)[:count]]:
                shutil.copy(split.records[int(index)].numpy().decode(), folder)
    write_json(output / "names.json", {name: NAMES[name] for name in dataset.class_names})


def of_imagenet(data_dir: str, output: pathlib.Path) -> None:
    """Makes smaller copies of one photo a class."""
    classes = sorted(path for path in pathlib.Path(data_dir).iterdir() if path.is_dir())
    for split, first in FIRST.items():
        for folder in classes[first::EVERY]:
            [path] = folder.iterdir()
            with PIL.Image.open(path) as photo:
                photo = PIL.ImageOps.exif_transpose(photo).convert("RGB")
            ratio = SHORT_SIDE / min(photo.size)
            photo = photo.resize([round(ratio * side) for side in photo.size], PIL.Image.Resampling.LANCZOS)
            copy = output / split / folder.name / f"{folder.name}.jpg"
            copy.parent.mkdir(parents=True)
            photo.save(copy, quality=75, optimize=True, icc_profile=None)


MAKE = {"ofa_imagenette_mbv3": of_imagenette, "ofa_efficientnet_lite": of_imagenet}

if __name__ == "__main__":
    supernet, photos = sys.argv[1:]
    MAKE[supernet](photos, pathlib.Path(zoo.__file__).parent / "photos" / supernet)
