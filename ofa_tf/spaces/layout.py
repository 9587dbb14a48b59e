"""`Layout`: how the integers of a population's rows are read."""

import dataclasses
import functools

import numpy as np

from ofa_tf.spaces.space import Space


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The arrays that turn choice indices into blocks, for one space.

    A row holds one choice index per gene and, last, the index of the resolution: G + 1 columns. A position's *variants*
    are all combinations of its genes and the resolution, counted in row-major order from `offsets[position]`.

    Args:
        counts: int (G + 1,), the number of choices of each column.
        columns: for each position the columns its block depends on, the resolution's last.
        shapes: for each position the numbers of choices of those columns.
        offsets: int (positions,), the number of the first variant of each position.
        strides: float64 (G + 1, positions), whole numbers: `row @ strides + offsets` are the numbers of its variants
            (exact, and a product of floats is many times faster than one of integers).
        size: the number of all variants.
        depth_columns: int (positions,), the column of the gene that decides whether the block runs (0 where none does).
        depth_thresholds: int (positions,), the block runs where that column is at least this (0 where it always runs).
        owners: int (G + 1,), the position whose skipping makes a column meaningless; `positions` where there is none.
    """

    counts: np.ndarray
    columns: tuple[tuple[int, ...], ...]
    shapes: tuple[tuple[int, ...], ...]
    offsets: np.ndarray
    strides: np.ndarray
    size: int
    depth_columns: np.ndarray
    depth_thresholds: np.ndarray
    owners: np.ndarray


@functools.lru_cache(maxsize=32)
def layout(space: Space) -> Layout:
    """The layout of a space's rows (made once per space)."""
    column = {gene: index for index, gene in enumerate(space.genes)}
    counts = np.array([*(len(gene.choices) for gene in space.genes), len(space.resolutions)])
    last = len(space.genes)
    positions = space.positions
    columns, shapes, offsets = [], [], []
    strides = np.zeros((last + 1, len(positions)))
    depth_columns, depth_thresholds = np.zeros((2, len(positions)), np.int64)
    owners = np.full(last + 1, len(positions))
    size = 0
    for index, position in enumerate(positions):
        own = (*(column[gene] for gene in position.genes), last)
        if len(set(own)) < len(own):
            raise ValueError(f"position {position.name} names a gene twice; its table would hold blocks that cannot be")
        shape = tuple(int(counts[c]) for c in own)
        columns.append(own)
        shapes.append(shape)
        offsets.append(size)
        for place, c in enumerate(own):
            strides[c, index] = np.prod(shape[place + 1 :], dtype=np.int64)
        size += int(np.prod(shape))
        if position.depth is not None:
            depth_columns[index] = column[position.depth]
            depth_thresholds[index] = sum(choice <= position.depth_index for choice in position.depth.choices)
        for gene in position.genes:
            if gene.field in ("ks", "e"):
                owners[column[gene]] = index
    return Layout(
        counts, tuple(columns), tuple(shapes), np.array(offsets), strides, size, depth_columns, depth_thresholds, owners
    )
