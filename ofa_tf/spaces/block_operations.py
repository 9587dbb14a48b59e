"""The list of a block's operations, on which all that follows works.

Multiply-accumulates, parameters, bytes and memory (`costs.py`), what latency is fitted on, the plain Keras model and
the elastic layer of a supernet are folds over that list.
"""

from typing import NamedTuple

from ofa_tf.common.form import Form, precision_of
from ofa_tf.spaces.block import Block


class Operation(NamedTuple):
    """One operation of a block, and the tensor that it writes.

    A tensor is known by its number: 0 is the block's input, and the operations write 1, 2, ... in their order; the last
    one is the block's output. A tuple and no dataclass, because a search lists the operations of thousands of blocks.

    Args:
        kind: what is computed. "conv", "depthwise" and "dense" have a kernel, "norm" the numbers of a batch norm.
            "activation" is that of `activation`. "add"; "multiply", by a tensor of the same shape or by a gate for each
            channel; "global_pool" and "average_pool" (means), "max_pool"; "dropout". A form has no "activation" and
            "dropout", but "pad" and "crop", "hard_swish", "shifted_relu6" (relu6(x + 3)), "sixth" (x / 6), activations
            by the names that Keras has for them ("relu", "relu6", "sigmoid"), and at the borders of an exported file
            "quantize", "cast", "scale", "shift" and "softmax".
        reads: numbers of the tensors that it reads.
        name: of its layer, without the block's; "" where it has no weights.
        in_width: the field of `Block` that has the channels of the first tensor that it reads.
        out_width: likewise, of the tensor that it writes.
        in_channels: the number of those.
        out_channels: the number of those.
        side: height and width of what it writes, in pixels.
        kernel: height and width of the kernel, in pixels, also of a pool's window.
        stride: in both directions.
        padding: "same" or "valid", as TensorFlow has them; "" where that is not said: `kernel // 2` zeros on each side.
        activation: of an "activation": one of `ACTIVATIONS`, or "hard_sigmoid" or "sigmoid" for a gate.
        bias: whether a bias is added.
        elastic: whether the kernel is of the block's `kernel_size`.
        merged: whether converters compute it in the operation before, so that it writes no tensor of its own.
        edges: of "pad" and "crop", the (first, last) rows and columns that are added or left out.
        first_row: of a part of a depthwise kernel, the row of the whole one with which it begins; None for a whole one.
        factor: what its kernel is multiplied by, because what it reads is larger than without the form.
    """

    kind: str
    reads: tuple[int, ...]
    name: str
    in_width: str
    out_width: str
    in_channels: int
    out_channels: int
    side: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = ""
    activation: str = ""
    bias: bool = False
    elastic: bool = False
    merged: bool = False
    edges: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    first_row: int | None = None
    factor: float = 1.0

    @property
    def weights(self) -> int:
        """The number of weights in its kernel."""
        if self.kind not in WITH_KERNEL:
            return 0
        inputs = 1 if self.kind == "depthwise" else self.in_channels
        return self.kernel[0] * self.kernel[1] * inputs * self.out_channels

    @property
    def elements(self) -> int:
        """The number of elements of the tensor that it writes, for one image."""
        return self.side**2 * self.out_channels


WITH_KERNEL = ("conv", "depthwise", "dense")
_SIXTH = 1.0 / 6.0


def operations(block: Block, form: Form | None = None, *, precision: str | None = None) -> list[Operation]:
    """What a block computes, operation by operation, in the order in which it runs.

    Args:
        block: the block.
        form: how it is written; None for the operations as such, without paddings, with activations as one each.
        precision: with a form, the precision of an exported file, whose first and last block have operations that turn
            raw images into the network's numbers, and those into the file's outputs. None for a network without.

    Raises:
        ValueError: the kind of block is unknown.

    Example:
        sum(operation.weights for operation in operations(block))
    """
    if block.kind not in _KINDS:
        raise ValueError(f"unknown kind of block: {block.kind!r}")
    listed = _Operations(block)
    _KINDS[block.kind](listed, block)
    return listed.operations if form is None else _written(block, listed.operations, form, precision)


