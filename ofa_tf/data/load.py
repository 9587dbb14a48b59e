"""Data sets by name."""

import os

from ofa_tf.data.dataset import ImageDataset
from ofa_tf.data.digits import load_digits
from ofa_tf.data.folder import load_folder
from ofa_tf.data.seeds import check_seed
from ofa_tf.data.tfds import load_tfds


def load(
    dataset: str, data_dir: str | os.PathLike | None = None, holdout: float | None = None, seed: int = 0
) -> ImageDataset:
    """Opens a data set and holds some of its training images out.

    Args:
        dataset: "folder", "digits", or the name of a TensorFlow Datasets image-classification set
            ("cifar10", "imagenet2012:5.1.0").
        data_dir: the folder of images, or where TensorFlow Datasets keeps its prepared data.
        holdout: a number of training images, a fraction if below 1, or None for the default (digits: 400; else 10
            percent, at most 10,000).
        seed: draws the hold-out, evenly over the classes.

    Returns:
        An `ImageDataset` with the splits "train", "holdout" and, where the data has one, "val".

    Raises:
        InputError: the data is missing or does not fit.

    Example:
        load("folder", "photos", holdout=0.2).num_classes
    """
    check_seed(seed)
    if dataset == "folder":
        return load_folder(data_dir, holdout, seed)
    if dataset == "digits":
        return load_digits(holdout, seed)
    return load_tfds(dataset, data_dir, holdout, seed)
