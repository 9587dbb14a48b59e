"""`LayerError`: what 8 bits cost one layer."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class LayerError:
    """The signal-to-quantization-noise ratios of a layer, in decibels: 10 log10 of (signal's power / error's power).

    Args:
        layer: its name.
        logits_db: at the logits, when this layer alone is in int8: what it costs the network.
        output_db: at its own output, when all is in int8: the errors of the layers before it included.
        low: the least value of the range that its output is quantized in.
        high: the greatest.
    """

    layer: str
    logits_db: float
    output_db: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)
