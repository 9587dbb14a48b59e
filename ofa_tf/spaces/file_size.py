"""How large a network's TFLite file is, from its blocks."""

import dataclasses
from collections.abc import Sequence

from ofa_tf.common.form import Form
from ofa_tf.spaces.block import Block


@dataclasses.dataclass(frozen=True)
class FileSize:
    """Bytes of a file in one precision: a sum over blocks, and a constant.

    Args:
        per_weight: of a convolution's or dense layer's kernel.
        per_output: of such a layer's output channel: bias, and scale and zero point where they are kept per channel.
        per_layer: of such a layer: operations, tensors, names.
        per_block: of the other operations of a block, which the linear fit may put below zero.
        constant: of the file, which the linear fit puts below zero.
    """

    per_weight: float
    per_output: float
    per_layer: float
    per_block: float
    constant: int

    def block_bytes(self, block: Block, form: str = "fused-rows") -> int:
        """A block's part of the file, which is written in one of `common.form.FORMS`."""
        layers = kernel_sizes_and_outputs(block, Form.parse(form))
        weights, outputs = (sum(column) for column in zip(*layers, strict=True))
        size = self.per_weight * weights + self.per_output * outputs + self.per_layer * len(layers) + self.per_block
        return round(size)  # whole bytes add up without rounding errors

    def network_bytes(self, blocks: Sequence[Block], form: str = "fused-rows") -> int:
        """A network's file."""
        return self.constant + sum(self.block_bytes(block, form) for block in blocks)


# Least squares over 12 networks of three MobileNetV3 spaces as TensorFlow 2.21 converts them: the largest error is 0.4%
# (dynamic: 2.7%). int8: relative errors of 21 networks of seven spaces, 110 KB to 5.6 MB, in the forms folded-rows and
# fused-same; the largest is 1.1%. See tests/deploy/test_file_size.py and docs/results/memory.md.
FILE_SIZES = {
    "float32": FileSize(3.99, 4.80, 584.8, 846.0, -1701),
    "float16": FileSize(2.00, 2.64, 899.5, 1294.5, -2063),
    "dynamic": FileSize(1.08, -1.30, 310.9, 8127.8, -21643),
    "int8": FileSize(0.996, 27.106, 1075.9, -651.0, -908),
}


def kernel_sizes_and_outputs(block: Block, form: Form) -> list[tuple[int, int]]:
    """For each convolution and dense layer of a block, the weights of its kernel and its output channels."""
    before, mid, out, hidden = block.in_channels, block.mid_channels, block.out_channels, block.se_channels
    side = form.kernel_side(block.kernel_size, block.stride, block.input_size)
    area = side**2
    if block.kind == "stem":
        return [(area * before * out, out)]
    if block.kind == "mbconv":
        expand = [(before * mid, mid)] if block.expand else []
        squeeze_excite = [(mid * hidden, hidden), (hidden * mid, mid)] if hidden else []
        groups = form.row_groups(block.kernel_size, block.stride, block.input_size)
        whole = groups == [(0, block.kernel_size)]
        depthwise = [(area * mid, mid)] if whole else [(rows * block.kernel_size * mid, mid) for _, rows in groups]
        return [*expand, *depthwise, *squeeze_excite, (mid * out, out)]
    if block.kind == "bottleneck":
        shortcut = [] if block.residual else [(before * out, out)]
        return [(before * mid, mid), (area * mid * mid, mid), (mid * out, out), *shortcut]
    if block.kind == "head":
        features = block.feature_channels
        first = [(before * mid, mid)] if mid else []
        mixing = [(mid * features, features)] if features else []
        return [*first, *mixing, ((features or mid or before) * out, out)]
    raise ValueError(f"unknown kind of block: {block.kind!r}")
