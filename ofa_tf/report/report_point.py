"""`ReportPoint`: a sub-network that is only a point in the plots."""

import dataclasses
from collections.abc import Mapping

from ofa_tf.spaces import Arch


@dataclasses.dataclass(frozen=True)
class ReportPoint:
    """A sub-network drawn at random, the background that searched networks are seen against, or one of a front.

    Args:
        arch: its architecture.
        predicted_ms: latency from the latency table, in milliseconds.
        measured_ms: latency of its file on the device, in milliseconds; None if it was not measured.
        predicted_top1: the accuracy predictor's answer, 0..1.
        keras_top1: its calibrated float32 top-1, on the same images as the models', 0..1; None if it was not measured.
        costs: what else was predicted of it, by the kind of limit: "params", "peak_memory_bytes" and others.
    """

    arch: Arch
    predicted_ms: float | None = None
    measured_ms: float | None = None
    predicted_top1: float | None = None
    keras_top1: float | None = None
    costs: Mapping[str, float] = dataclasses.field(default_factory=dict)