class _Operations:
    """The operations of a block while they are listed."""

    def __init__(self, block: Block):
        self.block = block
        self.operations: list[Operation] = []
        self.tensors = [("in_channels", block.input_size)]

    def add(self, kind: str, *reads: int, out: str = "", side: int = 0, name: str = "", **more) -> int:
        """One more operation; its output is as its first input unless said otherwise. Returns the number of that."""
        width, before = self.tensors[reads[0]]
        out, side = out or width, side or before
        channels = getattr(self.block, width), getattr(self.block, out)
        self.operations.append(Operation(kind, reads, name, width, out, *channels, side, **more))
        self.tensors.append((out, side))
        return len(self.operations)

    def copy(self, operation: Operation, *reads: int, **changes) -> int:
        """One more operation, as another one but for what it reads, and more."""
        self.operations.append(operation._replace(reads=reads, **changes))
        self.tensors.append((operation.out_width, operation.side))
        return len(self.operations)

    def convolved(self, inputs: int, name: str, out: str, *, kind: str = "conv", elastic: bool = False) -> int:
        """A convolution, of 1 x 1 or of the block's kernel size and stride, and its batch norm."""
        block = self.block
        size, stride, side = (block.kernel_size, block.stride, block.convolved_size) if elastic else (1, 1, 0)
        padding = "same" if stride > 1 and block.padding == "same" else ""
        outputs = self.add(
            kind, inputs, out=out, side=side, name=name, kernel=(size, size), stride=stride, padding=padding,
            elastic=elastic,
        )  # fmt: skip
        return self.add("norm", outputs, name="norm" if name == "conv" else f"{name}_norm")

    def activated(self, inputs: int) -> int:
        """The block's activation."""
        return self.add("activation", inputs, activation=self.block.activation)

    def gated(self, inputs: int) -> int:
        """Squeeze-and-excite. Source: Howard et al., "Searching for MobileNetV3", section 5.3."""
        gate = self.add("global_pool", inputs, side=1)
        gate = self.add("dense", gate, out="se_channels", name="se_reduce", bias=True)
        gate = self.add("activation", gate, activation=self.block.se_activation)
        gate = self.add("dense", gate, out=self.tensors[inputs][0], name="se_expand", bias=True)
        return self.add("multiply", inputs, self.add("activation", gate, activation=self.block.se_gate))


def _stem(ops: _Operations, block: Block) -> None:
    outputs = ops.activated(ops.convolved(0, "conv", "out_channels", elastic=True))
    if block.residual:
        outputs = ops.add("add", outputs, 0)
    if block.pool:
        ops.add("max_pool", outputs, side=block.output_size, kernel=(3, 3), stride=2)


def _inverted_residual(ops: _Operations, block: Block) -> None:
    outputs = ops.activated(ops.convolved(0, "expand", "mid_channels")) if block.expand else 0
    outputs = ops.activated(ops.convolved(outputs, "depthwise", "mid_channels", kind="depthwise", elastic=True))
    if block.se_channels:
        outputs = ops.gated(outputs)
    outputs = ops.convolved(outputs, "project", "out_channels")
    if block.residual:
        ops.add("add", outputs, 0)


def _fused_inverted_residual(ops: _Operations, block: Block) -> None:
    """Source: Tan and Le, "EfficientNetV2" (ICML 2021), section 3.2."""
    if block.expand:
        outputs = ops.activated(ops.convolved(0, "expand", "mid_channels", elastic=True))
        if block.se_channels:
            outputs = ops.gated(outputs)
        outputs = ops.convolved(outputs, "project", "out_channels")
    else:
        outputs = ops.activated(ops.convolved(0, "conv", "out_channels", elastic=True))
    if block.residual:
        ops.add("add", outputs, 0)


