"""TensorFlow Datasets; the package is imported only when one of its data sets is asked for."""

import os
import pathlib
import re
from typing import Any

import numpy as np
import tqdm

from ofa_tf.common import InputError, brief
from ofa_tf.data.dataset import ENCODED, RANDOM_ACCESS, Split, found_route

# What TensorFlow Datasets leaves in each folder that it prepared.
_DESCRIPTION = "dataset_info.json"


class _EncodedImages:
    """The encoded images of a TensorFlow Datasets data source, by index."""

    def __init__(self, source: Any, image: str):
        self._source, self._image = source, image

    def __getitem__(self, index: int) -> bytes:
        return self._source[index][self._image]


def is_prepared(path: str | os.PathLike) -> bool:
    """Whether a folder is one that TensorFlow Datasets prepared, or has such as its only versions."""
    return _prepared_folder(path) is not None


def _prepared_folder(path: str | os.PathLike) -> pathlib.Path | None:
    """The folder of the files: itself, or that of the newest version or of the only configuration below it."""
    path = pathlib.Path(path)
    if (path / _DESCRIPTION).is_file():
        return path
    try:
        below = sorted(file.parent for pattern in ("*", "*/*") for file in path.glob(f"{pattern}/{_DESCRIPTION}"))
    except OSError:
        return None
    if len({folder.parent for folder in below}) != 1:
        return None
    return max(below, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.name)])


def tfds_parts(name: str, data_dir: str | os.PathLike | None) -> tuple[tuple[str, ...], dict[str, Split]]:
    """The class names, "train" and "test" of an image-classification set, which is prepared where that was not done.

    Sets prepared as array_record are read from the disk image by image; of others, the encoded images are read into
    memory once.

    The set's own "validation" split, else its "test" split where that has labels, is what is reported: the test split.
    """
    tfds = _tensorflow_datasets(name)
    return _parts(tfds, _builder(tfds, name, data_dir), name)


def prepared_parts(path: str | os.PathLike) -> tuple[tuple[str, ...], dict[str, Split]]:
    """The same of a folder for which `is_prepared` holds, whoever prepared it."""
    tfds = _tensorflow_datasets("folder")
    folder = _prepared_folder(path)
    # What goes wrong in there has no common class of errors.
    try:
        builder = tfds.builder_from_directory(folder)
    except Exception as error:
        raise InputError(
            f"--data_dir={folder}: TensorFlow Datasets cannot open it ({type(error).__name__}: {brief(error)}); "
            f"prepare it anew"
        ) from error
    return _parts(tfds, builder, builder.info.name)


def _tensorflow_datasets(name: str) -> Any:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError(
            f"--dataset={name}: neither folder nor digits, and TensorFlow Datasets cannot be imported ({error}); "
            f"install tensorflow-datasets or use --dataset=folder"
        ) from error
    return tfds


def _parts(tfds: Any, builder: Any, name: str) -> tuple[tuple[str, ...], dict[str, Split]]:
    image, label = _features(tfds, name, builder.info)
    available = list(builder.info.splits)
    if "train" not in available:
        raise InputError(f"--dataset={name}: no split train, it has {', '.join(available) or 'none'}; use another set")
    class_names = tuple(builder.info.features[label].names or map(str, range(builder.info.features[label].num_classes)))
    if len(class_names) < 2:
        raise InputError(f"--dataset={name}: {len(class_names)} class, expected two or more; use another set")
    splits = {"train": _split(tfds, builder, name, "train", image, label)}
    for source in ("validation", "test"):
        if source in available:
            test = _split(tfds, builder, name, source, image, label)
            # Sets that keep their test labels secret write -1.
            if test.labels.min(initial=0) >= 0:
                splits["test"] = test
                break
    return class_names, splits


def _builder(tfds: Any, name: str, data_dir: str | os.PathLike | None) -> Any:
    """The builder of a data set that is prepared."""
    arguments = {"data_dir": os.fspath(data_dir)} if data_dir else {}
    # What goes wrong in there has no common class of errors: code of a thousand data sets runs.
    try:
        builder = tfds.builder(name, **arguments)
    except Exception as error:
        raise InputError(
            f"--dataset={name}: neither folder nor digits nor a name that TensorFlow Datasets knows "
            f"({type(error).__name__}); check the spelling, or use --dataset=folder with --data_dir"
        ) from error
    if not builder.is_prepared():
        try:
            builder.download_and_prepare(file_format="array_record")
        except Exception as error:
            reason = f"{type(error).__name__}: {error}" if isinstance(error, ImportError) else type(error).__name__
            raise InputError(
                f"--dataset={name}: not prepared under {builder.data_dir}, and preparing it failed ({reason}); run "
                f"`tfds build {name} --file_format=array_record --data_dir=DIR` where there is a network, copy DIR "
                f"here, and give --data_dir=DIR"
            ) from error
        builder = tfds.builder(name, **arguments)
    return builder


def _features(tfds: Any, name: str, info: Any) -> tuple[str, str]:
    """The names of the image and of the label."""
    features = dict(info.features) if isinstance(info.features, tfds.features.FeaturesDict) else {}
    pair = info.supervised_keys
    if pair and len(pair) == 2 and all(isinstance(key, str) and key in features for key in pair):
        features = {key: features[key] for key in pair}
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    if len(images) != 1 or len(labels) != 1:
        found = ", ".join(f"{key} ({type(feature).__name__})" for key, feature in features.items()) or "others"
        raise InputError(
            f"--dataset={name}: its features are {found}; expected one Image and one ClassLabel: "
            f"use an image-classification set"
        )
    return images[0], labels[0]


def _split(tfds: Any, builder: Any, name: str, split: str, image: str, label: str) -> Split:
    skip = {image: tfds.decode.SkipDecoding()}
    total = builder.info.splits[split].num_examples
    random_access = builder.info.file_format == tfds.core.FileFormat.ARRAY_RECORD
    if random_access:
        examples = source = builder.as_data_source(split, decoders=skip)
    else:
        wanted = tfds.decode.PartialDecoding({image: True, label: True}, decoders=skip)
        examples = builder.as_dataset(split, decoders=wanted, shuffle_files=False).as_numpy_iterator()
    labels, routes, encoded = np.zeros(total, np.int32), np.zeros(total, np.uint8), []
    what = "labels" if random_access else "images"
    for index, example in enumerate(tqdm.tqdm(examples, f"{name} {split}: reading {what}", total, leave=False)):
        labels[index], routes[index] = example[label], found_route(ENCODED, example[image])
        if not random_access:
            encoded.append(example[image])
    records = _EncodedImages(source, image) if random_access else encoded
    return Split.make(f"{name} {split}", RANDOM_ACCESS if random_access else ENCODED, records, labels, routes)
