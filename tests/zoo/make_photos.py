"""Makes `ofa_tf/zoo/photos/ofa_imagenette_mbv3` from the photos that the supernet was trained on.

python -m tests.zoo.make_photos imagenette ofa_tf/zoo/photos/ofa_imagenette_mbv3

Of each class, the first 20 training photos and the first 10 of the validation split in the order of their names.
"""

import pathlib
import shutil
import sys

import numpy as np

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


def main(data_dir: str, output: str) -> None:
    """Copies them."""
    known = zoo.packed_supernet("ofa_imagenette_mbv3").dataset
    dataset = load("folder", data_dir, validation=known["validation"], seed=known["seed"])
    if dataset.digest != known["digest"]:
        raise InputError(f"{data_dir}: not the photos that the supernet was trained on")
    for name, count in PHOTOS_PER_CLASS.items():
        split = dataset.split(name)
        for label, class_name in enumerate(dataset.class_names):
            folder = pathlib.Path(output) / name / class_name
            folder.mkdir(parents=True)
            for index in split.indices[np.flatnonzero(split.labels == label)[:count]]:
                shutil.copy(split.records[int(index)].numpy().decode(), folder)
    write_json(pathlib.Path(output) / "names.json", {name: NAMES[name] for name in dataset.class_names})


if __name__ == "__main__":
    main(*sys.argv[1:])
