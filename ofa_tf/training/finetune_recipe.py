"""`FinetuneRecipe`: how an extracted sub-network is fine-tuned."""

import dataclasses
import json
from typing import Any

from ofa_tf.common import InputError
from ofa_tf.common.config import check_whole, from_config, is_number
from ofa_tf.data import PUBLISHED, Augmentation, Preprocessing


@dataclasses.dataclass(frozen=True)
class FinetuneRecipe:
    """Cosine decay from a small rate; SGD and the loss are those of the supernet's training.

    Args:
        epochs: passes over the training images; 25 and 75 as published for ImageNet.
        batch_size: images per step.
        learning_rate: of the first step.
        seed: of data order and augmentation.
        momentum: Nesterov.
        weight_decay: coupled L2, on everything but batch norms and biases.
        label_smoothing: of the labels.
        augmentation: of training images.
        preprocessing: of all images.
    """

    epochs: int = 25
    batch_size: int = 64
    learning_rate: float = 7.5e-3
    seed: int = 0
    momentum: float = 0.9
    weight_decay: float = 3e-5
    label_smoothing: float = 0.1
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    preprocessing: Preprocessing = PUBLISHED

    def __post_init__(self):
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            check_whole(f"fine-tuning recipe: {name}", getattr(self, name), least)
        for name in ("learning_rate", "momentum", "weight_decay", "label_smoothing"):
            value = getattr(self, name)
            if not is_number(value) or value < 0 or (name in ("momentum", "label_smoothing") and value >= 1):
                raise InputError(f"fine-tuning recipe: {name} is {value!r}, expected a number of at least 0")

    def to_config(self) -> dict[str, Any]:
        """The recipe as JSON-ready data, read back by `from_config`."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @staticmethod
    def from_config(config: dict[str, Any]) -> "FinetuneRecipe":
        """Reads what `to_config` wrote, or a part of it; raises `InputError` where a field is unusable."""
        readers = {"augmentation": Augmentation.from_config, "preprocessing": Preprocessing.from_config}
        values = {name: readers[name](value) if name in readers else value for name, value in config.items()}
        return from_config(FinetuneRecipe, values, "fine-tuning recipe")
