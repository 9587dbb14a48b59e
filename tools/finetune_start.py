"""`FinetuneStart`: what tools.finetune begins with, wherever it comes from."""

import dataclasses

import keras

from ofa_tf.data import Augmentation, ImageDataset, Preprocessing
from ofa_tf.spaces import Block


@dataclasses.dataclass(frozen=True)
class FinetuneStart:
    """A plain model, the blocks it is built of, and its images.

    Args:
        model: normalized images to logits.
        blocks: what it is built of.
        dataset: the images.
        preprocessing: normalizes them.
        augmentation: of training images.
    """

    model: keras.Model
    blocks: list[Block]
    dataset: ImageDataset
    preprocessing: Preprocessing
    augmentation: Augmentation
