"""TFLite: conversion, quantization, quantization-aware training, the one interpreter runner, checked export.

Example:
    from ofa_tf import deploy
    report = deploy.export(net, arch, statistics, "model.tflite", precision="int8", preprocessing=preprocessing,
                           representative_images=images)
    print(deploy.Runner(report.path).time().median_ms)
"""

from ofa_tf.common.form import BORDER_TYPES, PRECISIONS
from ofa_tf.deploy.checked_file import Expected, keep_checked
from ofa_tf.deploy.convert import convert
from ofa_tf.deploy.export import arch_facts, export, export_blocks
from ofa_tf.deploy.export_report import ExportReport
from ofa_tf.deploy.graph_summary import GraphSummary, summarize
from ofa_tf.deploy.model_card import model_card
from ofa_tf.deploy.model_file import read_description
from ofa_tf.deploy.qat import quantization_aware
from ofa_tf.deploy.quantization import quantize
from ofa_tf.deploy.quantization_recipe import QuantizationRecipe
from ofa_tf.deploy.runner import Runner
from ofa_tf.deploy.timing import Timing

__all__ = [
    "BORDER_TYPES",
    "PRECISIONS",
    "Expected",
    "ExportReport",
    "GraphSummary",
    "QuantizationRecipe",
    "Runner",
    "Timing",
    "arch_facts",
    "convert",
    "export",
    "export_blocks",
    "keep_checked",
    "model_card",
    "quantization_aware",
    "quantize",
    "read_description",
    "summarize",
]
