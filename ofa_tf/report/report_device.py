"""`ReportDevice`: what is known of one device, as points of accuracy against cost."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ofa_tf import spaces
from ofa_tf.common import InputError, config
from ofa_tf.report.cost_kinds import COST_KINDS
from ofa_tf.report.report_baseline import ReportBaseline
from ofa_tf.report.report_point import ReportPoint
from ofa_tf.spaces import Space


@dataclasses.dataclass(frozen=True)
class ReportDevice:
    """A device, or one precision of it, with the front of its space.

    Args:
        name: unique in the report; targets name it. For example "this machine, int8".
        description: machine, threads and runtime, in words, where latencies come from.
        split: the images that accuracies were measured on, or what they were predicted for, in words.
        space: the space of all its architectures.
        searched: the front that the search found.
        random: random sub-networks.
        baselines: networks of others; see `PUBLISHED_BASELINES`.
        latency_pairs: (predicted, measured) latency in milliseconds of whole networks that the latency table was not
            built from.
        kind: the cost of the front's horizontal axis, "latency_ms" or another kind of limit.

    Raises:
        InputError: the kind is unknown, or an architecture does not fit the space.

    Example:
        ReportDevice("this machine, int8", "Intel ..., 1 thread", "1,000 held-out images", space, searched=front)
    """

    name: str
    description: str
    split: str
    space: Space
    searched: Sequence[ReportPoint] = ()
    random: Sequence[ReportPoint] = ()
    baselines: Sequence[ReportBaseline] = ()
    latency_pairs: Sequence[tuple[float, float]] = ()
    kind: str = "latency_ms"

    def __post_init__(self):
        if self.kind not in COST_KINDS:
            raise InputError(
                f"report: device {self.name!r}: the kind of cost is {self.kind!r}, "
                f"expected one of {', '.join(COST_KINDS)}"
            )
        for point in (*self.searched, *self.random):
            self.space.canonical(point.arch)

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        points = {
            name: [{**dataclasses.asdict(point), "arch": point.arch.to_dict()} for point in fields[name]]
            for name in ("searched", "random")
        }
        return {
            **fields,
            "space": self.space.to_config(),
            **points,
            "baselines": [dataclasses.asdict(baseline) for baseline in self.baselines],
            "latency_pairs": [list(pair) for pair in self.latency_pairs],
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> "ReportDevice":
        """Reads what `to_dict` wrote.

        Raises:
            InputError: a field is missing or unknown, or of a wrong form.
        """
        what = "report: device"
        fields = dict(fields)
        for name in ("searched", "random"):
            fields[name] = [
                config.from_config(ReportPoint, {**point, "arch": spaces.Arch.from_json(point.get("arch"))}, what)
                for point in fields.get(name, ())
            ]
        fields["baselines"] = [
            config.from_config(ReportBaseline, baseline, what) for baseline in fields.get("baselines", ())
        ]
        fields["latency_pairs"] = [tuple(pair) for pair in fields.get("latency_pairs", ())]
        fields["space"] = spaces.from_config(fields.get("space"))
        return config.from_config(ReportDevice, fields, what)
