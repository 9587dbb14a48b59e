"""`Pair`: one measured accuracy."""

import dataclasses
from typing import Any

from ofa_tf.spaces import Arch


@dataclasses.dataclass(frozen=True)
class Pair:
    """One measurement.

    Args:
        arch: the architecture.
        top1: its top-1 accuracy, 0..1.
        images: the number of images it was measured on.
        split: the named split they are from.
        extra: whatever else was recorded.
    """

    arch: Arch
    top1: float
    images: int
    split: str
    extra: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def key(self) -> tuple[Arch, str, int]:
        """What a file never holds twice."""
        return self.arch, self.split, self.images
