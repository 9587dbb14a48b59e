"""Networks with published ImageNet weights, and the spaces around them, in which they are one sub-network."""

import dataclasses
from collections.abc import Sequence

from ofa_tf.common import InputError
from ofa_tf.spaces.arch import Arch
from ofa_tf.spaces.mobilenet import MobileNetSpace, Stage
from ofa_tf.spaces.space import Space

RESOLUTIONS = (96, 128, 160, 192, 224)
# The shares of its native expand ratio that a block may have.
_SHARES = (1 / 2, 2 / 3, 1)


@dataclasses.dataclass(frozen=True)
class NativeStage:
    """A run of blocks of one width in a published network.

    Args:
        width: output channels.
        stride: of the first block.
        kernel_size: of its spatial convolutions.
        ratios: the expand ratio of each block.
        squeeze_excite: whether its blocks have it.
        activation: of its blocks; the network's unless given.
        kind: of its blocks, "mbconv" or "fused_mbconv".
    """

    width: int
    stride: int
    kernel_size: int
    ratios: tuple[float, ...]
    squeeze_excite: bool = False
    activation: str = ""
    kind: str = "mbconv"


@dataclasses.dataclass(frozen=True)
class NativeNetwork:
    """A published network of inverted residual blocks, as TensorFlow pads, with a batch norm's epsilon of 1e-3.

    Args:
        stages: the blocks but the first.
        activation: of stem and head, and of the blocks that have none of their own.
        stem_width: channels of the stem.
        first_width: output channels of the first block, which is not expanded; 0 where there is none.
        head_width: channels of the 1x1 convolution before pooling.
        feature_width: channels of the 1x1 convolution after pooling, which has a bias; 0 for none.
        gates: see `MobileNetSpace`.
        first_activation: of the first block; the network's unless given.
        first_stride: of the first block.
        first_squeeze_excite: whether the first block has it.
    """

    stages: tuple[NativeStage, ...]
    activation: str
    stem_width: int
    first_width: int
    head_width: int
    feature_width: int = 0
    gates: str = "mobilenet_v3"
    first_activation: str = ""
    first_stride: int = 1
    first_squeeze_excite: bool = False


def _efficientnet_b0(activation: str, squeeze_excite: bool, **more) -> NativeNetwork:
    """Source: Tan and Le, "EfficientNet" (ICML 2019), table 1."""
    rows = ((24, 2, 3, 2), (40, 2, 5, 2), (80, 2, 3, 3), (112, 1, 5, 3), (192, 2, 5, 4), (320, 1, 3, 1))
    return NativeNetwork(
        tuple(
            NativeStage(width, stride, kernel, (6,) * depth, squeeze_excite) for width, stride, kernel, depth in rows
        ),
        activation,
        stem_width=32,
        first_width=16,
        head_width=1280,
        first_squeeze_excite=squeeze_excite,
        **more,
    )


def _mobilenet_v2() -> NativeNetwork:
    """Source: Sandler et al., "MobileNetV2" (CVPR 2018), table 2."""
    rows = ((24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3), (320, 1, 1))
    stages = tuple(NativeStage(width, stride, 3, (6,) * depth) for width, stride, depth in rows)
    return NativeNetwork(stages, "relu6", stem_width=32, first_width=16, head_width=1280)


def _mobilenet_v3_large() -> NativeNetwork:
    """Source: Howard et al., "Searching for MobileNetV3" (ICCV 2019), table 1; ratios from its expansions."""
    stages = (
        NativeStage(24, 2, 3, (64 / 16, 72 / 24), False, "relu"),
        NativeStage(40, 2, 5, (72 / 24, 120 / 40, 120 / 40), True, "relu"),
        NativeStage(80, 2, 3, (240 / 40, 200 / 80, 184 / 80, 184 / 80)),
        NativeStage(112, 1, 3, (480 / 80, 672 / 112), True),
        NativeStage(160, 2, 5, (672 / 112, 960 / 160, 960 / 160), True),
    )
    return NativeNetwork(stages, "h_swish", 16, 16, 960, 1280, first_activation="relu")


def _mobilenet_v3_small() -> NativeNetwork:
    """Source: Howard et al., "Searching for MobileNetV3" (ICCV 2019), table 2; ratios from its expansions."""
    stages = (
        NativeStage(24, 2, 3, (72 / 16, 88 / 24), False, "relu"),
        NativeStage(40, 2, 5, (96 / 24, 240 / 40, 240 / 40), True),
        NativeStage(48, 1, 5, (120 / 40, 144 / 48), True),
        NativeStage(96, 2, 5, (288 / 48, 576 / 96, 576 / 96), True),
    )
    first = {"first_activation": "relu", "first_stride": 2, "first_squeeze_excite": True}
    return NativeNetwork(stages, "h_swish", 16, 16, 576, 1024, **first)


