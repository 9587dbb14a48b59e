"""`BlockLatency`: what was measured of one block."""

import dataclasses
import math
from typing import Any

from ofa_tf.common import InputError, brief


@dataclasses.dataclass(frozen=True)
class BlockLatency:
    """The latency of one block over `count` runs.

    Args:
        median_ms: the median, in milliseconds.
        p95_ms: the 95th percentile, in milliseconds; None where it was not recorded (published tables).
        std_ms: the standard deviation, in milliseconds.
        count: the number of timed runs.
    """

    median_ms: float
    p95_ms: float | None
    std_ms: float
    count: int

    def to_dict(self) -> dict[str, float | None]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(fields: Any) -> "BlockLatency":
        """Reads what `to_dict` wrote; raises `InputError` where that is not a measurement."""
        try:
            latency = BlockLatency(**fields)
            times = (latency.median_ms, latency.std_ms, *(() if latency.p95_ms is None else (latency.p95_ms,)))
            usable = all(math.isfinite(time) and time >= 0 for time in times) and latency.count >= 1
        except TypeError:
            usable = False
        if not usable:
            raise InputError(f"found {brief(repr(fields))}, expected median_ms, p95_ms, std_ms and count")
        return latency
