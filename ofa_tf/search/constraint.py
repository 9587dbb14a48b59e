"""Limits that a searched architecture must keep, as people give them and as a search uses them."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from ofa_tf.common import InputError
from ofa_tf.common.form import Form, form_of
from ofa_tf.spaces import Arch, Space, costs
from ofa_tf.spaces.costs import FILE_SIZES, ActivationMemory
from ofa_tf.spaces.population import CostTable, cost_table

KINDS = ("latency_ms", "macs", "params", "model_bytes", "peak_memory_bytes")


class LatencyPredictor(Protocol):
    """What a latency constraint needs: `LatencyTable` has it."""

    def compile(self, space: Space, resolutions: Sequence[int] | None = None) -> CostTable:
        """The latency in milliseconds as a table over a space's blocks."""


@dataclasses.dataclass(frozen=True)
class Constraint:
    """An upper limit on one cost.

    Args:
        kind: "latency_ms", "macs", "params", "model_bytes" (of the file) or "peak_memory_bytes" (of the activations at
            their peak).
        limit: the largest value that is allowed, in the kind's unit.
        predictor: for "latency_ms", predicts it.
        precision: for "model_bytes", the file's, a key of `spaces.costs.FILE_SIZES`.
        form: for "model_bytes", how the file is written, one of `common.form.FORMS`.
        memory: for "peak_memory_bytes", how the network is written.

    Raises:
        InputError: a field is missing or unusable.

    Example:
        Constraint("latency_ms", 20, predictor=LatencyTable.load("host_int8.json"))
        Constraint("model_bytes", 4_000_000, precision="int8")
        Constraint("peak_memory_bytes", 180_000, memory=ActivationMemory("int8", "fused-same"))
    """

    kind: str
    limit: float
    predictor: LatencyPredictor | None = None
    precision: str = "float32"
    form: str = "fused-rows"
    memory: ActivationMemory | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise InputError(f"constraint: kind is {self.kind!r}, expected one of {', '.join(KINDS)}")
        if not isinstance(self.limit, (int, float)) or not math.isfinite(self.limit) or self.limit <= 0:
            raise InputError(f"constraint: the limit of {self.kind} is {self.limit!r}, expected a number above 0")
        if (self.kind == "latency_ms") != (self.predictor is not None):
            raise InputError(f"constraint: {self.kind} takes {'a' if self.predictor is None else 'no'} predictor")
        if (self.kind == "peak_memory_bytes") != (self.memory is not None):
            raise InputError(f"constraint: {self.kind} takes {'a' if self.memory is None else 'no'} memory")
        if self.precision not in FILE_SIZES:
            raise InputError(f"constraint: precision is {self.precision!r}, expected one of {', '.join(FILE_SIZES)}")
        Form.parse(self.form)

    def compile(self, space: Space, resolutions: Sequence[int] | None = None) -> CostTable:
        """The constrained cost as a table over the space's blocks."""
        if self.predictor is not None:
            return self.predictor.compile(space, resolutions)
        if self.kind == "macs":
            return cost_table(space, costs.macs, resolutions=resolutions)
        if self.kind == "params":
            return cost_table(space, costs.params, resolutions=resolutions)
        if self.memory is not None:
            return cost_table(space, self.memory.block_bytes, resolutions=resolutions, largest=True)
        size = FILE_SIZES[self.precision]
        block_bytes = functools.partial(size.block_bytes, form=self.form)
        return cost_table(space, block_bytes, resolutions=resolutions, offset=size.constant)

    def exact(self, space: Space, arch: Arch) -> float | None:
        """What an architecture takes, where the table gives only a lower bound; None where the table is exact."""
        return None if self.memory is None else self.memory.network_bytes(space.blocks(arch))


def constraints_of(
    limits: Mapping[str, float],
    *,
    table: LatencyPredictor | None = None,
    precision: str = "int8",
    form: str | None = None,
) -> list[Constraint]:
    """The constraints of limits by kind, in the order of `KINDS`; `table` predicts latency; `form` as of `form_of`."""
    unknown = [kind for kind in limits if kind not in KINDS]
    if unknown:
        raise InputError(f"limits: {unknown[0]!r} is unknown, expected one of {', '.join(KINDS)}")
    written = {"precision": precision, "form": form_of(precision, form, limits=limits)}
    extra = {
        "latency_ms": lambda: {"predictor": table},
        "model_bytes": lambda: written,
        "peak_memory_bytes": lambda: {"memory": ActivationMemory(**written)},
    }
    return [Constraint(kind, limits[kind], **extra.get(kind, dict)()) for kind in KINDS if kind in limits]
