"""How much memory a network's activations take at their peak, from its blocks.

A microcontroller's runtime plans ahead where every tensor lies while it is needed, from the operation that writes it to
the last one that reads it: the largest tensors first, each in the first gap that is wide enough. Mostly that takes no
more than the largest sum of tensors that are needed at once; sometimes a gap is left. As there is one tensor only
between two blocks, that sum is the largest of the blocks'.
"""

import dataclasses
from collections.abc import Sequence

from ofa_tf.common import InputError
from ofa_tf.common.form import Form, precision_of
from ofa_tf.spaces.block import Block

# Of which the microcontroller's runtime has the operations.
_PRECISIONS = ("float32", "int8")
_ALIGNMENT = 16


@dataclasses.dataclass(frozen=True)
class ActivationMemory:
    """Peak bytes of the activations of exported networks; each tensor is rounded up to 16 bytes.

    Args:
        precision: "float32" or "int8".
        form: how the network is written, one of `common.form.FORMS` that leave kernels whole. A microcontroller is best
            off with `common.form.MICROCONTROLLER_FORM`.

    Raises:
        InputError: one of them is unknown.

    Source: docs/design_notes.md, "Memory of microcontrollers": equal to the microcontroller runtime's own figure.

    Example:
        ActivationMemory("int8").network_bytes(space.blocks(arch))
    """

    precision: str
    form: str = "fused"

    def __post_init__(self):
        if Form.parse(self.form).kernels != "whole":
            raise InputError(f"activation memory: not known for form {self.form}; leave out -rows")
        if self.precision not in _PRECISIONS:
            raise InputError(
                f"activation memory: precision is {self.precision!r}, expected one of {', '.join(_PRECISIONS)}"
            )

    def block_bytes(self, block: Block) -> int:
        """The largest sum of tensors that are needed at once while a block runs, its input and output included.

        The largest one of a network's blocks is at most what the network takes, and most often that.
        """
        graph = self._graph([block])
        return max(
            sum(size for size, first, last in graph.tensors() if first <= place <= last)
            for place in range(len(graph.operations))
        )

    def network_bytes(self, blocks: Sequence[Block]) -> int:
        """What a network takes: equal to the head of the arena in the microcontroller runtime."""
        placed: list[tuple[int, int, int, int]] = []
        # Of equal tensors, the runtime places the last one first.
        for size, first, last in sorted(reversed(self._graph(blocks).tensors()), key=lambda tensor: -tensor[0]):
            start = 0
            for other, end in sorted(place[:2] for place in placed if place[2] <= last and first <= place[3]):
                if other - start >= size:
                    break
                start = max(start, end)
            placed.append((start, start + size, first, last))
        return max(end for _, end, _, _ in placed)

    def _graph(self, blocks: Sequence[Block]) -> "_Graph":
        graph = _Graph(self)
        first = blocks[0]
        outputs = graph.tensor(first.input_size**2 * first.in_channels, 1 if _takes_images(first) else None)
        for block in blocks:
            outputs = _OPERATIONS[block.kind](graph, outputs, block)
        return graph