def _bottleneck(ops: _Operations, block: Block) -> None:
    def shortcut() -> int:
        if block.residual:
            return 0
        size = block.stride
        pooled = (
            ops.add("average_pool", 0, side=block.output_size, kernel=(size, size), stride=size, padding="same")
            if size > 1
            else 0
        )
        return ops.convolved(pooled, "shortcut", "out_channels")

    # Files have a shortcut with a pool before the other branch, and one without after it.
    beside = shortcut() if block.stride > 1 else None
    outputs = ops.activated(ops.convolved(0, "reduce", "mid_channels"))
    outputs = ops.activated(ops.convolved(outputs, "spatial", "mid_channels", elastic=True))
    outputs = ops.convolved(outputs, "expand", "out_channels")
    ops.activated(ops.add("add", outputs, shortcut() if beside is None else beside))


def _head(ops: _Operations, block: Block) -> None:
    outputs = ops.activated(ops.convolved(0, "conv", "mid_channels")) if block.mid_channels else 0
    outputs = ops.add("global_pool", outputs, side=1)
    if block.feature_channels:
        feature = ops.add("dense", outputs, out="feature_channels", name="feature", bias=block.feature_bias)
        outputs = ops.activated(feature)
    ops.add("dense", ops.add("dropout", outputs), out="out_channels", name="classifier", bias=True)


# What each kind of block computes, by `Block.kind`.
_KINDS = {
    "stem": _stem,
    "mbconv": _inverted_residual,
    "fused_mbconv": _fused_inverted_residual,
    "bottleneck": _bottleneck,
    "head": _head,
}


def _written_relu(ops: _Operations, inputs: int, form: Form, folds: bool) -> int:
    return ops.add("relu", inputs, merged=True)


def _written_relu6(ops: _Operations, inputs: int, form: Form, folds: bool) -> int:
    return ops.add("relu6", inputs, merged=True)


def _written_hard_swish(ops: _Operations, inputs: int, form: Form, folds: bool) -> int:
    if form.hard_swish == "fused":
        return ops.add("hard_swish", inputs)
    gate = ops.add("shifted_relu6", inputs)
    return ops.add("multiply", inputs if folds else ops.add("sixth", inputs), gate)


def _written_silu(ops: _Operations, inputs: int, form: Form, folds: bool) -> int:
    return ops.add("multiply", inputs, ops.add("sigmoid", inputs))


def _written_hard_sigmoid(ops: _Operations, inputs: int, form: Form, folds: bool) -> int:
    # The 3 goes into the bias of the dense layer before.
    gate = ops.add("shifted_relu6", inputs, merged=True)
    return gate if folds else ops.add("sixth", gate)


def _written_sigmoid(ops: _Operations, inputs: int, form: Form, folds: bool) -> int:
    return ops.add("sigmoid", inputs)


# How the activations of blocks are written, by `Block.activation`; and those of gates, by `Block.se_gate`.
_BLOCK_ACTIVATIONS = {
    "relu": _written_relu,
    "relu6": _written_relu6,
    "h_swish": _written_hard_swish,
    "silu": _written_silu,
}
_GATES = {"hard_sigmoid": _written_hard_sigmoid, "sigmoid": _written_sigmoid}
_ACTIVATIONS = {**_BLOCK_ACTIVATIONS, **_GATES}
_FOLDABLE = ("h_swish", "hard_sigmoid")
ACTIVATIONS = tuple(_BLOCK_ACTIVATIONS)


def _written(block: Block, listed: list[Operation], form: Form, precision: str | None) -> list[Operation]:
    """The operations in a form."""
    ops = _Operations(block)
    # Of each tensor of the list its number here, and how many sixths its readers' kernels must make good.
    numbers, sixths = [_from_images(ops, precision) if precision and block.takes_images else 0], [0]
    for number, operation in enumerate(listed, start=1):
        reads = [numbers[tensor] for tensor in operation.reads]
        missing = sum(sixths[tensor] for tensor in operation.reads)
        folds = form.hard_swish == "folded" and operation.activation in _FOLDABLE and _can_fold(listed, number)
        sixths.append(0 if operation.kind in WITH_KERNEL else missing + folds)
        if operation.kind in WITH_KERNEL and missing:
            operation = operation._replace(factor=_SIXTH**missing)
        if operation.kind == "activation":
            written = _ACTIVATIONS[operation.activation](ops, reads[0], form, folds)
        elif operation.kind in ("conv", "depthwise"):
            written = _written_convolution(ops, operation, reads[0], form)
        elif operation.kind == "max_pool":
            # Zeros never win: they come after an activation without negative values.
            written = ops.copy(operation, _padded(ops, reads[0], ((1, 1), (1, 1))), padding="valid")
        elif operation.kind == "norm":
            # That of a depthwise kernel in parts is in those parts.
            before = ops.operations[reads[0] - 1]
            in_parts = before.kind == "add" or before.first_row is not None
            written = reads[0] if in_parts else ops.copy(operation, *reads, merged=True)
        else:
            written = reads[0] if operation.kind == "dropout" else ops.copy(operation, *reads)
        numbers.append(written)
    if precision and block.kind == "head":
        # What an app reads: probabilities, as uint8 where the rest is in 8 bits.
        probabilities = ops.add("softmax", numbers[-1])
        if precision_of(precision).integer:
            ops.add("quantize", probabilities)
    return ops.operations


