"""TFLite: trained networks as checked, quantized files; the one interpreter runner; files for microcontrollers.

Example:
    from ofa_tf import deploy
    network = deploy.Network.of_subnet(net, arch, preprocessing, statistics)
    report = network.export("model.tflite", "int8", representative_images=images)
    print(deploy.Runner(report.path).time().median_ms)
"""

import importlib
from typing import TYPE_CHECKING

from ofa_tf.common.form import INPUT_OUTPUT_TYPES, PRECISIONS

if TYPE_CHECKING:
    from ofa_tf.deploy.checked_file import ExportReport
    from ofa_tf.deploy.conversion import convert
    from ofa_tf.deploy.foreign_file import ForeignFile, open_foreign, open_foreign_files
    from ofa_tf.deploy.micro_runtime import MicroRun, run_micro, write_c_array
    from ofa_tf.deploy.model_file import read_description
    from ofa_tf.deploy.network import Network
    from ofa_tf.deploy.qat import QuantizationRecipe, quantization_aware
    from ofa_tf.deploy.quantization import quantize
    from ofa_tf.deploy.runner import GraphSummary, Runner, Timing, summarize

# Imported when it is asked for: files are run, also in processes of their own, without TensorFlow.
_MODULES = {
    "ExportReport": "checked_file",
    "convert": "conversion",
    "ForeignFile": "foreign_file",
    "open_foreign": "foreign_file",
    "open_foreign_files": "foreign_file",
    "MicroRun": "micro_runtime",
    "run_micro": "micro_runtime",
    "write_c_array": "micro_runtime",
    "read_description": "model_file",
    "Network": "network",
    "QuantizationRecipe": "qat",
    "quantization_aware": "qat",
    "quantize": "quantization",
    "GraphSummary": "runner",
    "Runner": "runner",
    "Timing": "runner",
    "summarize": "runner",
}

__all__ = [
    "INPUT_OUTPUT_TYPES",
    "PRECISIONS",
    "ExportReport",
    "ForeignFile",
    "GraphSummary",
    "MicroRun",
    "Network",
    "QuantizationRecipe",
    "Runner",
    "Timing",
    "convert",
    "open_foreign",
    "open_foreign_files",
    "quantization_aware",
    "quantize",
    "read_description",
    "run_micro",
    "summarize",
    "write_c_array",
]


def __getattr__(name: str):
    if name in _MODULES:
        return getattr(importlib.import_module(f"ofa_tf.deploy.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
