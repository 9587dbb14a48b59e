"""Plots, tables and the HTML report, from plain data. No TensorFlow.

Example:
    from ofa_tf.report import Report, ReportModel, format_table, write_report
    models = [ReportModel("0.30 ms", arch, space.count_macs(arch), budget_ms=0.3, predicted_ms=0.29)]
    print(format_table(models))
    write_report("report.html", Report("Digits", "this laptop", "400 held-out images", space, models))
"""

from ofa_tf.report.accuracy_plot import accuracy_plot
from ofa_tf.report.architecture_drawing import architecture_drawing
from ofa_tf.report.comparison_table import comparison_table, format_table
from ofa_tf.report.design_cost import DesignCost
from ofa_tf.report.latency_plot import latency_plot
from ofa_tf.report.page import render_report, write_report
from ofa_tf.report.report import Report
from ofa_tf.report.report_baseline import PUBLISHED_BASELINES, ReportBaseline
from ofa_tf.report.report_device import ReportDevice
from ofa_tf.report.report_model import ReportModel
from ofa_tf.report.report_point import ReportPoint
from ofa_tf.report.report_target import STATUSES, ReportTarget
from ofa_tf.report.specialization_report import SpecializationReport
from ofa_tf.report.tradeoff_plot import TradeoffSeries, tradeoff_plot
from ofa_tf.report.training_curve import TrainingCurve
from ofa_tf.report.training_plot import training_plot

__all__ = [
    "PUBLISHED_BASELINES",
    "STATUSES",
    "DesignCost",
    "Report",
    "ReportBaseline",
    "ReportDevice",
    "ReportModel",
    "ReportPoint",
    "ReportTarget",
    "SpecializationReport",
    "TradeoffSeries",
    "TrainingCurve",
    "accuracy_plot",
    "architecture_drawing",
    "comparison_table",
    "format_table",
    "latency_plot",
    "render_report",
    "tradeoff_plot",
    "training_plot",
    "write_report",
]
