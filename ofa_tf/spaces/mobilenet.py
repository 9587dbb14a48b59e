"""Spaces of inverted residual blocks: the MobileNetV3 family."""

import dataclasses
import functools
from typing import ClassVar

from ofa_tf.common import InputError, brief
from ofa_tf.common.config import check_numbers, check_whole_numbers
from ofa_tf.spaces.block import ACTIVATIONS, Block
from ofa_tf.spaces.divisible import make_divisible
from ofa_tf.spaces.space import MAX_DEPTH, MAX_RATIO, MAX_WIDTH, Gene, Position, Space, within


def check_activation(what: str, found: str) -> None:
    """Raises `InputError` unless it is one of `block.ACTIVATIONS`."""
    if found not in ACTIVATIONS:
        raise InputError(f"{what} is {brief(repr(found))}, expected one of {', '.join(ACTIVATIONS)}")


@dataclasses.dataclass(frozen=True)
class Stage:
    """A run of elastic blocks of one width.

    Args:
        width: output channels, already rounded.
        stride: of the first block.
        activation: one of `block.ACTIVATIONS`.
        squeeze_excite: whether its blocks have squeeze-and-excite.
        depths: the numbers of blocks it may have, ascending.
    """

    width: int
    stride: int
    activation: str
    squeeze_excite: bool
    depths: tuple[int, ...]

    def __post_init__(self):
        check_whole_numbers("stage: width", self.width, 1, MAX_WIDTH)
        check_whole_numbers("stage: stride", self.stride, 1, 2)
        check_whole_numbers("stage: depths", self.depths, 1, MAX_DEPTH)
        check_activation("stage: activation", self.activation)


@dataclasses.dataclass(frozen=True)
class MobileNetSpace(Space):
    """Stem, one fixed block, stages of elastic inverted residual blocks, and a head.

    Args:
        ks: kernel sizes of an elastic block, ascending.
        e: expand ratios of an elastic block, ascending.
        stages: the elastic stages.
        stem_width: channels of the 3x3 stem convolution.
        stem_stride: its stride.
        stem_activation: its activation.
        first_width: output channels of the fixed block (3x3, not expanded, no squeeze-and-excite).
        first_activation: its activation.
        first_residual: whether it is residual where its widths match.
        head_width: channels of the 1x1 convolution before pooling.
        feature_width: channels of the 1x1 convolution after pooling, 0 for none.
        head_activation: activation of both.
        norm_epsilon: epsilon of every batch norm.
    """

    family: ClassVar[str] = "mobilenet"

    ks: tuple[int, ...]
    e: tuple[float, ...]
    stages: tuple[Stage, ...]
    stem_width: int
    stem_stride: int
    stem_activation: str
    first_width: int
    first_activation: str
    first_residual: bool
    head_width: int
    feature_width: int
    head_activation: str
    norm_epsilon: float = 1e-5

    def __post_init__(self):
        super().__post_init__()
        check_whole_numbers(f"space {self.name}: number of stages", len(self.stages), 1, MAX_DEPTH)
        for field in ("stem_width", "first_width"):
            check_whole_numbers(f"space {self.name}: {field}", getattr(self, field), 1, MAX_WIDTH)
        for field in ("head_width", "feature_width"):
            check_whole_numbers(f"space {self.name}: {field}", getattr(self, field), 0, MAX_WIDTH)
        check_whole_numbers(f"space {self.name}: stem_stride", self.stem_stride, 1, 2)
        for field in ("stem_activation", "first_activation", "head_activation"):
            check_activation(f"space {self.name}: {field}", getattr(self, field))
        check_whole_numbers(f"space {self.name}: ks", self.ks, 1, MAX_RATIO)
        check_numbers(f"space {self.name}: e", self.e, len(self.e), 1, MAX_RATIO)
        check_numbers(f"space {self.name}: norm_epsilon", self.norm_epsilon, 1, 0, 1)
        for field, values in (("ks", self.ks), ("e", self.e), *(("depths", stage.depths) for stage in self.stages)):
            if not values or list(values) != sorted(set(values)) or min(values) < 1:
                raise InputError(f"space {self.name}: {field} is {values}, expected ascending values of at least 1")
        if any(
            size % 2 == 0 or later - size != 2
            for size, later in zip(self.ks, (*self.ks[1:], self.ks[-1] + 2), strict=True)
        ):
            raise InputError(f"space {self.name}: ks is {self.ks}, expected consecutive odd sizes such as 3, 5, 7")

    @functools.cached_property
    def genes(self) -> tuple[Gene, ...]:
        count = sum(stage.depths[-1] for stage in self.stages)
        return (
            *(Gene("ks", index, self.ks) for index in range(count)),
            *(Gene("e", index, self.e) for index in range(count)),
            *(Gene("d", index, stage.depths) for index, stage in enumerate(self.stages)),
        )

    @functools.cached_property
    def positions(self) -> tuple[Position, ...]:
        stride = self.stem_stride
        positions = [Position("stem", self._stem, 1), Position("first", self._first, stride)]
        width, index = self.first_width, 0
        for number, stage in enumerate(self.stages):
            depth = self.fields["d"][number]
            for place in range(stage.depths[-1]):
                name = f"stage{number + 1}_block{place + 1}"
                block_stride = stage.stride if place == 0 else 1
                make = functools.partial(self._elastic, name, width, stage, block_stride)
                genes = (self.fields["ks"][index], self.fields["e"][index])
                positions.append(Position(name, make, stride, genes, depth, place))
                stride *= block_stride
                width, index = stage.width, index + 1
        positions.append(Position("head", functools.partial(self._head, width), stride))
        return tuple(positions)

    def _with_choices(self, choices: dict[str, tuple]) -> "MobileNetSpace":
        stages = tuple(
            dataclasses.replace(stage, depths=within(stage.depths, choices["d"])) if "d" in choices else stage
            for stage in self.stages
        )
        blocks = {field: choices[field] for field in ("ks", "e") if field in choices}
        return self.replace(stages=stages, resolutions=choices.get("r", self.resolutions), **blocks)

    def _stem(self, input_size: int) -> Block:
        return Block(
            "stem", "stem", 3, self.stem_width, self.stem_width, input_size, kernel_size=3, stride=self.stem_stride,
            activation=self.stem_activation, norm_epsilon=self.norm_epsilon,
        )  # fmt: skip

    def _first(self, input_size: int) -> Block:
        return Block(
            "first", "mbconv", self.stem_width, self.stem_width, self.first_width, input_size, kernel_size=3,
            activation=self.first_activation, norm_epsilon=self.norm_epsilon,
            residual=self.first_residual and self.stem_width == self.first_width,
        )  # fmt: skip

    def _elastic(self, name: str, width: int, stage: Stage, stride: int, input_size: int, ks: int, e: float) -> Block:
        mid = make_divisible(round(width * e))
        return Block(
            name, "mbconv", width, mid, stage.width, input_size, kernel_size=ks, stride=stride,
            activation=stage.activation, se_channels=make_divisible(mid // 4) if stage.squeeze_excite else 0,
            expand=True, residual=stride == 1 and width == stage.width, norm_epsilon=self.norm_epsilon,
        )  # fmt: skip

    def _head(self, width: int, input_size: int) -> Block:
        return Block(
            "head", "head", width, self.head_width, self.num_classes, input_size, activation=self.head_activation,
            feature_channels=self.feature_width, norm_epsilon=self.norm_epsilon,
        )  # fmt: skip
