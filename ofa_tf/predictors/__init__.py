"""Predictors of accuracy and latency; all answer `predict(space, archs)` with a NumPy array. No TensorFlow."""

from ofa_tf.predictors.accuracy_predictor import AccuracyPredictor
from ofa_tf.predictors.holdout_metrics import holdout_metrics
from ofa_tf.predictors.latency_correction import LatencyCorrection, fit_correction, mean_absolute_percentage_error
from ofa_tf.predictors.latency_regression import LatencyRegression, read_latency_pairs
from ofa_tf.predictors.latency_table import BlockLatency, LatencyTable
from ofa_tf.predictors.pairs import Pair, PairsFile

__all__ = [
    "AccuracyPredictor",
    "BlockLatency",
    "LatencyCorrection",
    "LatencyRegression",
    "LatencyTable",
    "Pair",
    "PairsFile",
    "fit_correction",
    "holdout_metrics",
    "mean_absolute_percentage_error",
    "read_latency_pairs",
]