def _efficientnet_v2_b0() -> NativeNetwork:
    """Source: Tan and Le, "EfficientNetV2" (ICML 2021); B0 as Keras's applications have it."""
    fused = ((16, 1, 1, 1), (32, 2, 4, 2), (48, 2, 4, 2))
    gated = ((96, 2, 4, 3), (112, 1, 6, 5), (192, 2, 6, 8))
    stages = (
        *(NativeStage(width, stride, 3, (e,) * depth, kind="fused_mbconv") for width, stride, e, depth in fused),
        *(NativeStage(width, stride, 3, (e,) * depth, True) for width, stride, e, depth in gated),
    )
    return NativeNetwork(stages, "silu", 32, 0, 1280, gates="efficientnet")


# By the names that Keras has for them; the Lite one by its paper's.
NATIVE_NETWORKS = {
    "EfficientNetLite0": _efficientnet_b0("relu6", False),
    "EfficientNetB0": _efficientnet_b0("silu", True, gates="efficientnet"),
    "EfficientNetV2B0": _efficientnet_v2_b0(),
    "MobileNetV2": _mobilenet_v2(),
    "MobileNetV3Large": _mobilenet_v3_large(),
    "MobileNetV3Small": _mobilenet_v3_small(),
}


def native_space(
    network: str,
    *,
    num_classes: int = 1000,
    resolutions: Sequence[int] = RESOLUTIONS,
    name: str | None = None,
) -> tuple[MobileNetSpace, Arch]:
    """The space around a published network, and the network as an architecture of it.

    Its kernel sizes are those of the network. A block may have a half, two thirds or all of its native expand ratio. A
    stage may have from half of its native blocks on, at least one.

    Args:
        network: one of `NATIVE_NETWORKS`.
        num_classes: outputs of the classifier.
        resolutions: image sides in pixels from which training and search draw.
        name: of the space; made of the network's unless given.

    Raises:
        InputError: the network is unknown.

    Source: Cai et al., section 3.2, for what may be chosen.

    Example:
        space, native = spaces.native_space("MobileNetV3Large", num_classes=5)
        space.count_macs(native)
    """
    if network not in NATIVE_NETWORKS:
        raise InputError(f"network {network!r} is unknown; known are {', '.join(NATIVE_NETWORKS)}")
    native = NATIVE_NETWORKS[network]
    stages = []
    for stage in native.stages:
        depth = len(stage.ratios)
        ratios = tuple(_ratios(ratio) for ratio in stage.ratios)
        stages.append(
            Stage(
                stage.width, stage.stride, stage.activation or native.activation, stage.squeeze_excite,
                tuple(range(max(1, depth // 2), depth + 1)), stage.kind,
                ratios[0] if len(set(ratios)) == 1 else ratios,
            )
        )  # fmt: skip
    space = MobileNetSpace(
        name=name or f"ofa_{network}",
        num_classes=num_classes,
        resolutions=tuple(resolutions),
        ks=tuple(sorted({stage.kernel_size for stage in native.stages})),
        e=_ratios(6),
        stages=tuple(stages),
        stem_width=native.stem_width,
        stem_stride=2,
        stem_activation=native.activation,
        first_width=native.first_width,
        first_activation=native.first_activation or native.activation,
        first_residual=True,
        head_width=native.head_width,
        feature_width=native.feature_width,
        head_activation=native.activation,
        norm_epsilon=1e-3,
        padding="same",
        gates=native.gates,
        first_stride=native.first_stride,
        first_squeeze_excite=native.first_squeeze_excite,
        feature_bias=native.feature_width > 0,
    )
    kernel_sizes = [stage.kernel_size for stage in native.stages for _ in stage.ratios]
    return space, space.arch(ks=kernel_sizes)


def native_arch(space: Space) -> Arch | None:
    """The published network as an architecture of a space around it, at the space's largest image side; else None.

    Args:
        space: with any number of classes and any image sides.

    Example:
        native_arch(spaces.efficientnet_lite(num_classes=5))
    """
    for network in NATIVE_NETWORKS:
        around, arch = native_space(network, num_classes=space.num_classes)
        if around.same_weights(space):
            return dataclasses.replace(arch, r=space.resolutions[-1])
    return None


def efficientnet_lite(
    *, num_classes: int = 1000, resolutions: Sequence[int] = RESOLUTIONS, name: str | None = None
) -> MobileNetSpace:
    """The space around EfficientNet-Lite0: kernels of 3 and 5, expand ratios 3, 4 and 6, ReLU6, no squeeze-and-excite.

    Args:
        num_classes: outputs of the classifier.
        resolutions: image sides in pixels from which training and search draw.
        name: "ofa_efficientnet_lite" unless given.

    Source: docs/method.md, "EfficientNet-Lite"; Tan and Le, "EfficientNet" (ICML 2019), table 1.

    Example:
        space = spaces.efficientnet_lite(num_classes=5)
    """
    name = name or "ofa_efficientnet_lite"
    return native_space("EfficientNetLite0", num_classes=num_classes, resolutions=resolutions, name=name)[0]


def _ratios(native: float) -> tuple[float, ...]:
    """What a block may have; a ratio below 1 would make a block narrower inside than outside."""
    if native == 1:
        return (1,)
    found = [native * share for share in _SHARES if native * share >= 1]
    return tuple(int(ratio) if ratio == int(ratio) else ratio for ratio in found)
