"""`ReportModel`: one network of the report's table, with what was predicted and measured of it."""

import dataclasses
from collections.abc import Mapping

from ofa_tf.spaces import Arch


@dataclasses.dataclass(frozen=True)
class ReportModel:
    """A searched network, or one that searched networks are compared with. What is None was not measured.

    Args:
        name: how plots and table call it, for example "0.30 ms" or "largest".
        arch: its architecture.
        macs: multiply-accumulates for one image.
        budget_ms: the latency it was searched for, in milliseconds; None if it was not searched.
        predicted_ms: latency from the latency table, in milliseconds.
        measured_ms: latency of its file on the device, in milliseconds.
        predicted_top1: the accuracy predictor's answer, 0..1.
        keras_top1: top-1 of the extracted float32 Keras model, 0..1.
        tflite_top1: top-1 of its file through the interpreter, on the same images, 0..1.
        model_bytes: size of its file.
        costs: what else was predicted of it, by the kind of limit: "params", "model_bytes", "peak_memory_bytes".
        measured_peak_memory_bytes: activation memory that a runtime allocated for its file.

    Example:
        ReportModel("0.30 ms", arch, space.count_macs(arch), budget_ms=0.3, predicted_ms=0.29, measured_ms=0.295)
    """

    name: str
    arch: Arch
    macs: int
    budget_ms: float | None = None
    predicted_ms: float | None = None
    measured_ms: float | None = None
    predicted_top1: float | None = None
    keras_top1: float | None = None
    tflite_top1: float | None = None
    model_bytes: int | None = None
    costs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    measured_peak_memory_bytes: int | None = None

    @property
    def over_budget(self) -> bool:
        """Whether it was measured to be slower than its budget."""
        return self.budget_ms is not None and self.measured_ms is not None and self.measured_ms > self.budget_ms
