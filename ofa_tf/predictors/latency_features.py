"""What a device's time for a block may depend on: the regressors of `LatencyRegression`."""

import functools

import numpy as np

from ofa_tf.spaces import Block, Space
from ofa_tf.spaces.layout import layout
from ofa_tf.spaces.population import active, variant_index, variants

_QUANTITIES = 5


def _quantities(block: Block) -> list[float]:
    """Being there, and the sizes of the tensors and products inside, in which a device's work is counted."""
    before, after = block.input_size**2, block.convolved_size**2
    mid = block.mid_channels
    return [1.0, before * mid, after * mid, after * mid * block.kernel_size**2, after * block.out_channels]


@functools.lru_cache(maxsize=4)
def variant_features(space: Space) -> np.ndarray:
    """The regressors of every variant of every position: float64 (variants, features).

    An architecture's regressors are the sum over its blocks, so what is linear in them is a table over blocks. There
    are those of each position (one for each choice of each gene, times the pixels of the block's output), those of each
    stage (the sizes of tensors, shared by its positions: few pairs teach them well), and one for each resolution.
    """
    plan = layout(space)
    positions, stages = len(space.positions), []
    for position in space.positions:
        stage = position.name.partition("_")[0]
        if stage not in stages:
            stages.append(stage)
    resolutions = len(space.resolutions)
    own_starts = np.cumsum([0, *(1 + sum(len(g.choices) for g in p.genes) for p in space.positions)])
    columns = own_starts[-1] + _QUANTITIES * len(stages) + resolutions
    result = np.zeros((plan.size, columns))
    position_of = np.searchsorted(plan.offsets, np.arange(plan.size), side="right") - 1
    for number, block in variants(space):
        place = position_of[number]
        position = space.positions[place]
        *choices, size = np.unravel_index(number - plan.offsets[place], plan.shapes[place])
        pixels = block.output_size**2
        column = own_starts[place]
        result[number, column] = pixels
        column += 1
        for gene, choice in zip(position.genes, choices, strict=True):
            result[number, column + choice] = pixels
            column += len(gene.choices)
        shared = own_starts[-1] + _QUANTITIES * stages.index(position.name.partition("_")[0])
        result[number, shared : shared + _QUANTITIES] = _quantities(block)
        if place == positions - 1:
            result[number, columns - resolutions + size] = 1.0
    return result


def architecture_features(space: Space, rows: np.ndarray) -> np.ndarray:
    """The regressors of whole architectures.

    Args:
        space: their space.
        rows: int (P, G + 1).

    Returns:
        float64 (P, features).
    """
    table = variant_features(space)
    index, running = variant_index(space, rows), active(space, rows)
    total = np.zeros((len(rows), table.shape[1]))
    for place in range(index.shape[1]):
        total += table[index[:, place]] * running[:, place, None]
    return total