class _Graph:
    """Operations in their order, with the sizes of what they write. The first tensor is the input."""

    def __init__(self, memory: ActivationMemory):
        self.precision, self.form = memory.precision, Form.parse(memory.form)
        self.itemsize = precision_of(memory.precision).activation_bytes
        self.sizes: list[int] = []
        self.operations: list[tuple[tuple[int, ...], int]] = []

    def tensor(self, elements: int, itemsize: int | None = None) -> int:
        self.sizes.append(-(-elements * (itemsize or self.itemsize) // _ALIGNMENT) * _ALIGNMENT)
        return len(self.sizes) - 1

    def run(self, reads: tuple[int, ...], elements: int) -> int:
        """An operation; returns what it writes."""
        self.operations.append((reads, self.tensor(elements)))
        return self.operations[-1][1]

    def activated(self, inputs: int, elements: int, activation: str, *, may_fold: bool = True) -> int:
        """An activation that no convolution can take into itself; ReLUs cost nothing."""
        if activation != "h_swish":
            return inputs
        if self.form.hard_swish == "fused":
            return self.run((inputs,), elements)
        gate = self.run((inputs,), elements)
        if self.form.hard_swish == "folded" and may_fold:
            return self.run((inputs, gate), elements)
        return self.run((self.run((inputs,), elements), gate), elements)

    def padded(self, inputs: int, channels: int, block: Block) -> int:
        """What is written before a spatial convolution."""
        if block.stride == 1 or self.form.padding == "same":
            return inputs
        return self.run((inputs,), (block.input_size + 2 * (block.kernel_size // 2)) ** 2 * channels)

    def tensors(self) -> list[tuple[int, int, int]]:
        """Of each tensor its bytes, and the first and the last operation during which it is needed."""
        first, last = {0: 0}, {0: 0}
        for place, (reads, written) in enumerate(self.operations):
            first[written] = place
            last |= dict.fromkeys((*reads, written), place)
        return [(size, first[tensor], last[tensor]) for tensor, size in enumerate(self.sizes)]


def _takes_images(block: Block) -> bool:
    """A ResNet has stems that follow the first one."""
    return block.kind == "stem" and block.in_channels == 3


def _stem(graph: _Graph, inputs: int, block: Block) -> int:
    pixels, after = block.input_size**2 * block.in_channels, block.convolved_size**2 * block.out_channels
    if _takes_images(block):
        # Raw images, uint8, are brought to the network's numbers: by one operation in int8, by three in float.
        for _ in range(1 if graph.precision == "int8" else 3):
            inputs = graph.run((inputs,), pixels)
    outputs = graph.run((graph.padded(inputs, block.in_channels, block),), after)
    outputs = graph.activated(outputs, after, block.activation, may_fold=False)
    if block.residual:
        outputs = graph.run((outputs, inputs), after)
    if block.pool:
        outputs = graph.run((outputs,), (block.convolved_size + 2) ** 2 * block.out_channels)
        outputs = graph.run((outputs,), block.output_size**2 * block.out_channels)
    return outputs


def _mbconv(graph: _Graph, inputs: int, block: Block) -> int:
    mid, side = block.mid_channels, block.output_size
    outputs, before, after = inputs, block.input_size**2 * mid, side**2 * mid
    if block.expand:
        outputs = graph.activated(graph.run((outputs,), before), before, block.activation)
    outputs = graph.padded(outputs, mid, block)
    outputs = graph.activated(graph.run((outputs,), after), after, block.activation)
    if block.se_channels:
        gate = outputs
        for elements in (mid, block.se_channels, mid) + (() if graph.form.hard_swish == "folded" else (mid,)):
            gate = graph.run((gate,), elements)
        outputs = graph.run((outputs, gate), after)
    outputs = graph.run((outputs,), side**2 * block.out_channels)
    return graph.run((outputs, inputs), side**2 * block.out_channels) if block.residual else outputs


def _bottleneck(graph: _Graph, inputs: int, block: Block) -> int:
    mid, out, side = block.mid_channels, block.out_channels, block.output_size

    def shortcut() -> int:
        if block.residual:
            return inputs
        pooled = graph.run((inputs,), side**2 * block.in_channels) if block.stride > 1 else inputs
        return graph.run((pooled,), side**2 * out)

    # Keras runs the deeper branch first: with a pool, that is the shortcut.
    beside = shortcut() if block.stride > 1 else None
    outputs = graph.run((inputs,), block.input_size**2 * mid)
    outputs = graph.run((graph.padded(outputs, mid, block),), side**2 * mid)
    outputs = graph.run((outputs,), side**2 * out)
    return graph.run((outputs, shortcut() if beside is None else beside), side**2 * out)


def _head(graph: _Graph, inputs: int, block: Block) -> int:
    outputs, channels = inputs, block.in_channels
    if block.mid_channels:
        channels, elements = block.mid_channels, block.input_size**2 * block.mid_channels
        outputs = graph.activated(graph.run((outputs,), elements), elements, block.activation)
    outputs = graph.run((outputs,), channels)
    if block.feature_channels:
        outputs = graph.run((outputs,), block.feature_channels)
        outputs = graph.activated(outputs, block.feature_channels, block.activation)
    outputs = graph.run((outputs,), block.out_channels)
    # To uint8, which an app reads.
    return graph.run((outputs,), block.out_channels) if graph.precision == "int8" else outputs


_OPERATIONS = {"stem": _stem, "mbconv": _mbconv, "bottleneck": _bottleneck, "head": _head}
