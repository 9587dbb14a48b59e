"""An architecture drawn block by block, from the image at the top to the classifier at the bottom.

Every drawing of a space has the same rows and the same scale, so that drawings beside each other can be compared row by
row: what one network skips is a faint outline there.
"""

import itertools
from xml.etree import ElementTree

from ofa_tf.report import style
from ofa_tf.spaces import Arch, Block, Position, Space

WIDTH = 214
_BAR_LENGTH, _ROW, _CAPTION, _GAP = 100, 22, 16, 8
_KERNEL_X, _EXPAND_X, _SE_X = 120, 164, 203
_IMAGE_SIDE = 40
_FONT_SIZE = 12
_SMALLEST_BAR = 3
_FIXED = style.FAINT
_TIMES = "\N{MULTIPLICATION SIGN}"


def architecture_drawing(space: Space, arch: Arch) -> str:
    """An SVG of an architecture.

    One bar per block: as long as it has channels inside, as thick and dark as its kernel is large, with its kernel
    size, expand ratio and squeeze-and-excite beside it. Grey blocks are the same in every architecture of the space.

    Args:
        space: of the architecture.
        arch: what is drawn.

    Returns:
        An `<svg>` element.

    Raises:
        InputError: the architecture does not fit the space.

    Example:
        architecture_drawing(spaces.get("ofa_tiny"), spaces.get("ofa_tiny").largest())
    """
    return ElementTree.tostring(_drawing(space, arch), encoding="unicode")


def drawing_pieces(space: Space, arch: Arch, known: dict[str, int]) -> list[int]:
    """The drawing in pieces, by their numbers in `known`, which new ones are added to: drawings differ in few of them.

    The first piece is the empty `<svg></svg>`, what belongs inside follows.
    """
    drawing = _drawing(space, arch)
    pieces = (ElementTree.Element("svg", drawing.attrib), *drawing)
    texts = (ElementTree.tostring(piece, encoding="unicode", short_empty_elements=False) for piece in pieces)
    return [known.setdefault(style.themed(text), len(known)) for text in texts]


def _drawing(space: Space, arch: Arch) -> ElementTree.Element:
    arch = space.canonical(arch)
    blocks = {block.name: block for block in space.blocks(arch)}
    widest = max(_largest(space, position).mid_channels for position in space.positions)
    root = ElementTree.Element("svg")
    y = _draw_image(root, space, arch) + _GAP
    for x, text in ((_KERNEL_X, "kernel"), (_EXPAND_X, "expand"), (_SE_X, "SE")):
        _text(root, x, y + 10, text, anchor="middle", size=11, colour=style.MUTED)
    y += _CAPTION
    for _, group in itertools.groupby(space.positions, key=lambda position: (position.depth, _stage(position))):
        positions = list(group)
        y = _draw_caption(root, y, positions, blocks)
        for position in positions:
            _draw_row(root, y, space, arch, position, blocks.get(position.name), widest)
            y += _ROW
        y += _GAP
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {WIDTH} {y}",
        "width": str(WIDTH),
        "height": str(y),
        "font-family": "sans-serif",
        "font-size": str(_FONT_SIZE),
        "fill": style.INK,
        "role": "img",
        "aria-label": f"{len(blocks)} of {len(space.positions)} blocks run, on an image of {arch.r} by {arch.r} pixels",
    }
    return root


def architecture_legend(space: Space) -> list[tuple[str, str]]:
    """What the marks of a drawing mean: (SVG of the mark, text)."""
    items = [(_swatch(size, _colour(space, size)), f"{_square(size)} kernel") for size in space.choices("ks")]
    if len(items) < 2:
        items = [(_swatch(3, style.SHADES[1]), "its width differs between sub-networks")]
    return [
        *items,
        (_swatch(3, _FIXED), "the same in every sub-network"),
        (_swatch(3, None), "block that this sub-network skips"),
    ]


def _largest(space: Space, position: Position) -> Block:
    largest = [gene.choices[-1] for gene in position.genes]
    return position.make(position.input_size(space.resolutions[-1]), *largest)


def _colour(space: Space, kernel_size: int) -> str:
    sizes = space.choices("ks")
    if kernel_size not in sizes or len(sizes) == 1:
        return style.SHADES[1]
    return style.SHADES[round(sizes.index(kernel_size) * (len(style.SHADES) - 1) / (len(sizes) - 1))]


def _thickness(kernel_size: int) -> float:
    return min(2.5 * kernel_size + 0.5, _ROW - 3)


def _draw_image(root: ElementTree.Element, space: Space, arch: Arch) -> float:
    largest = max(*space.resolutions, arch.r)
    side = _IMAGE_SIDE * arch.r / largest
    bottom = 1 + _IMAGE_SIDE
    if side < _IMAGE_SIDE:
        _rectangle(root, 1, 1, _IMAGE_SIDE, _IMAGE_SIDE, None)
    _rectangle(root, 1, bottom - side, side, side, style.SKY, opacity=0.35)
    _text(root, _IMAGE_SIDE + 12, 18, f"{_square(arch.r)} px", weight="bold")
    _text(root, _IMAGE_SIDE + 12, 34, f"image (largest: {largest} px)", size=11, colour=style.MUTED)
    return bottom


