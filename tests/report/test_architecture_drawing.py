"""A drawing has one bar per block that runs, an outline per block that does not, and the blocks' own numbers."""

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.report import architecture_drawing
from ofa_tf.report.architecture_drawing import architecture_legend, drawing_pieces
from tests.report.examples import SPACE

SVG = "{http://www.w3.org/2000/svg}"
TIMES = "\N{MULTIPLICATION SIGN}"


def rows(svg):
    """For every place of the space: (bar, title, texts)."""
    found = []
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        (bar,) = group.iter(f"{SVG}rect")
        found.append((bar, group.find(f"{SVG}title").text, [text.text for text in group.iter(f"{SVG}text")]))
    return found


def skipped(bar):
    return bar.get("fill") == "none"


@settings(max_examples=25)
@given(
    st.sampled_from(["ofa_tiny", "ofa_cifar_m", "ofa_mbv3_d234_e346_k357_w1.0", "ofa_resnet50"]), st.integers(0, 10**6)
)
def test_the_drawing_is_the_list_of_blocks(name, seed):
    space = spaces.get(name)
    arch = space.sample(np.random.default_rng(seed))
    blocks = {block.name: block for block in space.blocks(arch)}
    drawn = rows(architecture_drawing(space, arch))
    assert len(drawn) == len(space.positions)
    thickness = {}
    lengths = []
    for position, (bar, title, texts) in zip(space.positions, drawn, strict=True):
        block = blocks.get(position.name)
        assert skipped(bar) == (block is None)
        assert title.startswith(f"{position.name}:")
        if block is None:
            assert not texts
            continue
        assert texts[0] == f"{block.kernel_size}{TIMES}{block.kernel_size}"
        assert ("SE" in texts) == (block.se_channels > 0)
        for gene in position.genes:
            if gene.field == "e":
                assert f"{TIMES}{arch.e[gene.index]:g}" in texts
        assert thickness.setdefault(block.kernel_size, bar.get("height")) == bar.get("height")
        lengths.append((block.mid_channels, float(bar.get("width"))))
    assert len(set(thickness.values())) == len(thickness)
    for (channels, length), (others, other) in zip(sorted(lengths), sorted(lengths)[1:], strict=False):
        assert channels <= others
        assert length <= other


def test_drawings_of_one_space_share_rows_and_scale():
    largest, smallest = (rows(architecture_drawing(SPACE, arch)) for arch in (SPACE.largest(), SPACE.smallest()))
    sizes = {
        ElementTree.fromstring(architecture_drawing(SPACE, arch)).get("viewBox")
        for arch in (SPACE.largest(), SPACE.smallest())
    }
    assert len(sizes) == 1
    assert not any(skipped(bar) for bar, _, _ in largest)
    for (bar, _, _), (other, _, _) in zip(largest, smallest, strict=True):
        if skipped(other):
            # An outline is as large as the block could be.
            assert other.get("width") == bar.get("width")


def test_the_image_is_drawn_at_its_resolution():
    def image(r):
        root = ElementTree.fromstring(architecture_drawing(SPACE, SPACE.arch(r=r)))
        side = next(rect for rect in root.findall(f"{SVG}rect") if rect.get("fill") != "none").get("width")
        return float(side), [text.text for text in root.findall(f"{SVG}text")]

    small, texts = image(24)
    large, _ = image(40)
    assert small / large == pytest.approx(24 / 40, rel=1e-3)
    assert f"24{TIMES}24 px" in texts


def test_the_legend_has_the_colours_of_the_bars():
    marks = dict((text, mark) for mark, text in architecture_legend(SPACE))
    for size in SPACE.choices("ks"):
        bar, _, _ = rows(architecture_drawing(SPACE, SPACE.arch(ks=size)))[2]
        assert f'fill="{bar.get("fill")}"' in marks[f"{size}{TIMES}{size} kernel"]
        assert f'height="{bar.get("height")}"' in marks[f"{size}{TIMES}{size} kernel"]


@pytest.mark.parametrize("name", ["ofa_mbv3_d234_e346_k357_w1.0", "ofa_proxyless_d234_e346_k357_w1.3", "ofa_resnet50"])
def test_no_line_is_longer_than_the_drawing_is_wide(name):
    space = spaces.get(name)
    root = ElementTree.fromstring(architecture_drawing(space, space.largest()))
    captions = [text.text for text in root.findall(f"{SVG}text") if text.get("x") == "0"]
    assert len(captions) > 5
    # Letters of 11 pixels are about half as wide, digits a little wider.
    assert max(map(len, captions)) <= 42


def test_what_differs_between_sub_networks_is_not_drawn_as_if_it_did_not():
    space = spaces.get("ofa_resnet50")
    fixed = next(mark for mark, text in architecture_legend(space) if text.startswith("the same"))
    bar, _, _ = rows(architecture_drawing(space, space.largest()))[3]
    assert f'fill="{bar.get("fill")}"' not in fixed


def test_an_architecture_of_another_space_is_refused():
    with pytest.raises(InputError, match="expects"):
        architecture_drawing(SPACE, spaces.get("ofa_cifar_m").largest())


def test_a_drawing_comes_back_from_its_pieces():
    """They are numbered over all drawings of a page, which have most of them in common."""
    known = {}
    numbers = [drawing_pieces(SPACE, arch, known) for arch in (SPACE.largest(), SPACE.smallest(), SPACE.largest())]
    assert numbers[0] == numbers[2] != numbers[1]
    texts = list(known)
    shell, *parts = (texts[number] for number in numbers[1])
    assert shell.endswith("></svg>")
    drawn = rows(shell.replace("></svg>", f">{''.join(parts)}</svg>"))
    assert len(drawn) == len(SPACE.positions)
    assert sum(skipped(bar) for bar, _, _ in drawn) == len(SPACE.positions) - len(SPACE.blocks(SPACE.smallest()))
