"""How plots look: one set of colours, sizes and marks, and the way from a matplotlib figure to SVG text.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; nothing is told by colour alone.
"""

import contextlib
import io
import re
from collections.abc import Iterator

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, GRID, FAINT = "#1f2933", "#52606d", "#e4e7eb", "#9aa5b1"
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#a24b83", "#56b4e9"
# One hue for what is more or less of the same.
SHADES = ("#9ecae1", "#3182bd", "#08306b")
# What a page calls them.
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    FAINT: "--faint",
    "#ffffff": "--paper",
    **{shade: f"--shade-{index}" for index, shade in enumerate(SHADES)},
}

# Inches; at 96 pixels each, as browsers count, a plot is 614 pixels wide and its text 13 pixels high.
WIDTH, HEIGHT = 6.4, 4.2
# For plots that stand beside others, or on a phone.
NARROW = 4.8
_FONT_SIZE = 9.75

_RC = {
    # Text stays text: it can be searched and copied, and takes the page's font.
    "svg.fonttype": "none",
    # Names come from outside, and a dollar sign in one is no formula.
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": _FONT_SIZE,
    "axes.titlesize": _FONT_SIZE + 1,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": _FONT_SIZE,
    "ytick.labelsize": _FONT_SIZE,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": _FONT_SIZE,
}


@contextlib.contextmanager
def drawing(name: str) -> Iterator[None]:
    """The style of all plots, for the block. `name` makes the ids inside an SVG the same in every run."""
    with matplotlib.rc_context({**_RC, "svg.hashsalt": name}):
        yield


def new_axes(
    rows: int = 1, height: float = HEIGHT, ratios: tuple[float, ...] = (1,), width: float = WIDTH
) -> tuple[Figure, list[Axes]]:
    """A figure with axes above each other that share x; no window and no global state of pyplot."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    return figure, list(axes)


def legend_below(figure: Figure, most_columns: int) -> None:
    """A legend under the axes, in as many columns as fit the figure."""
    for columns in range(most_columns, 0, -1):
        legend = figure.legend(loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure, drawn inside `drawing(name)`, as an `<svg>` element whose ids all begin with that name."""
    buffer = io.StringIO()
    figure.set_facecolor("none")
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # Only inside tags: matplotlib escapes < and > everywhere else.
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", tag[0]), text)
    opening = f'<svg role="img" aria-label="{_attribute(description)}" '
    return opening + text.strip().removeprefix("<svg ")


def themed(svg: str) -> str:
    """An SVG whose ink, greys and paper follow the page's variables, and so its dark form."""
    colours = "|".join(_VARIABLES)

    def variable(found: re.Match) -> str:
        return f"var({_VARIABLES[found[0]]}, {found[0]})"

    # Only inside tags: a name may hold a colour.
    return re.sub(r"<[^>]+>", lambda tag: re.sub(rf"(?:{colours})(?![0-9a-f])", variable, tag[0]), svg)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
