"""Channel sorting before a width stage."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from ofa_tf.networks import Supernet
from ofa_tf.spaces import Space
from ofa_tf.spaces.space import within


def sort_channels(net: Supernet, supported: tuple, slots: Mapping[int, Sequence] = MappingProxyType({})) -> None:
    """Moves the most important channels of every elastic block to the front.

    The largest sub-network computes what it did before. Channels outside a smaller width that is already supported do
    not move inside it.

    Args:
        net: changed in place.
        supported: the expand ratios trained so far.
        slots: by `id` of a variable, what an optimizer keeps for it, which then moves with it.

    Source: Cai et al., section 3.3 ("Elastic Width"); docs/method.md, "Width".
    """

    def reorder(variables: list, order: np.ndarray, axis: int) -> None:
        moving = [each for variable in variables for each in (variable, *slots.get(id(variable), ()))]
        for variable in moving:
            variable.assign(np.take(variable.numpy(), order, axis=axis))

    for block, bounds in zip(net.blocks, width_bounds(net.space, supported), strict=True):
        if bounds:
            block.sort_channels(bounds, reorder)


def width_bounds(space: Space, supported: tuple) -> list[list[int]]:
    """For each position, the inner channel counts at the supported expand ratios, ascending; empty if it has none."""
    bounds = []
    for position in space.positions:
        fields = [gene.field for gene in position.genes]
        if "e" not in fields:
            bounds.append([])
            continue
        largest = [gene.choices[-1] for gene in position.genes]
        ratios = position.genes[fields.index("e")].choices
        widths = set()
        for ratio in within(ratios, supported):
            values = [ratio if field == "e" else value for field, value in zip(fields, largest, strict=True)]
            widths.add(position.make(position.input_size(space.resolutions[-1]), *values).mid_channels)
        bounds.append(sorted(widths))
    return bounds
