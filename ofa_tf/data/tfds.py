"""TensorFlow Datasets; the package is imported only when one of its data sets is asked for."""

import os
from typing import Any

import numpy as np
import tqdm

from ofa_tf.common import InputError
from ofa_tf.data.dataset import ENCODED, RANDOM_ACCESS, ImageDataset, Split, hold_out


class _EncodedImages:
    """The encoded images of a TensorFlow Datasets data source, by index."""

    def __init__(self, source: Any, image: str):
        self._source, self._image = source, image

    def __getitem__(self, index: int) -> bytes:
        return self._source[index][self._image]


def load_tfds(name: str, data_dir: str | os.PathLike | None, validation: float | None, seed: int) -> ImageDataset:
    """Opens an image-classification set of TensorFlow Datasets, preparing it first where that was not done.

    Sets prepared as array_record are read from the disk image by image; of others, the encoded images are read into
    memory once.

    The set's own "validation" split, else its "test" split where that has labels, is what is reported: the test split.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError(
            f"--dataset={name}: neither folder nor digits, and TensorFlow Datasets cannot be imported ({error}); "
            f"install tensorflow-datasets or use --dataset=folder"
        ) from error
    builder = _builder(tfds, name, data_dir)
    image, label = _features(tfds, name, builder.info)
    available = list(builder.info.splits)
    if "train" not in available:
        raise InputError(f"--dataset={name}: no split train, it has {', '.join(available) or 'none'}; use another set")
    class_names = tuple(builder.info.features[label].names or map(str, range(builder.info.features[label].num_classes)))
    if len(class_names) < 2:
        raise InputError(f"--dataset={name}: {len(class_names)} class, expected two or more; use another set")
    splits = hold_out(name, _split(tfds, builder, name, "train", image, label), validation, seed)
    for source in ("validation", "test"):
        if source in available:
            test = _split(tfds, builder, name, source, image, label)
            # Sets that keep their test labels secret write -1.
            if test.labels.min(initial=0) >= 0:
                splits["test"] = test
                break
    return ImageDataset(name, class_names, splits)


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
    labels, encoded = np.zeros(total, np.int32), []
    what = "labels" if random_access else "images"
    for index, example in enumerate(tqdm.tqdm(examples, f"{name} {split}: reading {what}", total, leave=False)):
        labels[index] = example[label]
        if not random_access:
            encoded.append(example[image])
    records = _EncodedImages(source, image) if random_access else encoded
    return Split.make(f"{name} {split}", RANDOM_ACCESS if random_access else ENCODED, records, labels)
