"""`QuantizationRecipe`: how a network is trained as the integers it will be."""

import dataclasses
from typing import Any

from ofa_tf.common import InputError
from ofa_tf.common.config import check_whole, from_config, is_number, to_config


@dataclasses.dataclass(frozen=True)
class QuantizationRecipe:
    """Adam with cosine decay, towards the outputs of the float network.

    Args:
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: of the first step.
        range_images: training images from which the first ranges of all values are taken, before the first step.
        seed: of data order and augmentation.
    """

    epochs: int = 2
    batch_size: int = 64
    learning_rate: float = 1e-4
    range_images: int = 1024
    seed: int = 0

    def __post_init__(self):
        for name, least in (("epochs", 1), ("batch_size", 1), ("range_images", 1), ("seed", 0)):
            check_whole(f"quantization recipe: {name}", getattr(self, name), least)
        if not is_number(self.learning_rate) or self.learning_rate < 0:
            raise InputError(
                f"quantization recipe: learning_rate is {self.learning_rate!r}, expected a number of at least 0"
            )

    def to_config(self) -> dict[str, Any]:
        """The recipe as JSON-ready data, read back by `from_config`."""
        return to_config(self)

    @staticmethod
    def from_config(fields: dict[str, Any]) -> "QuantizationRecipe":
        """Reads what `to_config` wrote; raises `InputError` where it does not fit."""
        return from_config(QuantizationRecipe, fields, "quantization recipe")
