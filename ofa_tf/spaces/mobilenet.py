"""`MobileNetSpace`: spaces of inverted residual blocks; `mobilenet_families.py` and `native.py` make them."""

import dataclasses
import functools
from typing import Any, ClassVar

from ofa_tf.common import InputError, brief
from ofa_tf.common.config import check_bool, check_numbers, check_whole, check_whole_numbers
from ofa_tf.spaces.block import PADDINGS, Block, make_divisible
from ofa_tf.spaces.block_operations import ACTIVATIONS
from ofa_tf.spaces.space import MAX_DEPTH, MAX_RATIO, MAX_WIDTH, Gene, Position, Space, within

GATES = ("mobilenet_v3", "efficientnet")


def check_activation(what: str, found: str) -> None:
    """Raises `InputError` unless it is one of `block_operations.ACTIVATIONS`."""
    if found not in ACTIVATIONS:
        raise InputError(f"{what} is {brief(repr(found))}, expected one of {', '.join(ACTIVATIONS)}")


@dataclasses.dataclass(frozen=True)
class Stage:
    """A run of elastic blocks of one width.

    Args:
        width: output channels, already rounded.
        stride: of the first block.
        activation: one of `block_operations.ACTIVATIONS`.
        squeeze_excite: whether its blocks have squeeze-and-excite.
        depths: the numbers of blocks it may have, ascending.
        kind: of its blocks, "mbconv" or "fused_mbconv".
        e: expand ratios of its blocks, ascending; or of each block its own, one tuple for each; those of the space
            where it has none.
    """

    width: int
    stride: int
    activation: str
    squeeze_excite: bool
    depths: tuple[int, ...]
    kind: str = "mbconv"
    e: tuple[float, ...] | tuple[tuple[float, ...], ...] = ()

    def __post_init__(self):
        check_whole("stage: width", self.width, 1, MAX_WIDTH)
        check_whole("stage: stride", self.stride, 1, 2)
        check_whole_numbers("stage: depths", self.depths, 1, MAX_DEPTH)
        check_activation("stage: activation", self.activation)
        check_bool("stage: squeeze_excite", self.squeeze_excite)
        each = isinstance(self.e, tuple) and all(isinstance(ratios, tuple) for ratios in self.e)
        for ratios in self.e if each else (self.e,):
            check_numbers("stage: e", ratios, len(ratios), 1, MAX_RATIO)
        if self.e and each and len(self.e) != self.depths[-1]:
            raise InputError(f"stage: e has ratios for {len(self.e)} blocks, expected them for {self.depths[-1]}")
        if self.kind not in ("mbconv", "fused_mbconv"):
            raise InputError(f"stage: kind is {brief(repr(self.kind))}, expected mbconv or fused_mbconv")


