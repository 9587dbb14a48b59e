"""`Recipe`: everything that decides a training run, apart from the space and the images."""

import dataclasses
import json
from typing import Any

from ofa_tf.common import InputError
from ofa_tf.common.config import from_config, is_number
from ofa_tf.data import PUBLISHED, Augmentation, Preprocessing

SCHEDULES = ("progressive", "joint", "sandwich")


@dataclasses.dataclass(frozen=True)
class StageRecipe:
    """The length and the pace of a stage.

    Args:
        epochs: passes over the training images, warm-up not counted.
        warmup_epochs: passes before those with a rising rate.
        learning_rate: for `Recipe.base_batch_size` images; scaled linearly to the batch.
    """

    epochs: int
    warmup_epochs: int = 0
    learning_rate: float = 3e-2

    def __post_init__(self):
        check_whole("recipe: stage", "epochs", self.epochs, at_least=1)
        check_whole("recipe: stage", "warmup_epochs", self.warmup_epochs, at_least=0)
        if not is_number(self.learning_rate) or not self.learning_rate > 0:
            raise InputError(f"recipe: stage learning_rate is {self.learning_rate!r}, expected a number above 0")


def check_whole(what: str, name: str, value: Any, *, at_least: int) -> None:
    """Raises `InputError` unless the value is a whole number of at least so much."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise InputError(f"{what} {name} is {value!r}, expected a whole number of at least {at_least}")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the published ones.

    Args:
        stages: by name, see `progressive_stages`; a stage that is not named is not trained.
        schedule: "progressive", or "joint" or "sandwich", which have one stage of that name, see `single_stage`.
        batch_size: images per device and step.
        base_batch_size: the batch of all devices that the learning rates are stated for; they scale with it.
        seed: of weights, data order, sub-networks and dropout.
        momentum: Nesterov.
        weight_decay: coupled L2.
        label_smoothing: of the labels' part of the loss.
        kd_ratio: weight of the teacher's part.
        dropout: before the classifier, in all stages but the first.
        evaluate_every: epochs between evaluations of the corner sub-networks; a stage's end is always evaluated.
        checkpoint_minutes: time between checkpoints within an epoch; each epoch's end is always saved.
        checkpoint_steps: steps between checkpoints, 0 for none by step.
        keep_checkpoints: how many of them are kept.
        calibration_images: training images that recompute batch-norm statistics before an evaluation.
        augmentation: of training images.
        preprocessing: of all images.

    Source: reference facts, "Progressive shrinking as published".
    """

    stages: dict[str, StageRecipe]
    schedule: str = "progressive"
    batch_size: int = 64
    base_batch_size: int = 64
    seed: int = 0
    momentum: float = 0.9
    weight_decay: float = 3e-5
    label_smoothing: float = 0.1
    kd_ratio: float = 1.0
    dropout: float = 0.1
    evaluate_every: int = 10
    checkpoint_minutes: float = 10.0
    checkpoint_steps: int = 0
    keep_checkpoints: int = 3
    calibration_images: int = 2000
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    preprocessing: Preprocessing = PUBLISHED

    def __post_init__(self):
        for name in ("batch_size", "base_batch_size", "evaluate_every", "calibration_images", "keep_checkpoints"):
            check_whole("recipe", name, getattr(self, name), at_least=1)
        for name in ("seed", "checkpoint_steps"):
            check_whole("recipe", name, getattr(self, name), at_least=0)
        if self.schedule not in SCHEDULES:
            raise InputError(f"recipe: schedule is {self.schedule!r}, expected one of {', '.join(SCHEDULES)}")
        for name in ("momentum", "weight_decay", "label_smoothing", "kd_ratio", "dropout", "checkpoint_minutes"):
            value = getattr(self, name)
            if not is_number(value) or value < 0:
                raise InputError(f"recipe: {name} is {value!r}, expected a number of at least 0")
        for name in ("momentum", "label_smoothing", "dropout"):
            if getattr(self, name) >= 1:
                raise InputError(f"recipe: {name} is {getattr(self, name)}, expected less than 1")

    def to_config(self) -> dict[str, Any]:
        """The recipe as JSON-ready data, read back by `from_config`."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @staticmethod
    def from_config(config: dict[str, Any]) -> "Recipe":
        """Reads what `to_config` wrote, or a part of it; the rest takes its defaults.

        Raises:
            InputError: a field is unknown or unusable.
        """
        readers = {
            "stages": lambda stages: {name: _stage(name, stage) for name, stage in stages.items()},
            "augmentation": Augmentation.from_config,
            "preprocessing": Preprocessing.from_config,
        }
        try:
            values = {name: readers[name](value) if name in readers else value for name, value in config.items()}
        except AttributeError as error:
            raise InputError(f"recipe: found {config!r}, expected an object with the fields of Recipe") from error
        return from_config(Recipe, values, "recipe")


def _stage(name: str, config: dict[str, Any]) -> StageRecipe:
    return from_config(StageRecipe, config, f"recipe: stage {name}")
