"""Images in: data sets, splits, preprocessing, augmentation, and batches that can be resumed at any step.

Example:
    from ofa_tf import data
    digits = data.load("digits")
    batches = data.training_batches(
        digits, batch_size=64, resolutions=(32, 40), augmentation=data.Augmentation(flip=False), seed=0, steps=10
    )
    for images, labels in batches:
        inputs = data.SYMMETRIC.normalize(images)
"""

from ofa_tf.data.augmentation import Augmentation, training_image
from ofa_tf.data.batches import Batches
from ofa_tf.data.dataset import ImageDataset, Split
from ofa_tf.data.load import load
from ofa_tf.data.pipeline import (
    calibration_batches,
    evaluation_batches,
    resolution_of_step,
    steps_per_epoch,
    training_batches,
)
from ofa_tf.data.preprocessing import PUBLISHED, SYMMETRIC, Preprocessing, decode_image, evaluation_image

__all__ = [
    "PUBLISHED",
    "SYMMETRIC",
    "Augmentation",
    "Batches",
    "ImageDataset",
    "Preprocessing",
    "Split",
    "calibration_batches",
    "decode_image",
    "evaluation_batches",
    "evaluation_image",
    "load",
    "resolution_of_step",
    "steps_per_epoch",
    "training_batches",
    "training_image",
]
