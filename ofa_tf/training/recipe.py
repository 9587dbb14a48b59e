"""`Recipe`: everything that decides a training run, apart from the space and the images."""

import dataclasses
import json
from typing import Any

from ofa_tf.common import InputError
from ofa_tf.common.config import check_bool, check_one_of, check_whole, from_config, is_number
from ofa_tf.data import PUBLISHED, Augmentation, Preprocessing

SCHEDULES = ("progressive", "delayed", "joint", "sandwich")

DECAYS = ("stage", "run")

LABELS = ("data", "teacher")

# A step's is a thousand times as large, and a 32-bit number.
_LARGEST_SEED = 2_000_000

# The dtype that convolutions compute in, by name of the precision.
PRECISIONS = {"float32": "float32", "mixed_bfloat16": "bfloat16"}


@dataclasses.dataclass(frozen=True)
class StageRecipe:
    """The length and the pace of a stage.

    Args:
        epochs: passes over the training images, warm-up not counted.
        warmup_epochs: passes before those with a rising rate. Either may have a fraction, their sum is whole.
        learning_rate: for `Recipe.base_batch_size` images; scaled linearly to the batch.
        subnets_per_step: how many sub-networks' gradients are summed in a step; 0 for the schedule's own number.
    """

    epochs: float
    warmup_epochs: float = 0
    learning_rate: float = 3e-2
    subnets_per_step: int = 0

    def __post_init__(self):
        if not is_number(self.epochs) or not self.epochs > 0:
            raise InputError(f"recipe: stage epochs is {self.epochs!r}, expected a number above 0")
        if not is_number(self.warmup_epochs) or self.warmup_epochs < 0:
            raise InputError(f"recipe: stage warmup_epochs is {self.warmup_epochs!r}, expected a number of at least 0")
        if (self.epochs + self.warmup_epochs) % 1:
            raise InputError(
                f"recipe: stage epochs and warmup_epochs are {self.epochs} and {self.warmup_epochs}, expected a whole "
                f"number of passes together"
            )
        if not is_number(self.learning_rate) or not self.learning_rate > 0:
            raise InputError(f"recipe: stage learning_rate is {self.learning_rate!r}, expected a number above 0")
        check_whole("recipe: stage subnets_per_step", self.subnets_per_step, 0)

    @property
    def total_epochs(self) -> int:
        """Passes over the training images, warm-up counted."""
        return round(self.epochs + self.warmup_epochs)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the published ones.

    Args:
        stages: by name, see `stages_of`; a stage that is not named is not trained.
        schedule: "progressive", "delayed", "joint" or "sandwich", see `stages_of`.
        decay: "stage", each stage warms up and falls to zero along a cosine of its own; "run", one cosine goes through
            all stages, scaled to each one's rate, and momentum is kept from one to the next; the first stage warms up
            as `warmup_from_base_rate` says, a later one from a tenth of the cosine. None for the schedule's own:
            "stage", but in "delayed" the rate of "full" is constant after its warm-up, and one cosine goes through what
            follows, momentum kept.
        warmup_from_base_rate: a warm-up begins at the rate for `base_batch_size` images, as published, which does not
            rise where a batch is no larger; else at a tenth of the rate that it rises to.
        batch_size: images per device and step.
        base_batch_size: the batch of all devices that the learning rates are stated for; they scale with it.
        precision: "float32" or "mixed_bfloat16", in which convolutions compute in bfloat16, and weights, batch norms'
            statistics, losses and updates stay float32.
        jit_compile: whether XLA compiles the step, see `TrainStep`; for GPUs and TPUs.
        recompute: whether blocks are computed twice for less memory, see `TrainStep`.
        seed: of weights, data order, sub-networks and dropout.
        momentum: Nesterov.
        weight_decay: coupled L2.
        label_smoothing: of the labels' part of the loss.
        kd_ratio: weight of the teacher's part; None for the schedule's own, 1 in "progressive" and where a trained
            teacher is given, else 0.
        feature_ratio: weight of the distance from the maps and logits of what teaches (`train_step.feature_distance`),
            a supernet of the run's space then: what few kinds of photos can teach of all others.
        labels: "data", or "teacher": the images' own labels do not count; a trained supernet teaches its classes, and
            the validation split's labels are its answers. For photos of anything at all.
        dropout: before the classifier, in all stages but the first.
        evaluate_every: epochs between evaluations of the corner sub-networks; a stage's end is always evaluated.
        checkpoint_minutes: time between checkpoints within an epoch; each epoch's end is always saved.
        checkpoint_steps: steps between checkpoints, 0 for none by step.
        keep_checkpoints: how many of them are kept.
        calibration_images: training images that recompute batch-norm statistics before an evaluation.
        augmentation: of training images.
        preprocessing: of all images.

    Source: docs/method.md, "Progressive shrinking".
    """

    stages: dict[str, StageRecipe]
    schedule: str = "progressive"
    decay: str | None = None
    warmup_from_base_rate: bool = False
    batch_size: int = 64
    base_batch_size: int = 64
    precision: str = "float32"
    jit_compile: bool = False
    recompute: bool = False
    seed: int = 0
    momentum: float = 0.9
    weight_decay: float = 3e-5
    label_smoothing: float = 0.1
    kd_ratio: float | None = None
    feature_ratio: float = 0.0
    labels: str = "data"
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
            check_whole(f"recipe: {name}", getattr(self, name), 1)
        check_whole("recipe: seed", self.seed, 0, _LARGEST_SEED)
        check_whole("recipe: checkpoint_steps", self.checkpoint_steps, 0)
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("labels", LABELS)):
            check_one_of(f"recipe: {name}", getattr(self, name), known)
        if self.decay not in (None, *DECAYS):
            raise InputError(f"recipe: decay is {self.decay!r}, expected one of {', '.join(DECAYS)}, or none")
        for name in ("warmup_from_base_rate", "jit_compile", "recompute"):
            check_bool(f"recipe: {name}", getattr(self, name))
        numbers = ("momentum", "weight_decay", "label_smoothing", "kd_ratio", "feature_ratio", "dropout")
        for name in (*numbers, "checkpoint_minutes"):
            value = getattr(self, name)
            if name == "kd_ratio" and value is None:
                continue
            if not is_number(value) or value < 0:
                raise InputError(f"recipe: {name} is {value!r}, expected a number of at least 0")
        for name in ("momentum", "label_smoothing", "dropout"):
            if getattr(self, name) >= 1:
                raise InputError(f"recipe: {name} is {getattr(self, name)}, expected less than 1")

    def teacher_weight(self, *, given: bool) -> float:
        """What `kd_ratio` says, or the schedule's own.

        Args:
            given: whether there is a trained teacher, who teaches in every stage.

        Raises:
            InputError: there is one, and no stage uses it; or there is none, and all labels are to be its answers.
        """
        if self.labels == "teacher" and not given:
            raise InputError("--teacher: not given, but the config's labels are the teacher's; give a trained supernet")
        if given and self.schedule == "sandwich":
            raise InputError("--teacher: in schedule sandwich the largest sub-network teaches; leave the teacher out")
        if given and self.kd_ratio == 0 and not self.feature_ratio:
            raise InputError("--teacher: kd_ratio and feature_ratio are 0, so it would not be asked; leave it out")
        if not given and self.kd_ratio and self.schedule in ("joint", "sandwich"):
            told = (
                "nobody teaches" if self.schedule == "joint" else "the largest sub-network teaches, with a weight of 1"
            )
            raise InputError(
                f"recipe: kd_ratio is {self.kd_ratio}, but in schedule {self.schedule} {told}; set it to 0"
            )
        if self.kd_ratio is not None:
            return self.kd_ratio
        return 1.0 if given or self.schedule == "progressive" else 0.0

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
