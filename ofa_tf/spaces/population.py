"""Whole populations of architectures as integer matrices, and their costs by table.

The block at a position depends only on a few genes and the resolution, so every additive cost (latency, MACs,
parameters, bytes) is a table with one entry for each position's variants. A population is an int32 matrix `rows` of
choice indices, shape (P, G + 1): one column per gene of `space.genes`, the last one an index into `space.resolutions`.
A cost is then one small integer product, one gather and one masked sum, for all P architectures at once.

Rows are canonical: the kernel-size and expand-ratio columns of skipped blocks hold 0, so equal rows are equal
architectures. `features` turns rows into the inputs of accuracy predictors.

Example:
    rows = population.random_rows(space, np.random.default_rng(0), 1000)
    table = population.cost_table(space, costs.macs)
    macs = population.evaluate(table, rows)
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.spaces.arch import FIELDS, Arch
from ofa_tf.spaces.block import Block
from ofa_tf.spaces.space import Gene, Space


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


def resolution_indices(space: Space, resolutions: Sequence[int] | None) -> np.ndarray:
    """Places of image sides (in pixels) in `space.resolutions`; all of them for None.

    Raises:
        InputError: one is not among them, or none is given.
    """
    if resolutions is None:
        return np.arange(len(space.resolutions))
    unknown = [r for r in resolutions if r not in space.resolutions]
    if unknown or not len(resolutions):
        found = f"{unknown[0]} is not one of them" if unknown else "none is given"
        known = ", ".join(map(str, space.resolutions))
        raise InputError(f"resolutions: space {space.name} has {known}; {found}; choose from these")
    return np.array(sorted({space.resolutions.index(r) for r in resolutions}))


def encode(space: Space, archs: Sequence[Arch]) -> np.ndarray:
    """Architectures as rows.

    Args:
        space: their space.
        archs: P architectures.

    Returns:
        int32 (P, G + 1), canonical.

    Raises:
        InputError: an architecture does not fit the space, or its resolution is not in `space.resolutions`.
    """
    places = [(gene.field, gene.index, {v: i for i, v in enumerate(gene.choices)}) for gene in space.genes]
    sizes = {r: i for i, r in enumerate(space.resolutions)}
    rows = np.zeros((len(archs), len(places) + 1), np.int32)
    for row, arch in zip(rows, archs, strict=True):
        arch = space.canonical(arch)
        if arch.r not in sizes:
            known = ", ".join(map(str, space.resolutions))
            raise InputError(
                f"architecture: resolution r is {arch.r}, but populations of space {space.name} have {known}; "
                f"use one of these, or space.replace(resolutions=...)"
            )
        # 0 is what a skipped block carries.
        row[:-1] = [index.get(getattr(arch, field)[place], 0) for field, place, index in places]
        row[-1] = sizes[arch.r]
    return rows


def decode(space: Space, rows: np.ndarray) -> list[Arch]:
    """Rows as architectures.

    Args:
        space: their space.
        rows: int (P, G + 1), canonical or not.

    Returns:
        P canonical architectures.
    """
    meaningful = active_columns(space, rows)
    archs = []
    for row, kept in zip(np.asarray(rows).tolist(), meaningful.tolist(), strict=True):
        fields = {field: [] for field in FIELDS}
        for gene, choice, keep in zip(space.genes, row[:-1], kept[:-1], strict=True):
            fields[gene.field].append(gene.choices[choice] if keep else 0)
        values = {field: tuple(fields[field]) for field in FIELDS if field != "r"}
        archs.append(Arch(**values, r=space.resolutions[row[-1]]))
    return archs


def random_rows(
    space: Space,
    rng: np.random.Generator,
    count: int,
    resolutions: Sequence[int] | None = None,
    *,
    canonical: bool = True,
) -> np.ndarray:
    """Rows with every choice drawn uniformly and independently, as `Space.sample` draws it.

    Args:
        space: the space.
        rng: the source of randomness.
        count: the number of rows, P.
        resolutions: image sides in pixels to draw from, all of the space's unless given.
        canonical: False leaves random choices in the columns of skipped blocks too.

    Returns:
        int32 (P, G + 1); the same row may occur twice.
    """
    counts = layout(space).counts
    # Scaled floats are several times faster than integers with a bound for each column; at most 2^24 choices.
    rows = (rng.random((count, len(counts)), np.float32) * counts).astype(np.int32)
    if resolutions is not None:
        rows[:, -1] = rng.choice(resolution_indices(space, resolutions), size=count)
    return canonical_rows(space, rows) if canonical else rows


def active(space: Space, rows: np.ndarray) -> np.ndarray:
    """Which blocks run: bool (P, positions)."""
    plan = layout(space)
    return rows[:, plan.depth_columns] >= plan.depth_thresholds


def active_columns(space: Space, rows: np.ndarray) -> np.ndarray:
    """Which columns matter: bool (P, G + 1), False for the choices of skipped blocks."""
    running = active(space, rows)
    always = np.ones((len(running), 1), bool)
    return np.concatenate([running, always], axis=1)[:, layout(space).owners]


def canonical_rows(space: Space, rows: np.ndarray) -> np.ndarray:
    """The same architectures with 0 in the columns of skipped blocks: int32 (P, G + 1)."""
    return rows * active_columns(space, rows)


def variant_index(space: Space, rows: np.ndarray) -> np.ndarray:
    """The number of each position's variant: int64 (P, positions), also for skipped blocks."""
    plan = layout(space)
    return (rows @ plan.strides).astype(np.int64) + plan.offsets


