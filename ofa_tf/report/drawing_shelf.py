"""`DrawingShelf`: many drawings in little room."""

from xml.etree import ElementTree

from ofa_tf.report import style
from ofa_tf.report.architecture_drawing import drawing_element
from ofa_tf.spaces import Arch, Space


class DrawingShelf:
    """Keeps each part of its drawings once: those of a space differ in few parts, and a page holds a thousand.

    Example:
        shelf = DrawingShelf()
        shell, *parts = shelf.add(space, arch)
        svg = shelf.pieces[shell].replace("><", ">" + "".join(shelf.pieces[part] for part in parts) + "<")
    """

    def __init__(self):
        self._numbers: dict[str, int] = {}
        self._known: dict[tuple[Space, Arch], list[int]] = {}

    @property
    def pieces(self) -> list[str]:
        """SVG text of all pieces, by number."""
        return list(self._numbers)

    def add(self, space: Space, arch: Arch) -> list[int]:
        """The numbers of a drawing's pieces: the empty `<svg></svg>` first, then what belongs inside."""
        if (space, arch) not in self._known:
            drawing = drawing_element(space, arch)
            shell = ElementTree.Element("svg", drawing.attrib)
            self._known[space, arch] = [self._number(element) for element in (shell, *drawing)]
        return self._known[space, arch]

    def _number(self, element: ElementTree.Element) -> int:
        text = style.themed(ElementTree.tostring(element, encoding="unicode", short_empty_elements=False))
        return self._numbers.setdefault(text, len(self._numbers))
