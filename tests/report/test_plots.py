"""The plots show what they were given, labels stay readable, and a run's log becomes one axis of epochs."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_tf.common import InputError
from ofa_tf.report import TradeoffSeries, TrainingCurve, latency_plot, style, tradeoff_plot, training_plot
from ofa_tf.report.front_plot import HEIGHT, WIDTH, FrontMark, front_plot
from ofa_tf.report.latency_plot import LatencyErrors
from tests.report.examples import HOSTILE, metrics

SVG = "{http://www.w3.org/2000/svg}"
# The size of a letter of a front's label in the plot's own unit: 11 pixels high, digits 7 wide.
LETTER, HIGH = 6.6, 9
POINTS = st.lists(st.tuples(st.floats(1e-3, 1e4), st.floats(0, 100), st.booleans()), min_size=1, max_size=30)


def texts(svg):
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def marks(svg, colour):
    uses = ElementTree.fromstring(svg).iter(f"{SVG}use")
    return sum(f"fill: {colour}" in element.get("style", "") for element in uses)


def front(given_marks, limits=()):
    return ElementTree.fromstring(front_plot(given_marks, limits, kind="latency_ms", name="a front"))


def front_marks(root):
    """(number, x, y, element) of every mark."""
    found = []
    for group in root.iter("g"):
        if group.get("data-number"):
            x, y = map(float, re.fullmatch(r"translate\((\S+) (\S+)\)", group.get("transform")).groups())
            found.append((int(group.get("data-number")), x, y, group))
    return found


@given(POINTS)
def test_marks_of_a_front_keep_the_order_of_their_numbers(points):
    given_marks = [
        FrontMark("random", cost, percent, measured, f"mark {number}", number=number)
        for number, (cost, percent, measured) in enumerate(points)
    ]
    drawn = front_marks(front(given_marks, [points[0][0]]))
    assert [number for number, *_ in drawn] == list(range(len(points)))
    for (number, x, y, group), (cost, percent, measured) in zip(drawn, points, strict=True):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
        assert ("predicted" in group.get("class").split()) != measured
        for other, (other_cost, other_percent, _) in zip(drawn[:number], points[:number], strict=True):
            assert (x - other[1]) * (cost - other_cost) >= 0
            assert (y - other[2]) * (percent - other_percent) <= 0


@given(POINTS)
def test_ticks_of_a_front_are_few_round_and_inside(points):
    root = front([FrontMark("random", cost, percent, True, "") for cost, percent, _ in points])
    for axis in ("x", "y"):
        ticks = [text for text in root.iter("text") if text.get("class") == "tick"]
        ticks = [text for text in ticks if (text.get("text-anchor") == "middle") == (axis == "x")]
        values = [float(text.text.replace(",", "")) for text in ticks]
        places = [float(text.get(axis)) for text in ticks]
        assert len(values) <= 8
        assert values == sorted(set(values))
        assert (places == sorted(places)) == (axis == "x" or len(places) < 2)
        assert all(0 <= place <= (WIDTH if axis == "x" else HEIGHT) for place in places)


def test_what_has_no_accuracy_stands_on_the_axis():
    timed = FrontMark("timed", 2.0, 0.0, True, "timed", "A", 0)
    measured = FrontMark("baseline", 3.0, 70.0, True, "measured", "B", 1)
    root = front([timed, measured])
    (_, _, low, _), (_, _, high, _) = front_marks(root)
    assert low > high
    # And does not stretch the other axis down to 0.
    assert "0" not in [text.text for text in root.iter("text")]


@pytest.mark.parametrize("spread", [1.0, 0.1])
def test_labels_of_a_front_cover_neither_each_other_nor_leave_the_plot(spread):
    rng = np.random.default_rng(0)
    costs, percents = 10 + spread * rng.random(8), 70 + 10 * spread * rng.random(8)
    # What else is there sets the scale.
    given_marks = [FrontMark("random", cost, percent, False, "") for cost, percent in ((10, 70), (11, 80))]
    given_marks += [
        FrontMark("target", cost, percent, True, "", str(number), number)
        for number, (cost, percent) in enumerate(zip(costs, percents, strict=True), start=30)
    ]
    boxes = []
    for _, x, y, group in front_marks(front(given_marks)):
        for text in group.findall("text"):
            across, down, half = x + float(text.get("x")), y + float(text.get("y")), LETTER * len(text.text) / 2
            boxes.append((across - half, across + half, down - HIGH, down))
    assert len(boxes) == 8
    for left, right, top, bottom in boxes:
        assert 0 <= left < right <= WIDTH
        assert 0 <= top < bottom <= HEIGHT
    for first, second in itertools.combinations(boxes, 2):
        assert first[1] <= second[0] or second[1] <= first[0] or first[3] <= second[2] or second[3] <= first[2]


def test_a_tradeoff_has_its_lines_and_not_more_than_can_be_told_apart():
    series = [TradeoffSeries("ours", ((1, 70), (2, 75))), TradeoffSeries(HOSTILE, ((1, 60),))]
    svg = tradeoff_plot(series, name="front", cost_label="latency in ms")
    assert {"ours", HOSTILE.strip(), "latency in ms"} <= set(texts(svg))
    assert marks(svg, style.VERMILLION) == 2 + 1
    with pytest.raises(ValueError, match="7 series"):
        tradeoff_plot(series * 3 + series[:1], name="front", cost_label="")


def test_a_legend_stays_in_the_plot():
    """Long names get fewer columns, instead of standing over the edge on both sides."""
    labels = [f"{letter} searched network, predicted (validation)" for letter in "ABCD"]
    svg = tradeoff_plot([TradeoffSeries(it, ((1, 70), (2, 75))) for it in labels], name="front", cost_label="ms")
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
    for label in labels:
        left = float(re.search(rf' x="(-?[\d.]+)"[^>]*>{re.escape(label)}<', svg)[1])
        # A mark stands before each; a letter is at least 4 points wide.
        assert 20 <= left <= width - 4 * len(label)


def test_latency_plot_draws_every_pair_and_states_the_errors():
    pairs = [(1.0, 1.1), (2.0, 2.0), (3.0, 2.5)]
    svg = latency_plot(pairs)
    expected = np.mean([0.1 / 1.1, 0.0, 0.5 / 2.5]) * 100
    assert f"3 networks: MAPE {expected:.1f} %, Spearman 1.000" in texts(svg)
    assert marks(svg, style.BLUE) == 3 + 1


def test_too_few_pairs_are_not_ranked():
    assert LatencyErrors.of([]) == LatencyErrors(0, None, None)
    assert LatencyErrors.of([(1.0, 2.0), (2.0, 3.0)]).spearman is None
    assert "1 networks: MAPE 50.0 %" in texts(latency_plot([(1.0, 2.0)]))
    # Where nothing else was measured, the targets check the predictions.
    assert "1 networks: MAPE 50.0 %" in texts(latency_plot([], [(1.0, 2.0)]))


def test_training_plot_names_stages_and_sub_networks():
    lines = metrics()
    svg = training_plot(TrainingCurve.from_metrics([*lines, {**lines[-1], "subnet": "my own", "top1": 0.9}]))
    assert {"full", "kernel", "training images", "largest", "smallest", "my own", "epoch"} <= set(texts(svg))
    assert marks(svg, style.BLUE) == 2 + 1
    assert marks(svg, style.INK) == 1 + 1


def test_names_are_drawn_letter_by_letter():
    """Neither as markup nor as matplotlib's formulas."""
    lines = [{**line, "stage": HOSTILE, **({"subnet": HOSTILE} if "subnet" in line else {})} for line in metrics()]
    assert texts(training_plot(TrainingCurve.from_metrics(lines))).count(HOSTILE.strip()) == 2


