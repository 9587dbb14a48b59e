"""Outputs of benchmark tools, old and new: read as they are meant, or refused; never half of one as a whole one."""

import dataclasses
import json
import pathlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_tf.devices.benchmark_output import BenchmarkOutput, OutputError, read_operations, read_output

# Written by hand, in the forms that the tools' sources give them.
OUTPUTS = json.loads((pathlib.Path(__file__).parent / "benchmark_outputs.json").read_text(encoding="utf-8"))
EXPECTED = {name: output["expected"] for name, output in OUTPUTS.items()}
TEXTS = {name: "\n".join(output["lines"]) for name, output in OUTPUTS.items()}
PROFILES = [name for name in EXPECTED if "operations" in EXPECTED[name]]
MUTATIONS = 300


def figures(output: BenchmarkOutput):
    return {name: value for name, value in dataclasses.asdict(output).items() if name != "delegated"}


def attempt(read, text):
    """What is read, or None where that is refused, in one line and with the text."""
    try:
        return read(text)
    except OutputError as error:
        refusal = error
    assert "\n" not in str(refusal)
    assert refusal.text.replace("\r\n", "\n") == text.replace("\r\n", "\n")
    return None


def test_there_are_enough():
    assert len(EXPECTED) >= 30


@pytest.mark.parametrize("name", EXPECTED)
def test_outputs_are_read(name):
    expected = {key: value for key, value in EXPECTED[name].items() if key not in ("operations", "delegated")}
    output = read_output(TEXTS[name])
    assert {key: getattr(output, key) for key in expected} == pytest.approx(expected)
    assert output.init_ms > 0
    assert output.delegated == EXPECTED[name].get("delegated", True)


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_are_read(name):
    assert [dataclasses.asdict(row) for row in read_operations(TEXTS[name])] == EXPECTED[name]["operations"]


def _cut(text, rng):
    return text[: rng.randrange(len(text))]


def _without_a_line(text, rng):
    lines = text.split("\n")
    del lines[rng.randrange(len(lines))]
    return "\n".join(lines)


def _a_line_twice(text, rng):
    lines = text.split("\n")
    place = rng.randrange(len(lines))
    return "\n".join(lines[: place + 1] + lines[place:])


def _lines_swapped(text, rng):
    lines = text.split("\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return "\n".join(lines)


def _a_piece_lost(text, rng):
    start = rng.randrange(len(text))
    return text[:start] + text[start + rng.randrange(1, 400) :]


def _characters_lost(text, rng):
    place = rng.randrange(len(text))
    return text[:place] + text[place + 1 :]


def _characters_changed(text, rng):
    characters = list(text)
    for _ in range(rng.randrange(1, 30)):
        characters[rng.randrange(len(characters))] = rng.choice("0123456789.=e-, \n\x00\ufffdINF")
    return "".join(characters)


# The first ones leave every number that they leave as it was.
WHOLE_LINES = (_cut, _without_a_line, _a_line_twice, _lines_swapped)
INSIDE_LINES = (_a_piece_lost, _characters_lost, _characters_changed)


@pytest.mark.parametrize("seed", range(MUTATIONS))
def test_mutated_outputs_are_refused_or_still_right(seed):
    """No other error than OutputError; a lost line or end never changes a figure; no figure that is not in the text."""
    rng = random.Random(seed)
    name = rng.choice(list(EXPECTED))
    mutation = rng.choice((*WHOLE_LINES, *INSIDE_LINES))
    text = mutation(TEXTS[name], rng)
    output, operations = attempt(read_output, text), attempt(read_operations, text)
    if output is None:
        return
    if mutation in WHOLE_LINES:
        assert figures(output) == figures(read_output(TEXTS[name]))
        if operations is not None and mutation is not _lines_swapped:
            assert operations == read_operations(TEXTS[name])
    else:
        assert output.latency.median_ms > 0
        assert min(output.count, output.mean_ms, output.max_ms) > 0
        digits = "".join(character for character in text if character.isdigit())
        assert str(output.count) in digits


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.endswith(".txt")])
def test_no_cut_gives_another_figure(name):
    """A tool that was killed at any point: an error, or, once all is said, the same."""
    whole = figures(read_output(TEXTS[name]))
    ends = [place for place, character in enumerate(TEXTS[name]) if character in "\n="]
    read = 0
    for end in ends:
        try:
            assert figures(read_output(TEXTS[name][:end])) == whole, TEXTS[name][:end][-80:]
            read += 1
        except OutputError:
            assert read == 0, "once it is whole it stays whole"


@pytest.mark.parametrize("field", ["count", "first", "curr", "min", "max", "avg", "std", "median", "p95", "p5"])
def test_a_missing_number_is_an_error(field):
    text = TEXTS["tflite_new_cpu.txt"]
    head, _, line = text.rpartition("count=")
    damaged = head + "".join(f"count={line}".partition(f"{field}=")[::2])
    with pytest.raises(OutputError):
        read_output(damaged)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 lines 'count=...'"),
        ("Segmentation fault\n", "0 lines 'count=...'"),
        ("WARN: Unconsumed cmdline flags: --use_npu=true\nINFO: count=1", "the tool does not know --use_npu=true"),
        (TEXTS["tflite_new_cpu.txt"].replace("min=20437", "min=0"), "no clock is so coarse"),
        (
            TEXTS["tflite_new_one_microsecond.txt"].replace("curr=1(", "curr=0("),
            "too fast for the tool",
        ),
        (TEXTS["tflite_new_cpu.txt"].replace("Inference (avg): 2", "Inference (avg): 3"), "in one place and"),
        (TEXTS["tflite_new_cpu.txt"] * 2, "4 lines"),
    ],
)
def test_what_is_wrong_is_said(text, said):
    with pytest.raises(OutputError, match=said):
        read_output(text)


def test_where_the_median_is_zero_the_mean_counts():
    """And a tool that tells no median gives its mean, as always; both are told apart."""
    below, old = read_output(TEXTS["tflite_new_below_clock.txt"]), read_output(TEXTS["tflite_2020_fast.txt"])
    assert (below.below_clock, below.latency.median_ms, below.latency.p95_ms) == (True, below.mean_ms, 0.001)
    assert (old.below_clock, old.latency.median_ms) == (False, old.mean_ms)


def test_profiles_that_cannot_be_read():
    with pytest.raises(OutputError, match="was --enable_op_profiling=true given"):
        read_operations(TEXTS["tflite_new_cpu.txt"])
    text = TEXTS["tflite_new_profile.txt"]
    with pytest.raises(OutputError, match="its columns are"):
        read_operations(text.replace("[avg ms]", "[mean ms]"))
    with pytest.raises(OutputError, match="4 operations, and 5 behind"):
        read_operations("".join(line for line in text.splitlines(True) if "IGEMM:0" not in line))


@given(st.text(alphabet="count=1 avgminxfrsd.:\nINFO", max_size=200))
def test_any_text(text):
    """Whatever a device writes, there is a figure or an OutputError."""
    output = attempt(read_output, text)
    assert output is None or output.count > 0
