"""Progressive shrinking: stages, losses, channel sorting, the loop, and the run directory it writes."""

from ofa_tf.training.cluster import Cluster, set_deterministic
from ofa_tf.training.experiment import open_experiment
from ofa_tf.training.finetune import finetune
from ofa_tf.training.finetune_recipe import FinetuneRecipe
from ofa_tf.training.initial import initialize, weights_digest
from ofa_tf.training.recipe import Recipe, StageRecipe
from ofa_tf.training.run_directory import RunDirectory
from ofa_tf.training.sorting import sort_channels
from ofa_tf.training.stage import Stage, progressive_stages
from ofa_tf.training.train_step import TrainStep
from ofa_tf.training.trainer import Trainer

__all__ = [
    "Cluster",
    "FinetuneRecipe",
    "Recipe",
    "RunDirectory",
    "Stage",
    "StageRecipe",
    "TrainStep",
    "Trainer",
    "finetune",
    "initialize",
    "open_experiment",
    "progressive_stages",
    "set_deterministic",
    "sort_channels",
    "weights_digest",
]
