"""`Mixing`: RandAugment, mixup and CutMix on whole batches, by Keras' own layers."""

import keras
import numpy as np
import tensorflow as tf

from ofa_tf.data.augmentation import Augmentation


class Mixing:
    """What is done to a batch after its images were cropped; the same (seed, step) gives the same batch, always.

    Keras' layers keep the state of their random numbers; it is set before each batch. RandAugment draws its operations
    once for the batch, and their strengths for each image.

    Args:
        augmentation: says which of them.
        num_classes: of the labels.
        seed: of everything drawn.

    Source: Cubuk et al., "RandAugment", 2020; Zhang et al., "mixup", 2018; Yun et al., "CutMix", 2019.

    Example:
        images, targets = Mixing(Augmentation(mixup=0.2), num_classes=10, seed=0)(step, images, labels)
    """

    def __init__(self, augmentation: Augmentation, num_classes: int, seed: int):
        self.num_classes = num_classes
        self.seed = seed
        self._operations = None
        if augmentation.randaugment:
            self._operations = keras.layers.RandAugment(
                value_range=(0, 255), num_ops=augmentation.randaugment, factor=augmentation.randaugment_factor
            )
        self._blends = [
            layer(alpha)
            for layer, alpha in ((keras.layers.MixUp, augmentation.mixup), (keras.layers.CutMix, augmentation.cutmix))
            if alpha
        ]

    @staticmethod
    def wanted(augmentation: Augmentation) -> bool:
        """Whether there is anything to do."""
        return bool(augmentation.randaugment or augmentation.mixup or augmentation.cutmix)

    def __call__(self, step: int, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Changes a batch.

        Args:
            step: the batch's number in the run.
            images: uint8 (batch, r, r, 3).
            labels: int32 (batch,).

        Returns:
            The images, uint8, and the labels, or where images were blended float32 (batch, classes), their shares.
        """
        with tf.device("CPU:0"):
            images = tf.cast(images, tf.float32)
            if self._operations is not None:
                self._reset(self._operations, step)
                images = self._operations(images, training=True)
            if self._blends:
                blend = self._blends[int(np.random.default_rng([self.seed, step]).integers(len(self._blends)))]
                self._reset(blend, step)
                mixed = blend({"images": images, "labels": tf.one_hot(labels, self.num_classes)}, training=True)
                images, labels = mixed["images"], mixed["labels"]
            return tf.saturate_cast(tf.round(images), tf.uint8), labels

    def _reset(self, layer: keras.layers.Layer, step: int) -> None:
        # The second number is advanced with each draw: there are fewer than 256 of them.
        layer.generator.state.assign(np.array([self.seed, 256 * step], dtype=layer.generator.state.dtype))
