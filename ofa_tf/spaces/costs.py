"""What blocks and networks cost: multiply-accumulates, parameters, bytes of the file, memory at the peak.

All are folds over the operations of a block (`block_operations.operations`).
"""

import bisect
import dataclasses
import functools
from collections.abc import Sequence

from ofa_tf.common import InputError
from ofa_tf.common.form import Form, precision_of
from ofa_tf.spaces.block import Block
from ofa_tf.spaces.block_operations import WITH_KERNEL, operations


def macs(block: Block) -> int:
    """Multiply-accumulates of one image: convolutions (squeeze-and-excite's too) and dense layers, nothing else.

    Args:
        block: the block.

    Example:
        sum(macs(block) for block in space.blocks(arch))
    """
    return sum(operation.weights * operation.side**2 for operation in operations(block))


def params(block: Block) -> int:
    """Parameters: weights, biases, and batch norm's gamma and beta; kernel-transform matrices are not counted.

    Args:
        block: the block.
    """
    per_channel = {"norm": 2}
    return sum(
        operation.weights + (per_channel.get(operation.kind, 0) + operation.bias) * operation.out_channels
        for operation in operations(block)
    )


def transform_params(kernel_sizes: tuple[int, ...]) -> int:
    """Parameters of one convolution's kernel-transform matrices (7 to 5: 25 x 25, 5 to 3: 9 x 9).

    Args:
        kernel_sizes: that it can have.
    """
    return sum(size**4 for size in sorted(kernel_sizes)[:-1])


