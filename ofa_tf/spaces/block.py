"""`Block`: the concrete description of one block, on which everything downstream works."""

import dataclasses

ACTIVATIONS = ("relu", "relu6", "h_swish")


@dataclasses.dataclass(frozen=True)
class Block:
    """One block of a concrete network, with every channel count already rounded.

    Two blocks are equal when they compute the same function shape; `name`, which says where in the supernet the block
    stands, is not compared.

    Args:
        name: the position in the supernet, for example "stage2_block1".
        kind: "stem" (convolution, batch norm, activation, and a max-pool where `pool` says so), "mbconv" (inverted
            residual), "bottleneck" (1x1, 3x3 and 1x1 convolution, beside a projection where it is not residual) or
            "head" (1x1 convolution to `mid_channels` where that is not 0, pooling, 1x1 convolution to
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
    def key(self) -> str:
        """A short text that is the same for equal blocks: the key of latency tables."""
        parts = [self.kind, f"in{self.in_channels}", f"mid{self.mid_channels}"]
        if self.feature_channels:
            parts.append(f"feature{self.feature_channels}")
        parts += [f"out{self.out_channels}", f"k{self.kernel_size}", f"s{self.stride}", f"r{self.input_size}"]
        parts += [f"se{self.se_channels}", self.activation]
        flags = [flag for flag, on in (("expand", self.expand), ("residual", self.residual), ("pool", self.pool)) if on]
        return "-".join(parts + flags)
