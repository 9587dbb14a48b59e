"""The table says what was given, in aligned columns."""

import re

from hypothesis import given
from hypothesis import strategies as st

from ofa_tf.report import comparison_table, format_table
from tests.report.examples import SPACE, model

MAYBE_MS = st.none() | st.floats(1e-3, 1e4)
MAYBE_SHARE = st.none() | st.floats(0, 1)
MODELS = st.lists(
    st.builds(
        model,
        st.text("abc .0", min_size=1, max_size=12),
        budget_ms=MAYBE_MS,
        predicted_ms=MAYBE_MS,
        measured_ms=MAYBE_MS,
        predicted_top1=MAYBE_SHARE,
        keras_top1=MAYBE_SHARE,
        tflite_top1=MAYBE_SHARE,
        model_bytes=st.none() | st.integers(1, 10**9),
    ),
    min_size=1,
    max_size=5,
)


def test_a_row_in_words():
    arch = SPACE.arch(ks=5, e=3, d=2, r=32)
    header, rule, row = format_table([model()]).split("\n")
    assert re.split(r"  +", header.strip())[:4] == ["model", "budget ms", "predicted ms", "measured ms"]
    assert set(rule) == {"-", " "}
    assert re.split(r"  +", row) == [
        "0.30 ms", "0.300", "0.291", "0.295", "98.1", "97.8", "97.5", f"{SPACE.count_macs(arch) / 1e6:.2f}", "118.2"
    ]  # fmt: skip


@given(MODELS)
def test_every_line_has_the_columns_at_the_same_places(models):
    header, rule, *rows = format_table(models).split("\n")
    ends = [match.end() for match in re.finditer("-+", rule)]
    starts = [match.start() for match in re.finditer("-+", rule)]
    note = any(found.over_budget for found in models)
    assert len(rows) == len(models) + note
    columns = comparison_table(models)
    for row, place in zip(rows[: len(models)], range(len(models)), strict=True):
        cells = [row[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        assert cells == [column.cells[place].strip() for column in columns]
    assert [header[s:e].strip() for s, e in zip(starts, ends, strict=True)] == [column.heading for column in columns]


@given(MODELS)
def test_numbers_read_back_as_they_were_given(models):
    columns = {column.heading: column.cells for column in comparison_table(models)}
    for place, found in enumerate(models):
        for heading, value, scale, error in (
            ("budget ms", found.budget_ms, 1, 0.05),
            ("measured ms", found.measured_ms, 1, 0.05),
            ("int8 top-1 %", found.tflite_top1, 100, 0.051),
            ("int8 KB", found.model_bytes, 1e-3, 0.051),
        ):
            cell = columns[heading][place]
            if value is None:
                assert cell == "-"
            else:
                assert abs(float(cell.rstrip("*").replace(",", "")) - value * scale) <= error


def test_small_latencies_keep_three_digits_and_missing_ones_are_dashes():
    column = comparison_table([model(budget_ms=None, predicted_ms=0.0123, measured_ms=2.5)])
    assert [cells.cells[0] for cells in column[1:4]] == ["-", "0.0123", "2.5000"]


def test_only_a_measured_breach_of_the_budget_is_starred():
    assert not model(measured_ms=0.3).over_budget
    assert not model(measured_ms=None).over_budget
    assert not model(budget_ms=None, measured_ms=9.0).over_budget
    assert format_table([model(measured_ms=0.301), model()]).endswith("* measured slower than its budget")
