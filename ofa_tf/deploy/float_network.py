"""The float network that a file is made from: on which images it is compared, and what it gives on them."""

import math

import keras
import numpy as np

from ofa_tf.common import InputError
from ofa_tf.data.preprocessing import SYMMETRIC, Preprocessing

_BATCH = 64


def check_images_fit(side: int, representative_images, check_images, check_labels) -> None:
    """Raises `InputError` unless images are raw ones of a side, and labels as many as images."""
    if check_images is None:
        raise InputError("export: no images to check the file on; give check_images or representative_images")
    shape = (side, side, 3)
    for name, images in (("representative_images", representative_images), ("check_images", check_images)):
        if images is not None and (images.dtype != np.uint8 or images.shape[1:] != shape or len(images) == 0):
            raise InputError(
                f"export: {name} are {images.dtype} {images.shape}, expected uint8 (at least 1, {side}, {side}, 3)"
            )
    if check_labels is not None and np.shape(check_labels) != (len(check_images),):
        raise InputError(f"export: {np.shape(check_labels)} check_labels for {len(check_images)} check_images")


def for_symmetric_inputs(weights: dict, stem: str, preprocessing: Preprocessing) -> dict:
    """Weights under which a network that takes (x - 128) / 128 does what it did with the preprocessing's inputs.

    At the image's border, where the padding's zeros now mean grey and not the mean colour, it is not quite the same.
    Source: docs/design_notes.md, "Input".
    """
    if preprocessing.mean == SYMMETRIC.mean and preprocessing.std == SYMMETRIC.std:
        return weights
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    scale, offset = 128 / (255 * std), (128 / 255 - mean) / std
    (kernel,) = weights[f"{stem}_conv"]
    gamma, beta, moving_mean, moving_variance = weights[f"{stem}_norm"]
    moving_mean = moving_mean - np.einsum("hwio,i->o", kernel, offset)
    return {
        **weights,
        f"{stem}_conv": [(kernel * scale[:, None]).astype(np.float32)],
        f"{stem}_norm": [gamma, beta, moving_mean.astype(np.float32), moving_variance],
    }


def keras_logits(model: keras.Model, preprocessing: Preprocessing, images: np.ndarray) -> np.ndarray:
    """The logits of a plain model on raw images: float32 (N, classes) for uint8 (N, r, r, 3)."""
    batches = np.array_split(images, math.ceil(len(images) / _BATCH))
    return np.concatenate([np.asarray(model(preprocessing.normalize(batch), training=False)) for batch in batches])