def _from_images(ops: _Operations, precision: str) -> int:
    """Raw images, uint8, become the network's numbers."""
    if precision_of(precision).integer:
        return ops.add("quantize", 0)
    return ops.add("shift", ops.add("scale", ops.add("cast", 0)))


def _can_fold(listed: list[Operation], number: int) -> bool:
    """Whether a factor of a tensor can be made good in the kernels of all that follow it."""
    readers = [(place, reader) for place, reader in enumerate(listed, start=1) if number in reader.reads]
    return bool(readers) and all(
        reader.kind in WITH_KERNEL
        or (reader.kind in ("global_pool", "multiply", "dropout") and _can_fold(listed, place))
        for place, reader in readers
    )


def _padded(ops: _Operations, inputs: int, edges: tuple[tuple[int, int], tuple[int, int]]) -> int:
    """Zeros around a tensor; `side` is its height."""
    return ops.add("pad", inputs, side=ops.tensors[inputs][1] + sum(edges[0]), edges=edges)


def _written_convolution(ops: _Operations, operation: Operation, inputs: int, form: Form) -> int:
    size, stride, before = operation.kernel[0], operation.stride, ops.tensors[inputs][1]
    # SAME leaves out the first row and column of an image of an even side.
    first = size // 2 - (operation.padding == "same" and size > 1 and before % stride == 0)
    if operation.kind == "depthwise":
        groups = form.row_groups(size, stride, before, first)
        if groups != [(0, size)]:
            return _in_rows(ops, operation, inputs, groups, first)
    # At stride 1, SAME is the symmetric padding.
    if stride == 1 or operation.padding == "same":
        return ops.copy(operation, inputs, padding="same")
    if form.padding == "same":
        return ops.copy(operation, inputs, kernel=(form.kernel_side(size, stride, before),) * 2, padding="same")
    return ops.copy(operation, _padded(ops, inputs, ((first, first),) * 2), padding="valid")


def _in_rows(
    ops: _Operations, operation: Operation, inputs: int, groups: list[tuple[int, int]], zeros_before: int
) -> int:
    """The sum of convolutions with some rows of a depthwise kernel each."""
    size, stride, before, total = operation.kernel[0], operation.stride, ops.tensors[inputs][1], None
    for first, count in groups:
        # The rows and columns that these rows of the kernel reach: zeros are added, or what they never reach left out.
        edges = []
        for begin, length in ((first, count), (0, size)):
            start = zeros_before - begin
            edges.append((start, (operation.side - 1) * stride + length - before - start))
        part = inputs
        if min(map(min, edges)) < 0:
            left_out = tuple((max(-begin, 0), max(-end, 0)) for begin, end in edges)
            part = ops.add("crop", part, side=before - sum(left_out[0]), edges=left_out)
        if max(map(max, edges)) > 0:
            part = _padded(ops, part, tuple((max(begin, 0), max(end, 0)) for begin, end in edges))
        part = ops.copy(
            operation, part, name=f"{operation.name}_rows{first}", kernel=(count, size), padding="valid",
            bias=total is None, first_row=first,
        )  # fmt: skip
        total = part if total is None else ops.add("add", total, part)
    return total
