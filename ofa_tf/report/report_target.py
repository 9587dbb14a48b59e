"""`ReportTarget`: one device and budget that a network was wanted for, and what came of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ofa_tf.common import InputError
from ofa_tf.common.config import from_config, is_number
from ofa_tf.report.cost_kinds import COST_KINDS, measured_cost
from ofa_tf.report.report_model import ReportModel
from ofa_tf.spaces import Arch

# What a target can come to, with what the page says of it.
STATUSES = {
    "verified": "a file that was checked on images and measured on its device, inside every limit",
    "exported": "a file that was checked on images; a figure is only predicted, as its device or runtime is not here",
    "architecture": "an architecture with its predicted figures; the weights of its space are not here",
    "failed": "no result that keeps its limits; the reason stands below it",
}


@dataclasses.dataclass(frozen=True)
class ReportTarget:
    """A row of the table of targets.

    Args:
        name: unique in the report, for example "host int8, 5 ms".
        device: the name of its `ReportDevice`.
        precision: of the file that was wanted, for example "int8".
        limits: by kind ("latency_ms", "macs", "params", "model_bytes", "peak_memory_bytes"), in the kind's own unit.
        status: one of `STATUSES`.
        model: what is known of the chosen network; its own `budget_ms` is not read. None where there is none.
        reason: why it failed, one line.
        command: what to run next, for a target that ends as an architecture.
        file: the `.tflite` file, as a path relative to the page with forward slashes; "" where there is none.
        model_card: likewise.
        seconds: how long it took, None where that was not recorded.

    Raises:
        InputError: the status or a kind of limit is unknown, or what the status promises is missing: a "verified"
            target has a measured value inside every limit (MACs and parameters, `model.costs["params"]`, are counted).

    Example:
        ReportTarget("host int8, 5 ms", "this machine, int8", "int8", {"latency_ms": 5}, "failed", reason="...")
    """

    name: str
    device: str
    precision: str
    limits: Mapping[str, float]
    status: str
    model: ReportModel | None = None
    reason: str = ""
    command: str = ""
    file: str = ""
    model_card: str = ""
    seconds: float | None = None

    def __post_init__(self):
        if self.status not in STATUSES:
            self._refuse(f"the status is {self.status!r}, expected one of {', '.join(STATUSES)}")
        for kind, limit in self.limits.items():
            if kind not in COST_KINDS:
                self._refuse(f"there is a limit of {kind!r}, expected one of {', '.join(COST_KINDS)}")
            if not is_number(limit) or limit <= 0:
                self._refuse(f"the limit of {kind} is {limit!r}, expected a number above 0")
        if self.status == "failed":
            if not self.reason or "\n" in self.reason:
                self._refuse("it failed, expected a reason of one line")
        elif self.model is None:
            self._refuse(f"the status is {self.status!r}, expected a model")
        if self.status == "verified":
            unknown = [kind for kind in self.limits if measured_cost(self.model, kind) is None]
            if self.broken or unknown:
                problem = "measured over its limit of" if self.broken else "not measured in"
                self._refuse(f"it is called verified, but {problem} {', '.join(self.broken or unknown)}")

    def _refuse(self, problem: str) -> None:
        raise InputError(f"report: target {self.name!r}: {problem}")

    @property
    def broken(self) -> tuple[str, ...]:
        """The kinds of limits over which the network was measured."""
        measured = {kind: measured_cost(self.model, kind) for kind in self.limits} if self.model else {}
        return tuple(kind for kind, value in measured.items() if value is not None and value > self.limits[kind])

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        fields = dataclasses.asdict(self)
        if self.model:
            fields["model"]["arch"] = self.model.arch.to_dict()
        return fields

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> "ReportTarget":
        """Reads what `to_dict` wrote.

        Raises:
            InputError: a field is missing or unknown, or of a wrong form.
        """
        fields = dict(fields)
        if fields.get("model"):
            model = dict(fields["model"])
            model["arch"] = Arch.from_json(model.get("arch"))
            fields["model"] = from_config(ReportModel, model, "report: model of a target")
        return from_config(ReportTarget, fields, "report: target")
