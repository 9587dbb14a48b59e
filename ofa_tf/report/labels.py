"""Labels beside points, where they cover neither each other nor other points."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

# Directions from the point in the order of preference, and distances in points.
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_DISTANCES = (8, 14, 22, 32, 46)
_MARKER_POINTS = 5


def place_labels(
    axes: Axes,
    texts: Sequence[str],
    points: Sequence[tuple[float, float]],
    others: Sequence[tuple[float, float]] = (),
    **style,
) -> None:
    """Writes each text near its point, with a thin line to it where there was no room close by.

    Args:
        axes: with final limits.
        texts: N labels.
        points: N places, in data coordinates.
        others: further points to keep free.
        **style: of `Axes.annotate`.
    """
    figure = axes.figure
    # The layout must be final, because labels are placed in pixels.
    FigureCanvasAgg(figure).draw()
    renderer = figure.canvas.get_renderer()
    pixel = figure.dpi / 72
    # Labels that are cut off or that cover a point are worse the more they do; the frame is a hard limit.
    frame = axes.get_window_extent(renderer)
    markers = axes.transData.transform([*points, *others]) if points else np.zeros((0, 2))
    taken: list[Bbox] = []
    for text, point in zip(texts, points, strict=True):
        best = None
        for distance in _DISTANCES:
            for dx, dy in _DIRECTIONS:
                label = axes.annotate(
                    text, point, (dx * distance, dy * distance), textcoords="offset points",
                    ha=("center", "left", "right")[dx], va=("center", "bottom", "top")[dy], **style,
                )  # fmt: skip
                box = Bbox.padded(label.get_window_extent(renderer), 1.5 * pixel)
                label.remove()
                cost = _cost(box, frame, taken, markers, _MARKER_POINTS * pixel)
                if best is None or cost < best[0]:
                    best = (cost, distance, dx, dy, box)
            if best[0] == 0:
                break
        _, distance, dx, dy, box = best
        taken.append(box)
        leader = {"arrowprops": {"arrowstyle": "-", "linewidth": 0.7, "color": "0.5", "shrinkA": 1, "shrinkB": 3}}
        axes.annotate(
            text, point, (dx * distance, dy * distance), textcoords="offset points",
            ha=("center", "left", "right")[dx], va=("center", "bottom", "top")[dy],
            **(leader if distance > _DISTANCES[1] else {}), **style,
        )  # fmt: skip


def _cost(box: Bbox, frame: Bbox, taken: Sequence[Bbox], markers: np.ndarray, radius: float) -> float:
    outside = max(frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1, 0)
    covered = sum(1 for other in taken if box.overlaps(other))
    inside = (
        (markers[:, 0] > box.x0 - radius)
        & (markers[:, 0] < box.x1 + radius)
        & (markers[:, 1] > box.y0 - radius)
        & (markers[:, 1] < box.y1 + radius)
    )
    return 1000 * (outside > 0) + 100 * covered + int(inside.sum())
