"""The plots show what they were given, and labels stay readable."""

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from ofa_tf.report import TrainingCurve, accuracy_plot, latency_plot, style, training_plot
from ofa_tf.report.labels import place_labels
from ofa_tf.report.latency_errors import LatencyErrors
from tests.report.examples import HOSTILE, metrics, model, report

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def marks(svg, colour):
    return sum(
        f"fill: {colour}" in element.get("style", "")
        for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}use")
    )


def test_accuracy_plot_names_every_model_and_tells_measured_from_predicted():
    example = report()
    svg = accuracy_plot(example.models, example.random_points)
    shown = texts(svg)
    assert {"0.30 ms", "largest", "smallest", "searched", "for comparison", "latency budget"} <= set(shown)
    assert "random sub-network (predicted)" in shown
    assert "random sub-network" not in shown
    # One for each point and one in the legend.
    assert marks(svg, style.VERMILLION) == 1 + 1
    assert marks(svg, style.BLUE) == 2 + 1


def test_a_model_without_latency_or_accuracy_is_left_out_of_the_accuracy_plot():
    shown = texts(accuracy_plot([model("no time", predicted_ms=None, measured_ms=None), model("whole")]))
    assert "whole" in shown
    assert "no time" not in shown


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
    # Where nothing else was measured, the models check the predictions.
    assert "1 networks: MAPE 50.0 %" in texts(latency_plot([], [model(predicted_ms=1.0, measured_ms=2.0)]))


def test_training_plot_names_stages_and_sub_networks():
    lines = metrics()
    svg = training_plot(TrainingCurve.from_metrics([*lines, {**lines[-1], "subnet": "my own", "top1": 0.9}]))
    assert {"full", "kernel", "training images", "largest", "smallest", "my own", "epoch"} <= set(texts(svg))
    assert marks(svg, style.BLUE) == 2 + 1
    assert marks(svg, style.INK) == 1 + 1


def test_names_are_drawn_letter_by_letter():
    """Neither as markup nor as matplotlib's formulas."""
    lines = [{**line, "stage": HOSTILE, **({"subnet": HOSTILE} if "subnet" in line else {})} for line in metrics()]
    assert HOSTILE.strip() in texts(accuracy_plot([model(HOSTILE)]))
    assert texts(training_plot(TrainingCurve.from_metrics(lines))).count(HOSTILE.strip()) == 2


def test_training_plot_survives_a_run_that_diverged():
    lines = [{**line, "loss": float("nan")} if "loss" in line else line for line in metrics()]
    assert "training loss" in texts(training_plot(TrainingCurve.from_metrics(lines)))


@pytest.mark.parametrize("spread", [1.0, 0.05])
def test_labels_cover_neither_each_other_nor_leave_the_frame(spread):
    rng = np.random.default_rng(0)
    points = [tuple(point) for point in 0.5 + spread * (rng.random((8, 2)) - 0.5)]
    with style.drawing("labels"):
        figure, (axes,) = style.new_axes()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        place_labels(axes, [f"{place}.00 ms" for place in range(len(points))], points)
        FigureCanvasAgg(figure).draw()
        # Of the text alone: an annotation's own extent has its line in it.
        boxes = [Text.get_window_extent(label) for label in axes.texts]
        frame = axes.get_window_extent()
    for box in boxes:
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second)
