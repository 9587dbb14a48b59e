"""Scikit-learn's handwritten digits: real images that come inside a Python package."""

import numpy as np
import tensorflow as tf

from ofa_tf.data.dataset import ImageDataset
from ofa_tf.data.holdout import hold_out, stratified_places
from ofa_tf.data.split import PIXELS, Split

SIDE = 40
VAL_IMAGES, HOLDOUT_IMAGES = 360, 400


def load_digits(holdout: float | None, seed: int) -> ImageDataset:
    """1,797 digits of 8x8 grey values, enlarged smoothly to 40x40 RGB.

    Args:
        holdout: see `holdout_count`; 400 images unless given.
        seed: draws the hold-out. "val", 360 images, is the same for every seed.
    """
    # Takes seconds to import, and only this data set needs it.
    from sklearn.datasets import load_digits as read_digits

    data = read_digits()
    with tf.device("CPU:0"):
        values = tf.constant(data.images[..., None] * (255 / 16), tf.float32)
        enlarged = tf.image.resize(values, (SIDE, SIDE), method="bicubic").numpy()
    pixels = np.repeat(np.clip(np.rint(enlarged), 0, 255).astype(np.uint8), 3, axis=-1)
    everything = Split.make("digits", PIXELS, pixels, data.target)
    val = stratified_places(everything.labels, VAL_IMAGES, seed=0)
    rest = everything.take("digits", np.setdiff1d(np.arange(len(everything)), val))
    splits = hold_out("digits", rest, HOLDOUT_IMAGES if holdout is None else holdout, seed)
    splits["val"] = everything.take("digits val", val)
    return ImageDataset("digits", tuple(str(name) for name in data.target_names), splits)
