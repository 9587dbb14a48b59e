"""What a block costs, counted exactly: multiply-accumulates and parameters."""

from ofa_tf.spaces.block import Block


def macs(block: Block) -> int:
    """Multiply-accumulates of one image: convolutions (squeeze-and-excite's too) and dense layers, nothing else.

    Source: docs/method.md, "MACs and parameters".
    """
    before, after = block.input_size**2, block.convolved_size**2
    if block.kind == "stem":
        return after * block.kernel_size**2 * block.in_channels * block.out_channels
    if block.kind == "mbconv":
        expand = before * block.in_channels * block.mid_channels if block.expand else 0
        depthwise = after * block.kernel_size**2 * block.mid_channels
        squeeze_excite = 2 * block.mid_channels * block.se_channels
        project = after * block.mid_channels * block.out_channels
        return expand + depthwise + squeeze_excite + project
    if block.kind == "bottleneck":
        reduce = before * block.in_channels * block.mid_channels
        spatial = after * block.kernel_size**2 * block.mid_channels**2
        shortcut = 0 if block.residual else after * block.in_channels * block.out_channels
        return reduce + spatial + after * block.mid_channels * block.out_channels + shortcut
    if block.kind == "head":
        last = _last_features(block)
        features = block.mid_channels * block.feature_channels
        return before * block.in_channels * block.mid_channels + features + last * block.out_channels
    raise ValueError(f"unknown kind of block: {block.kind!r}")


def params(block: Block) -> int:
    """Parameters: weights, biases, and batch norm's gamma and beta; kernel-transform matrices are not counted.

    Source: docs/method.md, "MACs and parameters".
    """
    if block.kind == "stem":
        return block.kernel_size**2 * block.in_channels * block.out_channels + 2 * block.out_channels
    if block.kind == "mbconv":
        mid, hidden = block.mid_channels, block.se_channels
        expand = block.in_channels * mid + 2 * mid if block.expand else 0
        depthwise = block.kernel_size**2 * mid + 2 * mid
        squeeze_excite = 2 * mid * hidden + hidden + mid if hidden else 0
        return expand + depthwise + squeeze_excite + mid * block.out_channels + 2 * block.out_channels
    if block.kind == "bottleneck":
        mid, out = block.mid_channels, block.out_channels
        reduce = block.in_channels * mid + 2 * mid
        spatial = block.kernel_size**2 * mid**2 + 2 * mid
        shortcut = 0 if block.residual else block.in_channels * out + 2 * out
        return reduce + spatial + mid * out + 2 * out + shortcut
    if block.kind == "head":
        mid, last = block.mid_channels, _last_features(block)
        features = mid * block.feature_channels
        return block.in_channels * mid + 2 * mid + features + last * block.out_channels + block.out_channels
    raise ValueError(f"unknown kind of block: {block.kind!r}")


def _last_features(block: Block) -> int:
    return block.feature_channels or block.mid_channels or block.in_channels


def transform_params(kernel_sizes: tuple[int, ...]) -> int:
    """Parameters of one depthwise layer's kernel-transform matrices (7 to 5: 25 x 25, 5 to 3: 9 x 9)."""
    return sum(size**4 for size in sorted(kernel_sizes)[:-1])
