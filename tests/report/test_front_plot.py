"""Every network that was given stands in the front, where its numbers put it, and can be told from the others."""

import itertools
import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_tf.report.cost_kinds import COST_KINDS
from ofa_tf.report.drawing_shelf import DrawingShelf
from ofa_tf.report.front_plot import HEIGHT, WIDTH, FrontMark, _Axis, front_plot
from ofa_tf.report.network_facts import architecture_facts
from ofa_tf.search.constraint import KINDS
from tests.report.examples import SPACE

VALUES = st.lists(st.floats(1e-4, 1e9), min_size=1, max_size=20)


def marks(svg):
    """(number, x, y, classes) of every mark."""
    found = []
    for group in ElementTree.fromstring(svg).iter("g"):
        if group.get("data-number"):
            x, y = map(float, re.fullmatch(r"translate\((\S+) (\S+)\)", group.get("transform")).groups())
            found.append((int(group.get("data-number")), x, y, group.get("class").split()))
    return found


def test_the_kinds_of_cost_are_those_of_the_search():
    assert set(COST_KINDS) == set(KINDS)


@given(st.lists(st.tuples(st.floats(1e-3, 1e4), st.floats(0, 100), st.booleans()), min_size=1, max_size=30))
def test_marks_keep_the_order_of_their_numbers(points):
    given_marks = [
        FrontMark("random", cost, percent, measured, f"mark {number}", number=number)
        for number, (cost, percent, measured) in enumerate(points)
    ]
    drawn = marks(front_plot(given_marks, [points[0][0]], kind="latency_ms", name="a front"))
    assert [number for number, *_ in drawn] == list(range(len(points)))
    for (number, x, y, classes), (cost, percent, measured) in zip(drawn, points, strict=True):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
        assert ("predicted" in classes) != measured
        for other, (other_cost, other_percent, _) in zip(drawn[:number], points[:number], strict=True):
            assert (x - other[1]) * (cost - other_cost) >= 0
            assert (y - other[2]) * (percent - other_percent) <= 0


@given(VALUES, st.booleans())
def test_ticks_are_round_and_inside(values, logarithmic):
    axis = _Axis.over(values, logarithmic=logarithmic)
    assert all(0 <= axis.share(value) <= 1 for value in values)
    ticks = axis.ticks(8)
    assert len(ticks) <= 8
    assert ticks == sorted(set(ticks))
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    # Each is round by itself, or their distances are.
    distances = [second - first for first, second in itertools.pairwise(ticks)]
    assert all(
        f"{value:.3e}"[:5] in ("1.000", "2.000", "3.000", "5.000")
        for value in (ticks if axis.logarithmic else distances)
    )


def test_what_has_no_accuracy_stands_on_the_axis():
    timed = FrontMark("timed", 2.0, 0.0, True, "timed", "A", 0)
    measured = FrontMark("baseline", 3.0, 70.0, True, "measured", "B", 1)
    (_, _, low, _), (_, _, high, _) = marks(front_plot([timed, measured], [], kind="latency_ms", name="a front"))
    assert low > high
    # And does not stretch the other axis down to 0.
    assert "<text" in front_plot([timed, measured], [], kind="latency_ms", name="a front")
    assert not re.search(r">\s*0\s*<", front_plot([timed, measured], [], kind="latency_ms", name="a front"))


@pytest.mark.parametrize(
    ("kind", "value", "text", "exact"),
    [
        ("latency_ms", 24.7302, "24.73 ms", "24.7302 ms"),
        ("latency_ms", 25, "25.00 ms", "25 ms"),
        ("latency_ms", 0.0123456, "0.01235 ms", "0.012346 ms"),
        ("macs", 599.1e6, "599.1 M MACs", "599.1 M MACs"),
        ("model_bytes", 4_000_000, "4,000 KB", "4,000 KB"),
        ("peak_memory_bytes", 100_000, "100.0 KB", "100 KB"),
    ],
)
def test_costs_are_written_with_their_units(kind, value, text, exact):
    assert COST_KINDS[kind].format(value) == text
    assert COST_KINDS[kind].format(value, exact=True) == exact


def test_a_drawing_comes_back_from_the_shelf():
    shelf = DrawingShelf()
    numbers = [shelf.add(SPACE, arch) for arch in (SPACE.largest(), SPACE.smallest(), SPACE.largest())]
    assert numbers[0] == numbers[2]
    assert numbers[0] != numbers[1]
    shell, *parts = (shelf.pieces[number] for number in numbers[1])
    assert shell.endswith("></svg>")
    drawing = ElementTree.fromstring(shell.replace("></svg>", f">{''.join(parts)}</svg>"))
    titles = [it.text for it in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == len(SPACE.positions)
    skipped = len(SPACE.positions) - len(SPACE.blocks(SPACE.smallest()))
    assert sum(title.endswith("skipped") for title in titles) == skipped


def test_an_architecture_in_words_has_what_runs():
    arch = SPACE.smallest()
    facts = dict(architecture_facts(SPACE, arch))
    assert facts["image"].startswith(f"{arch.r} ")
    assert facts["depths"] == " ".join(map(str, arch.d))
    running = [int(text) for text in re.findall(r"\d+", facts["kernel sizes"])]
    assert running == [size for size in arch.ks if size]
    assert facts["kernel sizes"].count("|") == len(arch.d) - 1
    assert math.prod(running) > 0
