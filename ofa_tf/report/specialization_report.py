"""`SpecializationReport`: everything that the page of a specialization shows, as plain data."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ofa_tf.common import InputError
from ofa_tf.common.config import from_config
from ofa_tf.report.design_cost import DesignCost
from ofa_tf.report.report_device import ReportDevice
from ofa_tf.report.report_target import ReportTarget


@dataclasses.dataclass(frozen=True)
class SpecializationReport:
    """The input of `write_report` for many targets on many devices.

    Args:
        title: the page's heading.
        targets: in the order of the table, those of a device one after the other.
        devices: in the order of the page; every target names one of them.
        metrics: the lines of the supernet's `metrics.jsonl`, empty where it was not trained here.
        cost: what it cost to design, None where no times were recorded.
        notes: where everything comes from, name by name: versions, commands, seeds, date, splits.

    Raises:
        InputError: there is no target, a name appears twice, a target's device is missing, or its architecture does
            not fit the device's space.

    Example:
        write_report("report.html", SpecializationReport("Forty targets", targets, devices))
    """

    title: str
    targets: Sequence[ReportTarget]
    devices: Sequence[ReportDevice]
    metrics: Sequence[Mapping[str, Any]] = ()
    cost: DesignCost | None = None
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.targets:
            raise InputError("report: it has no target, expected at least one; specialize one first")
        for what, names in (("target", [it.name for it in self.targets]), ("device", [it.name for it in self.devices])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InputError(f"report: two {what}s are called {twice[0]!r}; give each a name of its own")
        devices = {device.name: device for device in self.devices}
        for target in self.targets:
            if target.device not in devices:
                known = ", ".join(devices) or "none"
                raise InputError(
                    f"report: target {target.name!r} names the device {target.device!r}, which the report lacks; "
                    f"expected one of {known}"
                )
            if target.model:
                devices[target.device].space.canonical(target.model.arch)

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return {
            "title": self.title,
            "targets": [target.to_dict() for target in self.targets],
            "devices": [device.to_dict() for device in self.devices],
            "metrics": [dict(line) for line in self.metrics],
            "cost": self.cost and self.cost.to_dict(),
            "notes": dict(self.notes),
        }

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> "SpecializationReport":
        """Reads what `to_dict` wrote, for example from a `report.json`.

        Raises:
            InputError: a field is missing or unknown, or of a wrong form.
        """
        fields = dict(fields)
        fields["targets"] = [ReportTarget.from_dict(target) for target in fields.get("targets", ())]
        fields["devices"] = [ReportDevice.from_dict(device) for device in fields.get("devices", ())]
        fields["cost"] = DesignCost.from_dict(fields["cost"]) if fields.get("cost") else None
        return from_config(SpecializationReport, fields, "report")