def _stage(position: Position) -> str:
    """The stage that a block belongs to, "" for what stands outside of stages."""
    stage, underscore, block = position.name.partition("_")
    return stage if underscore and (position.depth or block.startswith("block")) else ""


def _draw_caption(root: ElementTree.Element, y: float, positions: list[Position], blocks: dict[str, Block]) -> float:
    stage = _stage(positions[0])
    if positions[0].depth is not None:
        count = sum(position.name in blocks for position in positions)
        text = f"{stage}: {count} of {len(positions)}"
    elif stage:
        text = f"{stage}: {len(positions)} always"
    else:
        text = ", ".join(position.name for position in positions)
    running = [blocks[position.name] for position in positions if position.name in blocks]
    if running:
        last = running[-1]
        text += f", {last.out_channels:,} "
        text += "classes" if last.kind == "head" else f"channels, {_square(last.output_size)} px"
    _text(root, 0, y + 12, text, size=11, colour=style.MUTED)
    return y + _CAPTION + 2


def _draw_row(
    root: ElementTree.Element, y: float, space: Space, arch: Arch, position: Position, block: Block | None, widest: int
) -> None:
    row = ElementTree.SubElement(root, "g")
    shown = block or _largest(space, position)
    length = max(_BAR_LENGTH * shown.mid_channels / widest, _SMALLEST_BAR)
    thickness = _thickness(shown.kernel_size)
    top = y + (_ROW - thickness) / 2
    if block is None:
        ElementTree.SubElement(row, "title").text = f"{position.name}: skipped"
        _rectangle(row, 0.5, top, length, thickness, None)
        return
    values = {gene.field: getattr(arch, gene.field)[gene.index] for gene in position.genes}
    ElementTree.SubElement(row, "title").text = _describe(block)
    fixed = not any(len(gene.choices) > 1 for gene in position.genes)
    _rectangle(row, 0.5, top, length, thickness, _FIXED if fixed else _colour(space, block.kernel_size))
    baseline = y + _ROW / 2 + 4
    _text(row, _KERNEL_X, baseline, _square(block.kernel_size), anchor="middle")
    if "e" in values:
        _text(row, _EXPAND_X, baseline, f"{_TIMES}{values['e']:g}", anchor="middle")
    if block.se_channels:
        _text(row, _SE_X, baseline, "SE", anchor="middle", weight="bold", colour=style.GREEN)


def _describe(block: Block) -> str:
    parts = [
        f"{block.name}: {block.in_channels} → {block.mid_channels} → {block.out_channels} channels",
        f"{_square(block.kernel_size)} kernel",
        f"stride {block.stride}",
        f"{_square(block.input_size)} px in",
    ]
    return ", ".join(parts + [f"squeeze-and-excite of {block.se_channels}"] * bool(block.se_channels))


def _square(side: int) -> str:
    return f"{side}{_TIMES}{side}"


def _swatch(kernel_size: int, colour: str | None) -> str:
    root = ElementTree.Element(
        "svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 34 {_ROW}", "width": "34", "height": str(_ROW)}
    )
    thickness = _thickness(kernel_size)
    _rectangle(root, 1, (_ROW - thickness) / 2, 32, thickness, colour)
    return ElementTree.tostring(root, encoding="unicode")


def _rectangle(
    parent: ElementTree.Element, x: float, y: float, width: float, height: float, colour: str | None, opacity: float = 1
) -> None:
    """A bar; without a colour, the outline of what is not there."""
    attributes = {name: f"{value:g}" for name, value in (("x", x), ("y", y), ("width", width), ("height", height))}
    if colour is None:
        attributes |= {"fill": "none", "stroke": style.FAINT, "stroke-dasharray": "2 2", "stroke-width": "0.8"}
    else:
        attributes |= {"fill": colour, "rx": "1.5"}
        attributes |= {"fill-opacity": f"{opacity:g}"} if opacity < 1 else {}
    ElementTree.SubElement(parent, "rect", attributes)


def _text(
    parent: ElementTree.Element,
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    size: int = _FONT_SIZE,
    weight: str = "normal",
    colour: str = style.INK,
) -> None:
    attributes = {"x": f"{x:g}", "y": f"{y:g}"}
    # The rest is the drawing's own.
    for name, value, usual in (
        ("font-size", str(size), str(_FONT_SIZE)),
        ("font-weight", weight, "normal"),
        ("text-anchor", anchor, "start"),
        ("fill", colour, style.INK),
    ):
        if value != usual:
            attributes[name] = value
    ElementTree.SubElement(parent, "text", attributes).text = text
