"""`Evaluation`: the accuracy of one sub-network, with everything that says what it means."""

import dataclasses
from typing import Any

from ofa_tf.spaces import Arch


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of evaluating one sub-network.

    Args:
        arch: what was evaluated, its resolution included.
        top1: share of images whose most likely class is right, 0..1.
        top5: share of images whose class is among the five most likely, 0..1.
        images: how many there were.
        split: which ones: "holdout" (for decisions), "val" (for final reports only) or "train".
        calibrated: whether batch-norm statistics were recomputed for it.
    """

    arch: Arch
    top1: float
    top5: float
    images: int
    split: str
    calibrated: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON-ready data."""
        return {**dataclasses.asdict(self), "arch": self.arch.to_dict()}