@dataclasses.dataclass(frozen=True)
class MobileNetSpace(Space):
    """Stem, at most one fixed block, stages of elastic inverted residual blocks, and a head.

    Args:
        ks: kernel sizes of an elastic block, ascending.
        e: expand ratios of an elastic block, ascending.
        stages: the elastic stages.
        stem_width: channels of the 3x3 stem convolution.
        stem_stride: its stride.
        stem_activation: its activation.
        first_width: output channels of the fixed block (3x3, not expanded, no squeeze-and-excite), 0 for none.
        first_activation: its activation.
        first_residual: whether it is residual where its widths match.
        head_width: channels of the 1x1 convolution before pooling.
        feature_width: channels of the 1x1 convolution after pooling, 0 for none.
        head_activation: activation of both.
        norm_epsilon: epsilon of every batch norm.
        padding: of strided convolutions, "symmetric" or "same".
        gates: how squeeze-and-excite is made: "mobilenet_v3", a quarter of the block's inner channels, ReLU and hard
            sigmoid; "efficientnet", a quarter of the block's input channels, SiLU and sigmoid.
        first_stride: of the fixed block.
        first_squeeze_excite: whether the fixed block has it.
        feature_bias: whether the 1x1 convolution after pooling has a bias.
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
    padding: str = "symmetric"
    gates: str = "mobilenet_v3"
    first_stride: int = 1
    first_squeeze_excite: bool = False
    feature_bias: bool = False

    def __post_init__(self):
        super().__post_init__()
        for field, known in (("padding", PADDINGS), ("gates", GATES)):
            if (found := getattr(self, field)) not in known:
                raise InputError(f"space {self.name}: {field} is {brief(repr(found))}, expected {' or '.join(known)}")
        for field in ("first_residual", "first_squeeze_excite", "feature_bias"):
            check_bool(f"space {self.name}: {field}", getattr(self, field))
        check_whole(f"space {self.name}: first_stride", self.first_stride, 1, 2)
        check_whole(f"space {self.name}: number of stages", len(self.stages), 1, MAX_DEPTH)
        check_whole(f"space {self.name}: stem_width", self.stem_width, 1, MAX_WIDTH)
        for field in ("first_width", "head_width", "feature_width"):
            check_whole(f"space {self.name}: {field}", getattr(self, field), 0, MAX_WIDTH)
        check_whole(f"space {self.name}: stem_stride", self.stem_stride, 1, 2)
        for field in ("stem_activation", "first_activation", "head_activation"):
            check_activation(f"space {self.name}: {field}", getattr(self, field))
        check_whole_numbers(f"space {self.name}: ks", self.ks, 1, MAX_RATIO)
        check_numbers(f"space {self.name}: e", self.e, len(self.e), 1, MAX_RATIO)
        check_numbers(f"space {self.name}: norm_epsilon", self.norm_epsilon, 1, 0, 1)
        depths = [stage.depths for stage in self.stages]
        ratios = [ratios for stage in self.stages for ratios in self._ratios(stage)]
        for field, values in (
            ("ks", self.ks), *(("e", each) for each in [self.e, *ratios]), *(("depths", each) for each in depths),
        ):  # fmt: skip
            if not values or list(values) != sorted(set(values)) or min(values) < 1:
                raise InputError(f"space {self.name}: {field} is {values}, expected ascending values of at least 1")
        if any(
            stage.kind == "fused_mbconv" and 1 in e and len(e) > 1 for stage in self.stages for e in self._ratios(stage)
        ):
            raise InputError(
                f"space {self.name}: a fused stage has the ratios 1 and others, but at 1 its blocks are single "
                f"convolutions; give it e=(1,), or ratios above 1"
            )
        if any(
            size % 2 == 0 or later - size != 2
            for size, later in zip(self.ks, (*self.ks[1:], self.ks[-1] + 2), strict=True)
        ):
            raise InputError(f"space {self.name}: ks is {self.ks}, expected consecutive odd sizes such as 3, 5, 7")

    def _ratios(self, stage: Stage) -> tuple[tuple[float, ...], ...]:
        """Of each block of a stage."""
        if stage.e and isinstance(stage.e[0], tuple):
            return stage.e
        return (stage.e or self.e,) * max(stage.depths, default=0)

    @functools.cached_property
    def genes(self) -> tuple[Gene, ...]:
        ratios = [ratios for stage in self.stages for ratios in self._ratios(stage)]
        return (
            *(Gene("ks", index, self.ks) for index in range(len(ratios))),
            *(Gene("e", index, e) for index, e in enumerate(ratios)),
            *(Gene("d", index, stage.depths) for index, stage in enumerate(self.stages)),
        )

    @functools.cached_property
    def positions(self) -> tuple[Position, ...]:
        stride = self.stem_stride
        positions = [Position("stem", self._stem, 1)]
        if self.first_width:
            positions.append(Position("first", self._first, stride))
            stride *= self.first_stride
        width, index = self.first_width or self.stem_width, 0
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
        def ratios(stage: Stage, blocks: int) -> tuple:
            left = [within(e, choices.get("e", e)) for e in self._ratios(stage)[:blocks]]
            return tuple(left) if isinstance(stage.e[0], tuple) else left[0]

        stages = []
        for stage in self.stages:
            depths = within(stage.depths, choices.get("d", stage.depths))
            stages.append(
                dataclasses.replace(stage, depths=depths, e=ratios(stage, depths[-1]) if stage.e else stage.e)
            )
        blocks = {field: choices[field] for field in ("ks", "e") if field in choices}
        return self.replace(stages=tuple(stages), resolutions=choices.get("r", self.resolutions), **blocks)

    def _stem(self, input_size: int) -> Block:
        return Block(
            "stem", "stem", 3, self.stem_width, self.stem_width, input_size, kernel_size=3, stride=self.stem_stride,
            activation=self.stem_activation, norm_epsilon=self.norm_epsilon, padding=self._padding(self.stem_stride),
        )  # fmt: skip

    def _first(self, input_size: int) -> Block:
        return Block(
            "first", "mbconv", self.stem_width, self.stem_width, self.first_width, input_size, kernel_size=3,
            stride=self.first_stride, activation=self.first_activation, norm_epsilon=self.norm_epsilon,
            residual=self.first_residual and self.stem_width == self.first_width and self.first_stride == 1,
            padding=self._padding(self.first_stride),
            **self._gate(self.stem_width, self.stem_width) if self.first_squeeze_excite else {},
        )  # fmt: skip

    def _elastic(self, name: str, width: int, stage: Stage, stride: int, input_size: int, ks: int, e: float) -> Block:
        single = stage.kind == "fused_mbconv" and e == 1
        mid = stage.width if single else make_divisible(round(width * e))
        return Block(
            name, stage.kind, width, mid, stage.width, input_size, kernel_size=ks, stride=stride,
            activation=stage.activation, expand=not single, residual=stride == 1 and width == stage.width,
            norm_epsilon=self.norm_epsilon, padding=self._padding(stride),
            **self._gate(width, mid) if stage.squeeze_excite and not single else {},
        )  # fmt: skip

    def _padding(self, stride: int) -> str:
        """Of a block; without a stride both are the same."""
        return self.padding if stride > 1 else "symmetric"

    def _gate(self, in_channels: int, mid_channels: int) -> dict[str, Any]:
        if self.gates == "mobilenet_v3":
            return {"se_channels": make_divisible(mid_channels // 4)}
        return {"se_channels": max(1, in_channels // 4), "se_activation": "silu", "se_gate": "sigmoid"}

    def _head(self, width: int, input_size: int) -> Block:
        return Block(
            "head", "head", width, self.head_width, self.num_classes, input_size, activation=self.head_activation,
            feature_channels=self.feature_width, norm_epsilon=self.norm_epsilon, feature_bias=self.feature_bias,
        )  # fmt: skip