def test_training_plot_survives_a_run_that_diverged():
    lines = [{**line, "loss": float("nan")} if "loss" in line else line for line in metrics()]
    assert "training loss" in texts(training_plot(TrainingCurve.from_metrics(lines)))


def test_stages_follow_each_other():
    curve = TrainingCurve.from_metrics(metrics())
    assert curve.stages == (("full", 0, 3), ("kernel", 3, 5))
    assert [[epoch for epoch, _ in series] for series in curve.loss] == [[1, 2, 3], [4, 5]]
    assert curve.top1[0] == ((1, 0.5), (2, 0.75), (3, 1 - 0.5 / 3))
    assert curve.evaluations == {"largest": ((3, 0.99), (5, 0.98)), "smallest": ((5, 0.94),)}
    assert curve.images == "400 images of the split “holdout”"
    # One that was run alone begins at zero, and evaluations alone keep the order of training.
    alone = TrainingCurve.from_metrics([line for line in metrics() if line["stage"] == "kernel"])
    assert alone.stages == (("kernel", 0, 2),)
    evaluated = TrainingCurve.from_metrics([line for line in metrics() if "subnet" in line])
    assert (evaluated.stages, evaluated.loss) == ((("full", 0, 3), ("kernel", 3, 5)), ((), ()))


def test_after_a_restart_the_last_line_of_an_epoch_counts():
    lines = metrics()
    again = TrainingCurve.from_metrics([*lines, {**lines[1], "loss": 0.25}, {**lines[-1], "top1": 0.5}])
    assert again.loss[0][1] == (2, 0.25)
    assert again.evaluations["smallest"] == ((5, 0.5),)
    assert again.stages == TrainingCurve.from_metrics(lines).stages


@pytest.mark.parametrize(
    "change",
    [{"stage": None}, {"epoch": None}, {"epoch": "three"}, {"top1": None}, {"loss": None}, {"split": "holdout"}],
    ids=str,
)
def test_a_damaged_line_is_named(change):
    line = {key: value for key, value in {**metrics()[0], **change}.items() if value is not None}
    with pytest.raises(InputError, match="entry 2") as error:
        TrainingCurve.from_metrics([metrics()[1], line])
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="entry 1"):
        TrainingCurve.from_metrics([["full", 1]])
