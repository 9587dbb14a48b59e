"""What people call the classes of a data set, whose own names are often ids."""

import functools
import pathlib
import unicodedata

from ofa_tf.common import InputError, brief, read_json
from ofa_tf.data.dataset import FILES, ImageDataset

NAMES_FILE = "names.json"
_IMAGENET = pathlib.Path(__file__).parent / "imagenet_names.json"


@functools.cache
def imagenet_names() -> dict[str, str]:
    """Of ImageNet's 1,000 classes the first of WordNet's words; of the two pairs that have one word, another."""
    return read_json(_IMAGENET, "names of ImageNet's classes")


def label_facts(dataset: ImageDataset) -> dict[str, list[str]]:
    """What exported files say of the classes: `labels`, as the data set has them, and `names`, which people read.

    The names are those of `names.json` in the images' folder, else WordNet's for ImageNet's ids, else the labels.

    Args:
        dataset: the data set.

    Raises:
        InputError: `names.json` is no object of one-line texts, or names none of the classes.

    Example:
        label_facts(load("folder", zoo.photos("ofa_imagenette_mbv3")))["names"][0]  # "tench", of "n01440764"
    """
    path = _folder(dataset) / NAMES_FILE
    known = read_json(path, "names of classes") if path.exists() else {}
    if not isinstance(known, dict):
        raise InputError(f'{path}: expected an object such as {{"n01440764": "tench"}}; mend or remove it')
    for label, name in known.items():
        if not isinstance(name, str) or len(name.splitlines()) != 1 or not name.isprintable():
            raise InputError(
                f"{path}: class {brief(label)} is called {brief(repr(name))}, expected a text of one line; mend it"
            )
    composed: dict[str, str] = {}
    for label, name in known.items():
        # As the classes' names are, whatever system wrote the file.
        if composed.setdefault(unicodedata.normalize("NFC", label), name) != name:
            raise InputError(f"{path}: two entries name class {brief(label)}; leave one of them")
    known = composed
    if known and not known.keys() & set(dataset.class_names):
        raise InputError(
            f"{path}: names none of the classes: it has {brief(next(iter(known)))}, ..., the images have "
            f"{brief(dataset.class_names[0])}, ...; mend or remove it"
        )
    # A folder's name may have several lines, a label of the standard not.
    names = [
        known.get(label) or imagenet_names().get(label) or " ".join(label.split()) or label
        for label in dataset.class_names
    ]
    return {"labels": list(dataset.class_names), "names": names}


def _folder(dataset: ImageDataset) -> pathlib.Path:
    """The folder that has train/<class>/; where the images are no files, one that has nothing."""
    train = dataset.split("train")
    path = pathlib.Path(train.describe(int(train.indices[0])) if train.kind == FILES else "")
    # The first of them is the class, whatever that is called.
    outside = list(path.parents)[1:]
    return next((parent.parent for parent in outside if parent.name == "train"), path / "nothing")
