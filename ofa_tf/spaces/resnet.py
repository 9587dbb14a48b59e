"""Spaces of bottleneck blocks, and the function that makes them: ResNet50-D, elastic in depth, ratio and width."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import ClassVar

from ofa_tf.common import InputError
from ofa_tf.common.config import check_numbers, check_whole_numbers
from ofa_tf.spaces.block import Block, make_divisible
from ofa_tf.spaces.space import MAX_DEPTH, Gene, Position, Space

_STEM_WIDTH = 64
_STAGE_WIDTHS = (256, 512, 1024, 2048)
_STAGE_STRIDES = (1, 2, 2, 2)


@dataclasses.dataclass(frozen=True)
class ResNetSpace(Space):
    """A stem of two or three convolutions and a max-pool, four stages of bottlenecks, and a dense layer.

    `Arch.d` has five entries: the stem's (0 or 2; 2 keeps its residual convolution), then how many blocks each stage
    has beyond its fewest. `Arch.w` has six, indices into `width_mults`: of the stem's middle, of the stem's output, and
    of each stage.

    Args:
        e: ratios of a bottleneck's inner to its output channels, ascending.
        extra_depths: the numbers of additional blocks a stage may have, ascending.
        width_mults: the width multipliers, ascending.
        base_depths: the fewest blocks of each stage.

    Source: He et al., "Bag of Tricks for Image Classification" (CVPR 2019), section 4.2; the code of Cai et al.
    """

    family: ClassVar[str] = "resnet"

    e: tuple[float, ...]
    extra_depths: tuple[int, ...]
    width_mults: tuple[float, ...]
    base_depths: tuple[int, ...] = (2, 2, 4, 2)

    def __post_init__(self):
        super().__post_init__()
        check_whole_numbers(f"space {self.name}: extra_depths", self.extra_depths, 0, MAX_DEPTH)
        check_whole_numbers(f"space {self.name}: base_depths", self.base_depths, 1, MAX_DEPTH)
        for field in ("e", "width_mults"):
            values = getattr(self, field)
            check_numbers(f"space {self.name}: {field}", values, len(values), 0, 8)
        for field in ("e", "extra_depths", "width_mults"):
            values = getattr(self, field)
            if not values or list(values) != sorted(set(values)) or min(values) < (field == "extra_depths") - 1:
                raise InputError(f"space {self.name}: {field} is {values}, expected ascending values")
        if min(self.e) <= 0 or min(self.width_mults) <= 0 or len(self.base_depths) != len(_STAGE_WIDTHS):
            raise InputError(f"space {self.name}: ratios and width multipliers must be above 0, with four base_depths")

    @functools.cached_property
    def genes(self) -> tuple[Gene, ...]:
        count = sum(base + self.extra_depths[-1] for base in self.base_depths)
        indices = tuple(range(len(self.width_mults)))
        return (
            *(Gene("e", index, self.e) for index in range(count)),
            Gene("d", 0, (0, 2)),
            *(Gene("d", index + 1, self.extra_depths) for index in range(len(self.base_depths))),
            *(Gene("w", index, indices) for index in range(2 + len(self.base_depths))),
        )

    @functools.cached_property
    def positions(self) -> tuple[Position, ...]:
        e, d, w = (self.fields[field] for field in ("e", "d", "w"))
        positions = [
            Position("stem_first", self._stem_first, 1, (w[0],)),
            Position("stem_residual", self._stem_residual, 2, (w[0],), d[0]),
            Position("stem_last", self._stem_last, 2, (w[0], w[1])),
        ]
        stride, index, before = 4, 0, w[1]
        for stage, (base, stage_stride) in enumerate(zip(self.base_depths, _STAGE_STRIDES, strict=True)):
            width = w[2 + stage]
            for place in range(base + self.extra_depths[-1]):
                name = f"stage{stage + 1}_block{place + 1}"
                depth = {"depth": d[1 + stage], "depth_index": place - base} if place >= base else {}
                if place == 0:
                    make = functools.partial(self._first_bottleneck, name, stage, stage_stride)
                    positions.append(Position(name, make, stride, (before, width, e[index]), **depth))
                    stride *= stage_stride
                else:
                    make = functools.partial(self._bottleneck, name, stage)
                    positions.append(Position(name, make, stride, (width, e[index]), **depth))
                index += 1
            before = width
        positions.append(Position("head", self._head, stride, (before,)))
        return tuple(positions)

    def _stem_width(self, index: int) -> int:
        return make_divisible(_STEM_WIDTH * self.width_mults[index])

    def _stem_middle(self, index: int) -> int:
        return make_divisible(self._stem_width(index) // 2)

    def _stage_width(self, stage: int, index: int) -> int:
        return make_divisible(_STAGE_WIDTHS[stage] * self.width_mults[index])

    def _stem_first(self, input_size: int, w: int) -> Block:
        middle = self._stem_middle(w)
        return Block("stem_first", "stem", 3, middle, middle, input_size, kernel_size=3, stride=2)

    def _stem_residual(self, input_size: int, w: int) -> Block:
        middle = self._stem_middle(w)
        return Block("stem_residual", "stem", middle, middle, middle, input_size, kernel_size=3, residual=True)

    def _stem_last(self, input_size: int, middle_w: int, w: int) -> Block:
        width = self._stem_width(w)
        return Block(
            "stem_last", "stem", self._stem_middle(middle_w), width, width, input_size, kernel_size=3, pool=True
        )

    def _first_bottleneck(
        self, name: str, stage: int, stride: int, input_size: int, before_w: int, w: int, e: float
    ) -> Block:
        before = self._stem_width(before_w) if stage == 0 else self._stage_width(stage - 1, before_w)
        return self._block(name, before, self._stage_width(stage, w), stride, input_size, e, residual=False)

    def _bottleneck(self, name: str, stage: int, input_size: int, w: int, e: float) -> Block:
        width = self._stage_width(stage, w)
        return self._block(name, width, width, 1, input_size, e, residual=True)

    def _block(
        self, name: str, before: int, width: int, stride: int, input_size: int, e: float, residual: bool
    ) -> Block:
        mid = make_divisible(round(width * e))
        return Block(
            name, "bottleneck", before, mid, width, input_size, kernel_size=3, stride=stride, expand=True,
            residual=residual,
        )  # fmt: skip

    def _head(self, input_size: int, w: int) -> Block:
        width = self._stage_width(len(_STAGE_WIDTHS) - 1, w)
        return Block("head", "head", width, 0, self.num_classes, input_size)


def resnet50(
    width_mults: Sequence[float] = (0.65, 0.8, 1.0),
    *,
    num_classes: int = 1000,
    e: Sequence[float] = (0.2, 0.25, 0.35),
    d: Sequence[int] = (0, 1, 2),
    resolutions: Sequence[int] = tuple(range(128, 225, 4)),
    name: str | None = None,
) -> ResNetSpace:
    """A ResNet50 space with elastic depth, expand ratio, width and stem.

    Args:
        width_mults: the width multipliers, ascending, that `Arch.w` points into.
        num_classes: outputs of the classifier.
        e: ratios of a bottleneck's inner to its output channels.
        d: the numbers of blocks that a stage may have beyond its fewest.
        resolutions: image sides in pixels from which training and search draw.
        name: built from the choices unless given.

    Source: He et al., "Bag of Tricks for Image Classification" (CVPR 2019), section 4.2; the code of Cai et al.

    Example:
        space = spaces.resnet50()
        space.arch(d=[0, 1, 2, 0, 1], e=0.25, w=[0, 0, 1, 1, 2, 2], r=192)
    """
    widths = tuple(width_mults)
    return ResNetSpace(
        name=name or f"resnet50_w{'_'.join(map(str, widths))}",
        num_classes=num_classes,
        resolutions=tuple(resolutions),
        e=tuple(e),
        extra_depths=tuple(d),
        width_mults=widths,
    )
