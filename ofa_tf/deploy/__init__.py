"""TFLite: conversion, quantization, quantization-aware training, the one interpreter runner, checked export.

Example:
    from ofa_tf import deploy
    report = deploy.export(net, arch, statistics, "model.tflite", precision="int8", preprocessing=preprocessing,
                           representative_images=images)
    print(deploy.Runner(report.path).time().median_ms)
"""

from ofa_tf.deploy.convert import PRECISIONS, convert, default_form
from ofa_tf.deploy.export import DEFAULT_MAX_DROP, export, export_blocks
from ofa_tf.deploy.export_report import ExportReport
from ofa_tf.deploy.qat import quantization_aware
from ofa_tf.deploy.quantization_recipe import QuantizationRecipe
from ofa_tf.deploy.runner import Runner
from ofa_tf.deploy.timing import Timing

__all__ = [
    "DEFAULT_MAX_DROP",
    "PRECISIONS",
    "ExportReport",
    "QuantizationRecipe",
    "Runner",
    "Timing",
    "convert",
    "default_form",
    "export",
    "export_blocks",
    "quantization_aware",
]
