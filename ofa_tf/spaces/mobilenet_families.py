"""The published families of inverted residual blocks as spaces: MobileNetV3, ProxylessNAS, EfficientNetV2."""

from collections.abc import Sequence

from ofa_tf.common import InputError
from ofa_tf.spaces.block import make_divisible
from ofa_tf.spaces.mobilenet import MobileNetSpace, Stage


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
