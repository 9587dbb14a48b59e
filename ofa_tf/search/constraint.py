"""`Constraint`: one limit that a searched architecture must keep."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol

from ofa_tf.common import InputError
from ofa_tf.spaces import Space, costs
from ofa_tf.spaces.population import CostTable, cost_table

BYTES_PER_PARAM = {"float32": 4, "float16": 2, "dynamic_range": 1, "int8": 1}
KINDS = ("latency_ms", "macs", "params", "model_bytes")


class LatencyPredictor(Protocol):
    """What a latency constraint needs: `LatencyTable` has it."""

    def compile(self, space: Space, resolutions: Sequence[int] | None = None) -> CostTable:
        """The latency in milliseconds as a table over a space's blocks."""


@dataclasses.dataclass(frozen=True)
class Constraint:
    """An upper limit on one cost.

    Args:
        kind: "latency_ms", "macs", "params" or "model_bytes".
        limit: the largest value that is allowed, in the kind's unit.
        predictor: for "latency_ms", predicts it.
        precision: for "model_bytes", a key of `BYTES_PER_PARAM`.
        overhead_bytes: for "model_bytes", what a file holds besides the parameters at that precision: the graph,
            quantization scales, biases kept at 32 bits. The estimate is bytes per parameter x parameters + this.

    Raises:
        InputError: a field is missing or unusable.

    Example:
        Constraint("latency_ms", 20, predictor=LatencyTable.load("host_int8.json"))
        Constraint("model_bytes", 4_000_000, precision="int8", overhead_bytes=60_000)
    """

    kind: str
    limit: float
    predictor: LatencyPredictor | None = None
    precision: str = "float32"
    overhead_bytes: int = 0

    def __post_init__(self):
        if self.kind not in KINDS:
            raise InputError(f"constraint: kind is {self.kind!r}, expected one of {', '.join(KINDS)}")
        if not isinstance(self.limit, (int, float)) or not math.isfinite(self.limit) or self.limit <= 0:
            raise InputError(f"constraint: the limit of {self.kind} is {self.limit!r}, expected a number above 0")
        if (self.kind == "latency_ms") != (self.predictor is not None):
            raise InputError(f"constraint: {self.kind} takes {'a' if self.predictor is None else 'no'} predictor")
        if self.precision not in BYTES_PER_PARAM:
            raise InputError(
                f"constraint: precision is {self.precision!r}, expected one of {', '.join(BYTES_PER_PARAM)}"
            )

    def compile(self, space: Space, resolutions: Sequence[int] | None = None) -> CostTable:
        """The constrained cost as a table over the space's blocks."""
        if self.predictor is not None:
            return self.predictor.compile(space, resolutions)
        if self.kind == "macs":
            return cost_table(space, costs.macs, resolutions=resolutions)
        if self.kind == "params":
            return cost_table(space, costs.params, resolutions=resolutions)
        return cost_table(
            space,
            costs.params,
            resolutions=resolutions,
            scale=BYTES_PER_PARAM[self.precision],
            offset=self.overhead_bytes,
        )
