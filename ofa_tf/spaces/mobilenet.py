"""Spaces of inverted residual blocks, and the functions that make them: MobileNetV3, ProxylessNAS, EfficientNetV2."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import ClassVar

from ofa_tf.common import InputError, brief
from ofa_tf.common.config import check_numbers, check_whole_numbers
from ofa_tf.spaces.block import ACTIVATIONS, Block, make_divisible
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
        kind: of its blocks, "mbconv" or "fused_mbconv".
        e: expand ratios of its blocks, ascending; those of the space where it has none of its own.
    """

    width: int
    stride: int
    activation: str
    squeeze_excite: bool
    depths: tuple[int, ...]
    kind: str = "mbconv"
    e: tuple[float, ...] = ()

    def __post_init__(self):
        check_whole_numbers("stage: width", self.width, 1, MAX_WIDTH)
        check_whole_numbers("stage: stride", self.stride, 1, 2)
        check_whole_numbers("stage: depths", self.depths, 1, MAX_DEPTH)
        check_activation("stage: activation", self.activation)
        check_numbers("stage: e", self.e, len(self.e), 1, MAX_RATIO)
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
        check_whole_numbers(f"space {self.name}: stem_width", self.stem_width, 1, MAX_WIDTH)
        for field in ("first_width", "head_width", "feature_width"):
            check_whole_numbers(f"space {self.name}: {field}", getattr(self, field), 0, MAX_WIDTH)
        check_whole_numbers(f"space {self.name}: stem_stride", self.stem_stride, 1, 2)
        for field in ("stem_activation", "first_activation", "head_activation"):
            check_activation(f"space {self.name}: {field}", getattr(self, field))
        check_whole_numbers(f"space {self.name}: ks", self.ks, 1, MAX_RATIO)
        check_numbers(f"space {self.name}: e", self.e, len(self.e), 1, MAX_RATIO)
        check_numbers(f"space {self.name}: norm_epsilon", self.norm_epsilon, 1, 0, 1)
        depths, ratios = [stage.depths for stage in self.stages], [self._ratios(stage) for stage in self.stages]
        for field, values in (
            ("ks", self.ks), *(("e", each) for each in [self.e, *ratios]), *(("depths", each) for each in depths),
        ):  # fmt: skip
            if not values or list(values) != sorted(set(values)) or min(values) < 1:
                raise InputError(f"space {self.name}: {field} is {values}, expected ascending values of at least 1")
        if any(
            stage.kind == "fused_mbconv" and 1 in (e := self._ratios(stage)) and len(e) > 1 for stage in self.stages
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

    def _ratios(self, stage: Stage) -> tuple[float, ...]:
        return stage.e or self.e

    @functools.cached_property
    def genes(self) -> tuple[Gene, ...]:
        ratios = [self._ratios(stage) for stage in self.stages for _ in range(stage.depths[-1])]
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
        stages = tuple(
            dataclasses.replace(
                stage,
                depths=within(stage.depths, choices.get("d", stage.depths)),
                e=within(stage.e, choices.get("e", stage.e)) if stage.e else (),
            )
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
        single = stage.kind == "fused_mbconv" and e == 1
        mid = stage.width if single else make_divisible(round(width * e))
        return Block(
            name, stage.kind, width, mid, stage.width, input_size, kernel_size=ks, stride=stride,
            activation=stage.activation, expand=not single, residual=stride == 1 and width == stage.width,
            se_channels=make_divisible(mid // 4) if stage.squeeze_excite and not single else 0,
            norm_epsilon=self.norm_epsilon,
        )  # fmt: skip

    def _head(self, width: int, input_size: int) -> Block:
        return Block(
            "head", "head", width, self.head_width, self.num_classes, input_size, activation=self.head_activation,
            feature_channels=self.feature_width, norm_epsilon=self.norm_epsilon,
        )  # fmt: skip


def mobilenet_v3(
    width_mult: float = 1.0,
    *,
    num_classes: int = 1000,
    ks: Sequence[int] = (3, 5, 7),
    e: Sequence[float] = (3, 4, 6),
    d: Sequence[int] = (2, 3, 4),
    resolutions: Sequence[int] = tuple(range(128, 225, 4)),
    stem_stride: int = 2,
    base_widths: Sequence[int] = (16, 16, 24, 40, 80, 112, 160),
    strides: Sequence[int] = (2, 2, 2, 1, 2),
    head_widths: tuple[int, int] = (960, 1280),
    activation: str = "h_swish",
    squeeze_excite: bool = True,
    name: str | None = None,
) -> MobileNetSpace:
    """A MobileNetV3 space.

    Args:
        width_mult: multiplies every width, which is then rounded to a multiple of 8.
        num_classes: outputs of the classifier.
        ks: kernel sizes, consecutive and odd.
        e: expand ratios.
        d: depths of a stage.
        resolutions: image sides in pixels from which training and search draw.
        stem_stride: 2 as published; 1 for small images.
        base_widths: of the stem, the first block and each stage, before `width_mult`.
        strides: of each stage.
        head_widths: of the two last 1x1 convolutions, before `width_mult`.
        activation: "h_swish" as published, of the stem, the later stages and the head; or "relu6", which every runtime
            takes into the convolution before it, so that it costs neither time nor memory in int8.
        squeeze_excite: whether the second, fourth and fifth stage have it, as published.
        name: built from the choices unless given.

    Source: Howard et al., "Searching for MobileNetV3" (ICCV 2019), table 1; Cai et al., section 4.1.

    Example:
        space = spaces.mobilenet_v3(width_mult=0.5, num_classes=10, resolutions=(96, 128, 160))
    """
    if len(base_widths) != len(strides) + 2:
        raise InputError(
            f"mobilenet_v3: {len(base_widths)} base_widths for {len(strides)} strides, expected two more widths"
        )
    _check_width_mult("mobilenet_v3", width_mult)
    if activation not in ("h_swish", "relu6"):
        raise InputError(f"mobilenet_v3: activation is {activation!r}, expected h_swish or relu6")
    widths = [make_divisible(width * width_mult) for width in base_widths]
    # ReLU in the first two elastic stages, squeeze-and-excite in the second, fourth and fifth, as published.
    activations = ["relu" if index < 2 else activation for index in range(len(strides))]
    squeeze_excites = [squeeze_excite and index in (1, 3, 4) for index in range(len(strides))]
    unpublished = ("" if activation == "h_swish" else f"_{activation}") + ("" if squeeze_excite else "_plain")
    return MobileNetSpace(
        name=name or f"mbv3_{_choices(d, e, ks)}_w{width_mult}{unpublished}",
        num_classes=num_classes,
        resolutions=tuple(resolutions),
        ks=tuple(ks),
        e=tuple(e),
        stages=tuple(
            Stage(width, stride, stage_activation, gated, tuple(d))
            for width, stride, stage_activation, gated in zip(
                widths[2:], strides, activations, squeeze_excites, strict=True
            )
        ),
        stem_width=widths[0],
        stem_stride=stem_stride,
        stem_activation=activation,
        first_width=widths[1],
        first_activation="relu",
        first_residual=True,
        head_width=make_divisible(head_widths[0] * width_mult),
        feature_width=make_divisible(head_widths[1] * width_mult),
        head_activation=activation,
    )


def proxyless(
    width_mult: float = 1.3,
    *,
    num_classes: int = 1000,
    ks: Sequence[int] = (3, 5, 7),
    e: Sequence[float] = (3, 4, 6),
    d: Sequence[int] = (2, 3, 4),
    resolutions: Sequence[int] = tuple(range(128, 225, 4)),
    name: str | None = None,
) -> MobileNetSpace:
    """A ProxylessNAS space: MobileNetV2 blocks, ReLU6, no squeeze-and-excite, a sixth stage of exactly one block.

    Args:
        width_mult: multiplies every width, which is then rounded to a multiple of 8.
        num_classes: outputs of the classifier.
        ks: kernel sizes, consecutive and odd.
        e: expand ratios.
        d: depths of the first five stages.
        resolutions: image sides in pixels from which training and search draw.
        name: built from the choices unless given.

    Source: Cai et al., "ProxylessNAS" (ICLR 2019).

    Example:
        space = spaces.proxyless(width_mult=1.3)
    """
    _check_width_mult("proxyless", width_mult)
    stem, first, *widths = [make_divisible(width * width_mult) for width in (32, 16, 24, 40, 80, 96, 192, 320)]
    depths = [tuple(d)] * 5 + [(1,)]
    return MobileNetSpace(
        name=name or f"proxyless_{_choices(d, e, ks)}_w{width_mult}",
        num_classes=num_classes,
        resolutions=tuple(resolutions),
        ks=tuple(ks),
        e=tuple(e),
        stages=tuple(
            Stage(width, stride, "relu6", False, stage_depths)
            for width, stride, stage_depths in zip(widths, (2, 2, 2, 1, 2, 1), depths, strict=True)
        ),
        stem_width=stem,
        stem_stride=2,
        stem_activation="relu6",
        first_width=first,
        first_activation="relu6",
        first_residual=False,
        head_width=make_divisible(1280 * width_mult),
        feature_width=0,
        head_activation="relu6",
        norm_epsilon=1e-3,
    )


def efficientnet_v2(
    width_mult: float = 1.0,
    *,
    num_classes: int = 1000,
    ks: Sequence[int] = (3, 5),
    e: Sequence[float] = (3, 4, 6),
    d: Sequence[int] = (2, 3, 4),
    resolutions: Sequence[int] = tuple(range(128, 225, 4)),
    stem_stride: int = 2,
    base_widths: Sequence[int] = (24, 24, 48, 64, 128, 160, 256),
    strides: Sequence[int] = (1, 2, 2, 2, 1, 2),
    fused_stages: int = 3,
    head_width: int = 1280,
    activation: str = "silu",
    squeeze_excite: bool = True,
    name: str | None = None,
) -> MobileNetSpace:
    """A space of EfficientNetV2's blocks: fused inverted residual ones in the first stages, at ratio 1 in the first.

    Gates are those of MobileNetV3 (ReLU inside, hard sigmoid, a quarter of the block's inner channels), which int8
    takes better than those of the paper.

    Args:
        width_mult: multiplies every width, which is then rounded to a multiple of 8.
        num_classes: outputs of the classifier.
        ks: kernel sizes, consecutive and odd.
        e: expand ratios of all stages but the first.
        d: depths of a stage.
        resolutions: image sides in pixels from which training and search draw.
        stem_stride: 2 as published; 1 for small images.
        base_widths: of the stem and each stage, before `width_mult`; as published for EfficientNetV2-S.
        strides: of each stage.
        fused_stages: how many stages, from the first on, have fused blocks, at least 1.
        head_width: of the last 1x1 convolution, before `width_mult`.
        activation: "silu" as published; or "relu6", which every runtime takes into the convolution before it, or
            "h_swish".
        squeeze_excite: whether the stages without fused blocks have it, as published.
        name: built from the choices unless given.

    Source: Tan and Le, "EfficientNetV2" (ICML 2021), sections 3.2 and 3.3, table 4.

    Example:
        space = spaces.efficientnet_v2(0.5, num_classes=10, activation="relu6", resolutions=(96, 128, 160))
    """
    if len(base_widths) != len(strides) + 1:
        raise InputError(
            f"efficientnet_v2: {len(base_widths)} base_widths for {len(strides)} strides, expected one more width"
        )
    _check_width_mult("efficientnet_v2", width_mult)
    if not 1 <= fused_stages <= len(strides):
        raise InputError(f"efficientnet_v2: fused_stages is {fused_stages}, expected from 1 to {len(strides)}")
    if activation not in ("silu", "relu6", "h_swish"):
        raise InputError(f"efficientnet_v2: activation is {activation!r}, expected silu, relu6 or h_swish")
    stem, *widths = [make_divisible(width * width_mult) for width in base_widths]
    unpublished = ("" if activation == "silu" else f"_{activation}") + ("" if squeeze_excite else "_plain")
    return MobileNetSpace(
        name=name or f"efficientnet_v2_{_choices(d, e, ks)}_w{width_mult}{unpublished}",
        num_classes=num_classes,
        resolutions=tuple(resolutions),
        ks=tuple(ks),
        e=tuple(e),
        stages=tuple(
            Stage(width, stride, activation, False, tuple(d), "fused_mbconv", () if index else (1,))
            if index < fused_stages
            else Stage(width, stride, activation, squeeze_excite, tuple(d))
            for index, (width, stride) in enumerate(zip(widths, strides, strict=True))
        ),
        stem_width=stem,
        stem_stride=stem_stride,
        stem_activation=activation,
        first_width=0,
        first_activation=activation,
        first_residual=False,
        head_width=make_divisible(head_width * width_mult),
        feature_width=0,
        head_activation=activation,
        norm_epsilon=1e-3,
    )


def _check_width_mult(function: str, width_mult: float) -> None:
    if not 0 < width_mult <= 8:
        raise InputError(f"{function}: width_mult is {width_mult}, expected more than 0 and at most 8")


def _choices(d: Sequence[int], e: Sequence[float], ks: Sequence[int]) -> str:
    return "_".join(f"{letter}{''.join(map(str, values))}" for letter, values in (("d", d), ("e", e), ("k", ks)))
