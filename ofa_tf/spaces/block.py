"""`Block`: the concrete description of one block, from which its operations and costs follow."""

import dataclasses


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Rounds to the nearest multiple of `divisor`, at least `divisor`, never below 90% of `channels`.

    Source: Sandler et al., "MobileNetV2" (CVPR 2018); the rule is that of its published code.

    Example:
        make_divisible(16 * 1.2)  # 24
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


# Of strided convolutions: `kernel // 2` zeros on each side, as the published networks of Cai et al. have them; or as
# TensorFlow's SAME, which begins a pixel later where the side of the image is even.
PADDINGS = ("symmetric", "same")


@dataclasses.dataclass(frozen=True)
class Block:
    """One block of a concrete network, with every channel count already rounded.

    Two blocks are equal when they compute the same function shape; `name`, which says where in the supernet the block
    stands, is not compared.

    Args:
        name: the position in the supernet, for example "stage2_block1".
        kind: "stem" (convolution, batch norm, activation, and a max-pool where `pool` says so), "mbconv" (inverted
            residual), "fused_mbconv" (the same, with one spatial convolution for its expansion and depthwise one;
            without `expand` that is all), "bottleneck" (1x1, 3x3 and 1x1 convolution, beside a projection where it is
            not residual) or "head" (1x1 convolution to `mid_channels` where that is not 0, pooling, 1x1 convolution to
            `feature_channels` where that is not 0, dense layer).
        in_channels: channels of the input.
        mid_channels: channels inside (mbconv: of the depthwise convolution).
        out_channels: channels of the output; of a head, the number of classes.
        input_size: height and width of the input, in pixels.
        kernel_size: side of the spatial convolution, in pixels.
        stride: of the spatial convolution.
        activation: one of `ACTIVATIONS`.
        se_channels: hidden channels of squeeze-and-excite, 0 for none.
        expand: whether an mbconv begins with a 1x1 expansion.
        residual: whether the input is added to the output.
        feature_channels: of a head, the channels of the 1x1 convolution after pooling, 0 for none.
        norm_epsilon: epsilon of the batch norms.
        pool: whether a stem ends with a 3x3 max-pool of stride 2.
        padding: of a strided convolution, one of `PADDINGS`.
        se_activation: inside squeeze-and-excite.
        se_gate: its gate, "hard_sigmoid" or "sigmoid".
        feature_bias: whether the 1x1 convolution after pooling has a bias.
    """

    name: str = dataclasses.field(compare=False)
    kind: str
    in_channels: int
    mid_channels: int
    out_channels: int
    input_size: int
    kernel_size: int = 1
    stride: int = 1
    activation: str = "relu"
    se_channels: int = 0
    expand: bool = False
    residual: bool = False
    feature_channels: int = 0
    norm_epsilon: float = 1e-5
    pool: bool = False
    padding: str = "symmetric"
    se_activation: str = "relu"
    se_gate: str = "hard_sigmoid"
    feature_bias: bool = False

    @property
    def output_size(self) -> int:
        """Height and width of the output, in pixels (a head's is 1)."""
        if self.kind == "head":
            return 1
        return (self.convolved_size - 1) // 2 + 1 if self.pool else self.convolved_size

    @property
    def convolved_size(self) -> int:
        """Height and width after the spatial convolution, in pixels."""
        return (self.input_size - 1) // self.stride + 1

    @property
    def takes_images(self) -> bool:
        """Whether its input are images; a ResNet has stems that follow the first one."""
        return self.kind == "stem" and self.in_channels == 3

    @property
    def key(self) -> str:
        """A short text that is the same for equal blocks: the key of latency tables."""
        parts = [self.kind, f"in{self.in_channels}", f"mid{self.mid_channels}"]
        if self.feature_channels:
            parts.append(f"feature{self.feature_channels}")
        parts += [f"out{self.out_channels}", f"k{self.kernel_size}", f"s{self.stride}", f"r{self.input_size}"]
        parts += [f"se{self.se_channels}", self.activation]
        flags = {
            f"{self.se_activation}_{self.se_gate}": (self.se_activation, self.se_gate) != ("relu", "hard_sigmoid"),
            "expand": self.expand,
            "residual": self.residual,
            "pool": self.pool,
            "same": self.padding == "same",
            "bias": self.feature_bias,
        }
        return "-".join(parts + [flag for flag, on in flags.items() if on])
