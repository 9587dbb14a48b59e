"""Tables and lines say what was given: with units, aligned, a dash for what is missing, a star for a broken limit."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_tf.report import format_table
from ofa_tf.report.text import COLUMNS, COST_KINDS, MISSING, amount, architecture_facts, duration, figures, table_cells
from ofa_tf.search import Candidate
from ofa_tf.search.constraint import KINDS
from tests.report.examples import SPACE, failed, result

MAYBE_COST = st.none() | st.floats(1e-3, 1e4)
MAYBE_SHARE = st.none() | st.floats(0, 1)
RESULTS = st.builds(
    lambda name, limit, predicted, measured, size, *top1: result(
        name,
        "exported",
        target={"limits": {"latency_ms": limit, "model_bytes": 1e5}},
        predicted={"latency_ms": predicted},
        measured={"latency_ms": measured, "model_bytes": size},
        **dict(zip(("predicted_top1", "keras_top1", "tflite_top1"), top1, strict=True)),
    ),
    st.text("abc.0", min_size=1, max_size=12).map("a{}".format),
    st.floats(1e-3, 1e4),
    MAYBE_COST,
    MAYBE_COST,
    st.none() | st.integers(1, 10**9),
    MAYBE_SHARE,
    MAYBE_SHARE,
    MAYBE_SHARE,
)


def number(cell):
    return None if cell == MISSING else float(cell.rstrip("*").replace(",", "").split(" ")[0])


def test_the_kinds_of_cost_are_those_of_the_search():
    assert set(COST_KINDS) == set(KINDS)


def test_a_row_in_words():
    arch = SPACE.arch(ks=5, e=3, d=2, r=32)
    header, rule, row = format_table([result()]).split("\n")
    assert re.split(r"  +", header.strip()) == ["target", *(name.replace("\u2011", "-") for name, _ in COLUMNS)]
    assert set(rule) == {"-", " "}
    assert re.split(r"  +", row) == [
        "host, 0.3 ms", "verified", "0.3 ms", "0.2910 ms", "0.2950 ms", "98.1", "97.8", "97.5",
        f"{SPACE.count_macs(arch) / 1e6:.2f}", "118,250",
    ]  # fmt: skip


@given(st.lists(RESULTS, min_size=1, max_size=4))
def test_every_line_has_the_columns_at_the_same_places(results):
    _, rule, *rows = format_table(results).split("\n")
    spans = [match.span() for match in re.finditer("-+", rule)]
    lines = [[row[start:end].strip() for start, end in spans] for row in rows]
    broken = any("*" in cell for line in lines for cell in line)
    # Two kinds of limits are two lines each.
    assert len(rows) == 2 * len(results) + broken
    for index, found in enumerate(results):
        first, second = lines[2 * index : 2 * index + 2]
        cells = table_cells(found)
        assert first == [found.target.name, *(cell[0] for cell in cells)]
        assert [text for text in second if text] == [cell[1] for cell in cells if len(cell) > 1]


@given(RESULTS)
def test_numbers_read_back_as_they_were_given(found):
    cells = dict(zip((name for name, _ in COLUMNS), table_cells(found), strict=True))
    limit = found.target.limits["latency_ms"]
    assert number(cells["budget"][0]) == pytest.approx(limit, abs=1e-6)
    for name, costs in (("predicted", found.predicted), ("measured", found.measured)):
        value = costs.get("latency_ms")
        assert number(cells[name][0]) == (None if value is None else pytest.approx(value, rel=1e-3, abs=1e-5))
    assert cells["measured"][0].endswith("*") == (found.measured.get("latency_ms", 0) > limit)
    top1 = found.tflite_top1
    assert number(cells["top\u20111 file"][0]) == (None if top1 is None else pytest.approx(100 * top1, abs=0.051))
    assert number(cells["file bytes"][0]) == found.measured.get("model_bytes")


def test_a_target_that_failed_has_dashes():
    status, budget, *rest = table_cells(failed())
    assert (status, budget) == (("failed",), ("0.3 ms",))
    assert set(rest) == {(MISSING,)}


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


def test_amounts_and_durations_are_written_as_people_read_them():
    assert " ".join(map(amount, (0, 0.00001234, 0.01234, 12.34, 1234.5))) == "0 1e-05 0.0123 12.3 1,234"
    assert ", ".join(map(duration, (0.01, 0.1, 1.2, 1200))) == "36 seconds, 6.0 minutes, 1.2 hours, 1,200 hours"


def test_an_architecture_in_words_has_what_runs():
    arch = SPACE.smallest()
    facts = dict(architecture_facts(SPACE, arch))
    assert facts["image"].startswith(f"{arch.r} ")
    assert facts["depths"] == " ".join(map(str, arch.d))
    running = [int(text) for text in re.findall(r"\d+", facts["kernel sizes"])]
    assert running == [size for size in arch.ks if size]
    assert facts["kernel sizes"].count("|") == len(arch.d) - 1
    assert math.prod(running) > 0


def test_what_can_be_counted_is_said_of_any_network():
    found = dict(figures(SPACE, Candidate(SPACE.largest(), None, {"latency_ms": float("nan")})))
    assert list(found) == ["multiply-accumulates", "parameters"]
    found = dict(figures(SPACE, result()))
    assert (found["top-1, file"], found["latency, measured"]) == ("97.5 %", "0.2950 ms")
