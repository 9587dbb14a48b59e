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
        self.pieces: list[str] = []
        self._numbers: dict[str, int] = {}
        self._known: dict[tuple[str, Arch], list[int]] = {}

    def add(self, space: Space, arch: Arch) -> list[int]:
        """The numbers of a drawing's pieces: the empty `<svg></svg>` first, then what belongs inside."""
        key = (space.name, arch)
        if key not in self._known:
            drawing = drawing_element(space, arch)
            shell = ElementTree.Element("svg", drawing.attrib)
            self._known[key] = [self._number(element) for element in (shell, *drawing)]
        return self._known[key]

    def _number(self, element: ElementTree.Element) -> int:
        text = style.themed(ElementTree.tostring(element, encoding="unicode", short_empty_elements=False))
        return self._numbers.setdefault(text, self._keep(text))

    def _keep(self, text: str) -> int:
        if text not in self._numbers:
            self.pieces.append(text)
        return self._numbers.get(text, len(self.pieces) - 1)
