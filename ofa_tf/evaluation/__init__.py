"""Batch-norm calibration, accuracy on named splits, and the collection of (architecture, accuracy) pairs."""

from ofa_tf.evaluation.collect import collect, draw_architectures
from ofa_tf.evaluation.evaluate_model import evaluate_model
from ofa_tf.evaluation.evaluation import Evaluation
from ofa_tf.evaluation.evaluator import Evaluator
from ofa_tf.evaluation.farm import Farm

__all__ = ["Evaluation", "Evaluator", "Farm", "collect", "draw_architectures", "evaluate_model"]
