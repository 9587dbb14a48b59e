"""Training of supernets: schedules, stages, teachers, losses, channel sorting, the loop, and the run directory."""

from ofa_tf.training.checkpoint import initialize, weights_digest
from ofa_tf.training.cluster import Cluster, set_deterministic
from ofa_tf.training.experiment import open_experiment
from ofa_tf.training.finetune import FinetuneRecipe, finetune
from ofa_tf.training.recipe import Recipe, StageRecipe
from ofa_tf.training.run_directory import RunDirectory
from ofa_tf.training.stage import Stage, delayed_stages, progressive_stages, sort_channels
from ofa_tf.training.teacher import KerasTeacher, SupernetTeacher
from ofa_tf.training.train_step import TrainStep
from ofa_tf.training.trainer import Trainer

__all__ = [
    "Cluster",
    "FinetuneRecipe",
    "KerasTeacher",
    "Recipe",
    "RunDirectory",
    "Stage",
    "StageRecipe",
    "SupernetTeacher",
    "TrainStep",
    "Trainer",
    "delayed_stages",
    "finetune",
    "initialize",
    "open_experiment",
    "progressive_stages",
    "set_deterministic",
    "sort_channels",
    "weights_digest",
]
