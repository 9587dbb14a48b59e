"""`Report`: everything that the page shows, as plain data."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ofa_tf.common import InputError
from ofa_tf.report.report_model import ReportModel
from ofa_tf.report.report_point import ReportPoint
from ofa_tf.spaces import Space


@dataclasses.dataclass(frozen=True)
class Report:
    """The input of `write_report`; nothing in it knows how it will be drawn.

    Args:
        title: the page's heading.
        device: what latencies were measured on, in words: machine, threads, runtime.
        split: the images that every accuracy of a model was measured on, in words, for example "400 training images
            held out from training".
        space: the space of all architectures.
        models: the searched networks and those they are compared with, in the order of the table.
        random_points: random sub-networks.
        latency_pairs: (predicted, measured) latency in milliseconds of whole networks that the latency table was not
            built from.
        metrics: the lines of a run's `metrics.jsonl`.
        notes: where everything comes from, name by name: versions, commands, seeds, date, splits.

    Raises:
        InputError: there is no model, or an architecture does not fit the space.

    Example:
        report = Report("Digits", "this laptop, 1 thread", "400 held-out images", space, models)
        write_report("report.html", report)
    """

    title: str
    device: str
    split: str
    space: Space
    models: Sequence[ReportModel]
    random_points: Sequence[ReportPoint] = ()
    latency_pairs: Sequence[tuple[float, float]] = ()
    metrics: Sequence[Mapping[str, Any]] = ()
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.models:
            raise InputError("report: it has no model, expected at least one; search or measure one first")
        for item in (*self.models, *self.random_points):
            self.space.canonical(item.arch)
