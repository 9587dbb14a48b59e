"""Batch-norm calibration, accuracy on named splits, and the collection of (architecture, accuracy) pairs."""

from ofa_tf.evaluation.collect import Farm, collect, draw_architectures
from ofa_tf.evaluation.evaluator import Evaluation, Evaluator, evaluate_model

__all__ = ["Evaluation", "Evaluator", "Farm", "collect", "draw_architectures", "evaluate_model"]