def summary(blocks: Sequence[Block]) -> str:
    """A network as a table: a row for each block, with its kernel, channels, output side, multiply-accumulates and
    parameters, and what it has of squeeze-and-excite, an expansion, a residual."""
    head = ("block", "kind", "kernel", "stride", "channels", "side", "MACs", "parameters", "with")
    rows = []
    for block in blocks:
        inner = f" -> {block.mid_channels}" if block.mid_channels != block.out_channels else ""
        extras = {"expansion": block.expand, "squeeze-and-excite": block.se_channels, "residual": block.residual}
        rows.append(
            (
                block.name, block.kind, f"{block.kernel_size}x{block.kernel_size}", str(block.stride),
                f"{block.in_channels}{inner} -> {block.out_channels}", str(block.output_size), f"{macs(block):,}",
                f"{params(block):,}", ", ".join([block.activation, *(name for name, has in extras.items() if has)]),
            )
        )  # fmt: skip
    total = ("", "", "", "", "", "", f"{sum(map(macs, blocks)):,}", f"{sum(map(params, blocks)):,}", "")
    table = [head, *rows, total]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    numbers = {head.index(name) for name in ("stride", "side", "MACs", "parameters")}
    return "\n".join(
        "  ".join(
            text.rjust(width) if column in numbers else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


@dataclasses.dataclass(frozen=True)
class FileSize:
    """Bytes of a TFLite file in one precision: a sum over blocks, and a constant.

    Args:
        per_weight: of a convolution's or dense layer's kernel.
        per_output: of a convolution's output channel: bias, and scale and zero point where they are kept per channel.
        per_dense_output: the same of a dense layer, which has one scale.
        per_layer: of such a layer: operations, tensors, names.
        per_block: of the other operations of a block, which the linear fit may put below zero.
        constant: of the file, which the linear fit puts below zero.

    Example:
        FILE_SIZES["int8"].network_bytes(space.blocks(arch), "folded-rows")
    """

    per_weight: float
    per_output: float
    per_dense_output: float
    per_layer: float
    per_block: float
    constant: int

    def block_bytes(self, block: Block, form: str = "fused-rows") -> int:
        """A block's part of the file, which is written in one of `common.form.FORMS`."""
        layers = [operation for operation in operations(block, Form.parse(form)) if operation.kind in WITH_KERNEL]
        weights = sum(layer.weights for layer in layers)
        per_output = {"dense": self.per_dense_output}
        outputs = sum(layer.out_channels * per_output.get(layer.kind, self.per_output) for layer in layers)
        size = self.per_weight * weights + outputs + self.per_layer * len(layers) + self.per_block
        return round(size)  # whole bytes add up without rounding errors

    def network_bytes(self, blocks: Sequence[Block], form: str = "fused-rows") -> int:
        """A network's file."""
        return self.constant + sum(self.block_bytes(block, form) for block in blocks)


# Least squares over 12 networks of three MobileNetV3 spaces as TensorFlow 2.21 converts them: the largest error is 0.4%
# (dynamic: 2.7%). int8: relative errors of 21 networks of seven spaces, 110 KB to 5.6 MB, in the forms folded-rows and
# fused-same; the largest is 1.1%. See tests/deploy/test_file_size.py and docs/results/memory.md.
FILE_SIZES = {
    "float32": FileSize(3.99, 4.80, 4.80, 584.8, 846.0, -1501),
    "float16": FileSize(2.00, 2.64, 2.64, 899.5, 1294.5, -1863),
    "dynamic": FileSize(1.08, -1.30, -13.30, 310.9, 8127.8, -21443),
    "int8": FileSize(0.996, 27.106, 3.106, 1075.9, -651.0, -708),
}

# Of which the microcontroller's runtime has the operations.
MEMORY_PRECISIONS = ("float32", "int8")
_ALIGNMENT = 16


@dataclasses.dataclass(frozen=True)
class ActivationMemory:
    """Peak bytes of the activations of exported networks; each tensor is rounded up to 16 bytes.

    A microcontroller's runtime plans ahead where every tensor lies while it is needed, from the operation that writes
    it to the last one that reads it: the largest tensors first, each in the first gap that is wide enough. Mostly that
    takes no more than the largest sum of tensors that are needed at once; sometimes a gap is left. As there is one
    tensor only between two blocks, that sum is the largest of the blocks'.

    Args:
        precision: "float32" or "int8".
        form: how the network is written, one of `common.form.FORMS` that leave kernels whole. A microcontroller is best
            off with `common.form.MICROCONTROLLER_FORM`.

    Raises:
        InputError: one of them is unknown.

    Source: docs/results/memory.md: equal to the microcontroller runtime's own figure.

    Example:
        ActivationMemory("int8").network_bytes(space.blocks(arch))
    """

    precision: str
    form: str = "fused"

    def __post_init__(self):
        if Form.parse(self.form).kernels != "whole":
            raise InputError(f"activation memory: not known for form {self.form}; leave out -rows")
        if self.precision not in MEMORY_PRECISIONS:
            raise InputError(
                f"activation memory: precision is {self.precision!r}, expected one of {', '.join(MEMORY_PRECISIONS)}"
            )

    def block_bytes(self, block: Block) -> int:
        """The largest sum of tensors that are needed at once while a block runs, its input and output included.

        The largest one of a network's blocks is at most what the network takes, and most often that.
        """
        tensors = self._tensors([block])
        steps = 1 + max(last for _, _, last in tensors)
        return max(sum(size for size, first, last in tensors if first <= step <= last) for step in range(steps))

    def network_bytes(self, blocks: Sequence[Block]) -> int:
        """What a network takes: equal to the head of the arena in the microcontroller runtime."""
        # Where each lies and during which operations, the lowest first.
        placed: list[tuple[int, int, int, int]] = []
        # Of equal tensors, the runtime places the last one first.
        for size, first, last in sorted(reversed(self._tensors(blocks)), key=lambda tensor: -tensor[0]):
            start = 0
            for other, end, from_step, to_step in placed:
                if from_step <= last and first <= to_step:
                    if other - start >= size:
                        break
                    start = max(start, end)
            bisect.insort(placed, (start, start + size, first, last))
        return max(end for _, end, _, _ in placed)

    def _tensors(self, blocks: Sequence[Block]) -> list[tuple[int, int, int]]:
        """Of each tensor its bytes, and the first and the last operation during which it is needed."""
        form, itemsize = Form.parse(self.form), precision_of(self.precision).activation_bytes
        first = blocks[0]
        elements = first.input_size**2 * first.in_channels
        tensors = [[_aligned(elements * (1 if first.takes_images else itemsize)), 0, 0]]
        step = output = 0
        for block in blocks:
            numbers = [output]
            for operation_reads, merged, elements in _written_tensors(block, form, self.precision):
                reads = [numbers[tensor] for tensor in operation_reads]
                if merged:
                    numbers.append(reads[0])
                    continue
                for tensor in reads:
                    tensors[tensor][2] = step
                numbers.append(len(tensors))
                tensors.append([_aligned(elements * itemsize), step, step])
                step += 1
            output = numbers[-1]
        return [tuple(tensor) for tensor in tensors]


@functools.lru_cache(maxsize=1 << 14)
def _written_tensors(block: Block, form: Form, precision: str) -> tuple[tuple[tuple[int, ...], bool, int], ...]:
    """Of each operation of a block what it reads, whether it is merged into another one, and its output's elements.

    Kept: a search asks about the same blocks again and again.
    """
    listed = operations(block, form, precision=precision)
    return tuple((tuple(operation.reads), operation.merged, operation.elements) for operation in listed)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
