"""`GraphSummary`: what a TFLite file consists of, and what XNNPACK leaves to slower code."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ofa_tf.deploy.runner import DELEGATE, Node, Runner

_BYTE_TYPES = ("int8", "uint8")


@dataclasses.dataclass(frozen=True)
class GraphSummary:
    """The operations of a file, as this machine runs it.

    Args:
        operations: how many there are of each kind.
        int8_share: share of the operations that read and write 8-bit activations only, 0..1.
        float_tensors: activations in floating point.
        partitions: parts of the graph that XNNPACK runs; 1 is fastest, 0 means that it runs none.
        outside_xnnpack: how many operations of each kind it leaves to the built-in code.

    Example:
        summarize(Runner("model.tflite")).outside_xnnpack
    """

    operations: Mapping[str, int]
    int8_share: float
    float_tensors: int
    partitions: int
    outside_xnnpack: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)


def summarize(runner: Runner) -> GraphSummary:
    """What the file of a runner consists of."""
    nodes = [node for node in runner.nodes if node.name != DELEGATE]
    delegates = [node for node in runner.nodes if node.name == DELEGATE]
    activations = {runner.input_details["index"]: runner.input_type}
    for node in nodes:
        activations |= zip(node.outputs, node.output_types, strict=True)
    in_bytes = [
        all(activations[tensor] in _BYTE_TYPES for tensor in (*node.inputs, *node.outputs) if tensor in activations)
        for node in nodes
    ]
    inside = set().union(*(_inside(delegate, nodes) for delegate in delegates))
    return GraphSummary(
        operations=dict(Counter(node.name for node in nodes).most_common()),
        int8_share=float(np.mean(in_bytes)) if nodes else 0.0,
        float_tensors=sum(name.startswith("float") for name in activations.values()),
        partitions=len(delegates),
        outside_xnnpack=dict(
            Counter(node.name for place, node in enumerate(nodes) if place not in inside).most_common()
        ),
    )


def _inside(delegate: Node, nodes: list[Node]) -> set[int]:
    """The places of the operations that a partition took over: what lies between its outputs and its inputs."""
    maker = {tensor: place for place, node in enumerate(nodes) for tensor in node.outputs}
    found, waiting = set(), list(delegate.outputs)
    while waiting:
        tensor = waiting.pop()
        place = maker.get(tensor)
        if tensor not in delegate.inputs and place is not None and place not in found:
            found.add(place)
            waiting += nodes[place].inputs
    return found
