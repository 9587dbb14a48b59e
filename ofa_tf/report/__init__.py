"""The page of a specialization, its plots and tables. No TensorFlow.

Example:
    from ofa_tf.report import write_specialization
    write_specialization("OUT", machine=host.describe(), predictor_of=lambda target: predictor,
                         table_of=lambda target: table)
"""

from ofa_tf.report.architecture_drawing import architecture_drawing
from ofa_tf.report.data import PUBLISHED_BASELINES, Baseline
from ofa_tf.report.design_cost import DesignCost
from ofa_tf.report.front_plot import TradeoffSeries, tradeoff_plot
from ofa_tf.report.latency_plot import latency_plot
from ofa_tf.report.page import write_specialization
from ofa_tf.report.text import format_table
from ofa_tf.report.training_plot import TrainingCurve, training_plot

__all__ = [
    "PUBLISHED_BASELINES",
    "Baseline",
    "DesignCost",
    "TradeoffSeries",
    "TrainingCurve",
    "architecture_drawing",
    "format_table",
    "latency_plot",
    "tradeoff_plot",
    "training_plot",
    "write_specialization",
]