def variants(space: Space, resolutions: Sequence[int] | None = None) -> Iterator[tuple[int, Block]]:
    """Every block that can stand anywhere in the space, with its number in cost tables.

    Args:
        space: the space.
        resolutions: image sides in pixels, all of the space's unless given.

    Yields:
        (number of the variant, block), position by position.
    """
    plan = layout(space)
    sizes = resolution_indices(space, resolutions).tolist()
    for index, position in enumerate(space.positions):
        choices = itertools.product(*(gene.choices for gene in position.genes))
        for place, values in enumerate(choices):
            for size in sizes:
                number = int(plan.offsets[index]) + place * len(space.resolutions) + size
                yield number, position.make(position.input_size(space.resolutions[size]), *values)


def distinct_blocks(space: Space, resolutions: Sequence[int] | None = None) -> list[Block]:
    """The different blocks of a space, each once, in the order of its positions: what a latency table must hold.

    Args:
        space: the space.
        resolutions: image sides in pixels, all of the space's unless given.
    """
    return list(dict.fromkeys(block for _, block in variants(space, resolutions)))


@dataclasses.dataclass(frozen=True, eq=False)
class CostTable:
    """A cost of every architecture of a space: `scale * (sum over its blocks) + offset`, or the largest of its blocks.

    Args:
        space: the space whose rows it evaluates.
        values: float64 (variants,), the cost of each block; NaN at resolutions that were left out.
        scale: above 0.
        offset: in the unit of the cost.
        largest: whether the largest block decides (memory that is used again) instead of the sum.
    """

    space: Space
    values: np.ndarray
    scale: float = 1.0
    offset: float = 0.0
    largest: bool = False


def cost_table(
    space: Space,
    cost: Callable[[Block], float],
    *,
    resolutions: Sequence[int] | None = None,
    scale: float = 1.0,
    offset: float = 0.0,
    largest: bool = False,
) -> CostTable:
    """Evaluates a cost of blocks once for each different block of the space.

    Args:
        space: the space.
        cost: the cost of one block.
        resolutions: image sides in pixels to compile for, all of the space's unless given. Rows of other resolutions
            evaluate to NaN, which no limit admits.
        scale: see `CostTable`.
        offset: see `CostTable`.
        largest: see `CostTable`.

    Example:
        table = cost_table(spaces.get("ofa_tiny"), costs.params)
    """
    values = np.full(layout(space).size, np.nan)
    known: dict[Block, float] = {}
    for number, block in variants(space, resolutions):
        if block not in known:
            known[block] = float(cost(block))
        values[number] = known[block]
    return CostTable(space, values, scale, offset, largest)


def evaluate_all(tables: Sequence[CostTable], rows: np.ndarray) -> np.ndarray:
    """Several costs of the same rows: float64 (P, tables)."""
    result = np.empty((len(rows), len(tables)))
    if not tables:
        return result
    space = tables[0].space
    index, running = variant_index(space, rows), active(space, rows)
    for column, table in enumerate(tables):
        blocks = np.where(running, table.values[index], 0.0)
        together = blocks.max(axis=1) if table.largest else blocks.sum(axis=1)
        result[:, column] = table.scale * together + table.offset
    return result


def evaluate(table: CostTable, rows: np.ndarray) -> np.ndarray:
    """The cost of each architecture.

    Args:
        table: the compiled cost.
        rows: int (P, G + 1) of the table's space.

    Returns:
        float64 (P,).
    """
    return evaluate_all((table,), rows)[:, 0]


_FEATURE_ORDER = ("ks", "e", "w", "d")


@dataclasses.dataclass(frozen=True, eq=False)
class _FeaturePlan:
    columns: np.ndarray
    starts: np.ndarray
    count: int


def _shown_by_blocks(space: Space, gene: Gene) -> bool:
    """Whether each value of a depth gene shows in which blocks' features are zero."""
    featured = [
        position.depth_index
        for position in space.positions
        if position.depth == gene and any(g.field in ("ks", "e") and len(g.choices) > 1 for g in position.genes)
    ]
    steps = zip(gene.choices, gene.choices[1:], strict=False)
    return all(any(low <= index < high for index in featured) for low, high in steps)


@functools.lru_cache(maxsize=32)
def _feature_plan(space: Space) -> _FeaturePlan:
    genes = sorted(enumerate(space.genes), key=lambda item: _FEATURE_ORDER.index(item[1].field))
    columns = [
        column
        for column, gene in genes
        if len(gene.choices) > 1 and not (gene.field == "d" and _shown_by_blocks(space, gene))
    ]
    columns.append(len(space.genes))
    sizes = layout(space).counts[columns]
    return _FeaturePlan(np.array(columns), np.cumsum(sizes) - sizes, int(sizes.sum()))


def feature_count(space: Space) -> int:
    """The number of features of an architecture of the space."""
    return _feature_plan(space).count


def features(space: Space, archs: Sequence[Arch] | np.ndarray) -> np.ndarray:
    """One-hot choices of each architecture.

    In order: kernel sizes of all blocks, expand ratios of all blocks (both zero for skipped blocks), width indices,
    depths where skipped blocks do not show them, resolution. Choices without an alternative are left out.

    Args:
        space: the space.
        archs: P architectures, or their rows, int (P, G + 1).

    Returns:
        float32 (P, feature_count(space)); 128 for the published MobileNetV3 spaces with 8 resolutions.

    Source: Cai et al., "Once-for-All" (ICLR 2020), section 3.4; the order is that of the published predictors.
    """
    plan = _feature_plan(space)
    rows = archs if isinstance(archs, np.ndarray) else encode(space, archs)
    places = rows[:, plan.columns] + plan.starts
    # What is skipped goes to one more column, which is cut off.
    places = np.where(active_columns(space, rows)[:, plan.columns], places, plan.count)
    result = np.zeros((len(rows), plan.count + 1), np.float32)
    result[np.arange(len(rows))[:, None], places] = 1
    return result[:, :-1]
