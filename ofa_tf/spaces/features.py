"""One-hot features of architectures, the input of accuracy predictors."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from ofa_tf.spaces.arch import Arch
from ofa_tf.spaces.layout import layout
from ofa_tf.spaces.population import active_columns, encode
from ofa_tf.spaces.space import Gene, Space

_ORDER = ("ks", "e", "w", "d")


@dataclasses.dataclass(frozen=True, eq=False)
class _Plan:
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
def _plan(space: Space) -> _Plan:
    genes = sorted(enumerate(space.genes), key=lambda item: _ORDER.index(item[1].field))
    columns = [
        column
        for column, gene in genes
        if len(gene.choices) > 1 and not (gene.field == "d" and _shown_by_blocks(space, gene))
    ]
    columns.append(len(space.genes))
    sizes = layout(space).counts[columns]
    return _Plan(np.array(columns), np.cumsum(sizes) - sizes, int(sizes.sum()))


def feature_count(space: Space) -> int:
    """The number of features of an architecture of the space."""
    return _plan(space).count


def features(space: Space, archs: Sequence[Arch] | np.ndarray) -> np.ndarray:
    """One-hot choices of each architecture.

    In order: kernel sizes of all blocks, expand ratios of all blocks (both zero for skipped blocks), width indices,
    depths where skipped blocks do not show them, resolution. Choices without an alternative are left out.

    Args:
        space: the space.
        archs: P architectures, or their rows, int (P, G + 1).

    Returns:
        float32 (P, feature_count(space)); 128 for the published MobileNetV3 spaces with 8 resolutions.

    Source: docs/method.md, "Accuracy predictor".
    """
    plan = _plan(space)
    rows = archs if isinstance(archs, np.ndarray) else encode(space, archs)
    places = rows[:, plan.columns] + plan.starts
    # What is skipped goes to one more column, which is cut off.
    places = np.where(active_columns(space, rows)[:, plan.columns], places, plan.count)
    result = np.zeros((len(rows), plan.count + 1), np.float32)
    result[np.arange(len(rows))[:, None], places] = 1
    return result[:, :-1]
