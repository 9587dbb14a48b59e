"""`LatencyTable`: measured latencies of blocks, from which whole networks are predicted."""

import dataclasses
import functools
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ofa_tf.common import InputError, RecordFormat, brief
from ofa_tf.common.config import is_whole
from ofa_tf.common.form import FORMS
from ofa_tf.predictors.latency_correction import LatencyCorrection
from ofa_tf.spaces import Arch, Block, Space, names
from ofa_tf.spaces.population import CostTable, cost_table


@dataclasses.dataclass(frozen=True)
class BlockLatency:
    """The latency of one block over `count` runs.

    Args:
        median_ms: the median, in milliseconds.
        p95_ms: the 95th percentile, in milliseconds; None where it was not recorded (published tables).
        std_ms: the standard deviation, in milliseconds.
        count: the number of timed runs.
    """

    median_ms: float
    p95_ms: float | None
    std_ms: float
    count: int

    def to_dict(self) -> dict[str, float | None]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(fields: Any) -> "BlockLatency":
        """Reads what `to_dict` wrote; raises `InputError` where that is not a measurement."""
        try:
            latency = BlockLatency(**fields)
            times = (latency.median_ms, latency.std_ms, *(() if latency.p95_ms is None else (latency.p95_ms,)))
            usable = all(0 <= time <= MAX_MS for time in times) and latency.count >= 1
        except TypeError:
            usable = False
        if not usable:
            raise InputError(f"found {brief(repr(fields))}, expected median_ms, p95_ms, std_ms and count")
        return latency


# Eleven days; NaN is no less than that either.
MAX_MS = 1e9

FORMAT = RecordFormat("ofa_tf latency table", "build one with mobile_bench.build_latency_table")

# Multiples of about a picosecond: their sums are exact in any order (up to hours), so that a search and a prediction
# never differ by a rounding error at the limit.
_GRID_PER_MS = 2.0**30

_CONDITIONS = ("device", "precision", "threads", "form")
# How the method of a table begins that does not say how its models were written.
PUBLISHED_METHOD = "published table"
# What else must be the same, by the names in `versions`: of this machine's tables, and of phones'.
HOST_CONDITIONS = ("cpu", "ai-edge-litert")
PHONE_CONDITIONS = ("fingerprint", "abi", "delegate", "core mask", "benchmark_model")
# Names in `versions` of what is doubtful: how much slower than its best a device became, blocks measured hot, and
# blocks whose runs were too short for the device's clock, so that their mean stands for the median.
DRIFT, HOT, BELOW_CLOCK = "drift", "hot blocks", "blocks below the clock"
# How the blocks were measured; where some were measured otherwise than others, both ways.
METHOD, _BETWEEN_METHODS = "method", " | "
# How names in `versions` begin that hold the state of a build that goes on; of merged tables none does.
UNFINISHED = "unfinished build of "


@dataclasses.dataclass(frozen=True)
class LatencyTable:
    """Block latencies of one device under stated conditions; immutable, cheap to extend (`adding`) and to save.

    Args:
        device: what was measured, as `--device` names it.
        precision: "float32", "int8", ...
        threads: the interpreter's threads.
        form: how the measured models were written, one of `common.form.FORMS`.
        versions: versions of the software that measured, by name.
        date: when it was measured, ISO 8601.
        blocks: `Block.key` to its measurement.
        correction: from sums to whole networks, None for plain sums.
        at_resolution: blocks by the side in pixels of the images they were measured with, where that is recorded (equal
            blocks of differently large images then have their own figures); they come before `blocks`.
        resolutions: the image sides in pixels that it was built for, ascending; empty where that is not recorded.

    Example:
        table = LatencyTable.load("host_int8.json")
        table.predict(space, [space.smallest(), space.largest()])
    """

    device: str
    precision: str
    threads: int
    form: str
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    date: str = ""
    blocks: Mapping[str, BlockLatency] = dataclasses.field(default_factory=dict)
    correction: LatencyCorrection | None = None
    at_resolution: Mapping[int, Mapping[str, BlockLatency]] = dataclasses.field(default_factory=dict)
    resolutions: tuple[int, ...] = ()

    @property
    def stated_form(self) -> str | None:
        """The form, where it is one of today's words, and said by who measured: published tables do not say it."""
        published = self.versions.get(METHOD, "").startswith(PUBLISHED_METHOD)
        return None if published or self.form not in FORMS else self.form

    def for_resolutions(self, resolutions: Sequence[int]) -> "LatencyTable":
        """The table that says it was built for these image sides, too."""
        return dataclasses.replace(self, resolutions=tuple(sorted({*self.resolutions, *resolutions})))

    def adding(self, blocks: Mapping[str, BlockLatency]) -> "LatencyTable":
        """The table with more blocks; a block measured anew replaces the old measurement."""
        return dataclasses.replace(self, blocks={**self.blocks, **blocks})

    def with_versions(self, versions: Mapping[str, str]) -> "LatencyTable":
        """The table with these versions, too; the method of the blocks that it has stays beside a new one."""
        if METHOD in self.versions and METHOD in versions:
            texts = dict.fromkeys([*self.methods, *_methods_of(versions)])
            versions = {**versions, METHOD: _BETWEEN_METHODS.join(texts)}
        return dataclasses.replace(self, versions={**self.versions, **versions})

    @property
    def methods(self) -> list[str]:
        """How its blocks were measured, every way once; none where that is not recorded."""
        return _methods_of(self.versions)

    def with_correction(self, correction: LatencyCorrection | None) -> "LatencyTable":
        """The table with another correction, or with none."""
        return dataclasses.replace(self, correction=correction)

    def merge(self, other: "LatencyTable") -> "LatencyTable":
        """The blocks of both tables; where both have a block, the other's measurement counts.

        A correction was fitted on one table's sums, so it survives only where the merged blocks are that table's.

        Raises:
            InputError: the tables were measured on another device or under other conditions.
        """
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in _CONDITIONS}
        for name in (*HOST_CONDITIONS, *PHONE_CONDITIONS):
            # Published tables do not tell them.
            if name in self.versions and name in other.versions:
                pairs[name] = self.versions[name], other.versions[name]
        for name, (mine, theirs) in pairs.items():
            if mine != theirs:
                raise InputError(
                    f"latency tables: {name} is {mine!r} in one and {theirs!r} in the other; merge only equal ones"
                )
        versions = {**self.with_versions(other.versions).versions, **self._doubts(other)}
        at_resolution = {
            # A block that the other measured at any resolution counts here, too.
            resolution: {
                key: latency
                for key, latency in self.at_resolution.get(resolution, {}).items()
                if key not in other.blocks
            }
            | other.at_resolution.get(resolution, {})
            for resolution in sorted({*self.at_resolution, *other.at_resolution})
        }
        merged = dataclasses.replace(
            self.adding(other.blocks).for_resolutions(other.resolutions),
            versions={name: text for name, text in versions.items() if not name.startswith(UNFINISHED)},
            date=max(self.date, other.date),
            at_resolution={resolution: blocks for resolution, blocks in at_resolution.items() if blocks},
        )
        for table in (self, other):
            same = (merged.blocks, merged.at_resolution) == (table.blocks, table.at_resolution)
            if table.correction is not None and same:
                return merged.with_correction(table.correction)
        return merged.with_correction(None)

    def _doubts(self, other: "LatencyTable") -> dict[str, str]:
        """What is doubtful of either table, but for blocks that the other measured anew."""
        found = {}
        for name in (HOT, BELOW_CLOCK):
            if name in self.versions or name in other.versions:
                mine, theirs = (set(table.versions.get(name, "").split()) for table in (self, other))
                found[name] = " ".join(sorted((mine - set(other.blocks)) | theirs))
        drifts = [table.versions[DRIFT] for table in (self, other) if DRIFT in table.versions]
        return {**found, DRIFT: max(drifts, key=float)} if drifts else found

    def missing(self, blocks: Sequence[Block]) -> list[Block]:
        """Those of the blocks that have not been measured, in their order."""
        return [block for block in blocks if block.key not in self.blocks]

    def predict(self, space: Space, archs: Sequence[Arch]) -> np.ndarray:
        """Latencies of whole networks.

        Args:
            space: the architectures' space.
            archs: N architectures, of any resolution whose blocks were measured.

        Returns:
            float64 (N,), milliseconds.

        Raises:
            InputError: a block was not measured; the message names it and the command that measures it.
        """
        costs = {resolution: self._cost(space, resolution) for resolution in {arch.r for arch in archs}}
        sums = np.array([sum(map(costs[arch.r], space.blocks(arch))) for arch in archs], np.float64)
        return self._scale * sums + self._offset

    def compile(self, space: Space, resolutions: Sequence[int] | None = None) -> CostTable:
        """The table in the form in which whole populations are evaluated (milliseconds).

        Args:
            space: the space.
            resolutions: image sides in pixels to compile for, all of the space's unless given.

        Raises:
            InputError: a block was not measured; the message names it and the command that measures it.
        """
        tables = [
            cost_table(space, self._cost(space, resolution), resolutions=[resolution])
            for resolution in (space.resolutions if resolutions is None else resolutions)
        ]
        # Each is NaN where the others are not.
        values = functools.reduce(np.fmax, (table.values for table in tables))
        return CostTable(space, values, self._scale, self._offset)

    @property
    def _scale(self) -> float:
        return 1.0 if self.correction is None else self.correction.scale

    @property
    def _offset(self) -> float:
        return 0.0 if self.correction is None else self.correction.offset_ms

    def _cost(self, space: Space, resolution: int):
        measured = {**self.blocks, **self.at_resolution.get(resolution, {})}

        def median_ms(block: Block) -> float:
            if block.key not in measured:
                known = space.name in names()
                of_space = f"{space.name} --num_classes={space.num_classes}" if known else "RUN/run.json"
                written = f" --form={self.stated_form}" if self.stated_form else ""
                raise InputError(
                    f"latency table of {self.device} ({self.precision}): block {block.key} (in images of {resolution} "
                    f"pixels) is missing; measure it with python -m mobile_bench.build_latency_table "
                    f"--device={self.device} --space={of_space} --resolutions={resolution} "
                    f"--precision={self.precision}{written} --threads={self.threads} --output=TABLE.json, or leave its "
                    f"resolution out"
                )
            return round(measured[block.key].median_ms * _GRID_PER_MS) / _GRID_PER_MS

        return median_ms

    def save(self, path: str | os.PathLike) -> None:
        """Writes the table as JSON, atomically; cheap enough for after every measured batch."""
        fields = {
            "unit": "ms",
            **{name: getattr(self, name) for name in _CONDITIONS},
            "versions": dict(self.versions),
            "date": self.date,
            "resolutions": list(self.resolutions),
            "correction": self.correction and self.correction.to_dict(),
            "blocks": _to_dicts(self.blocks),
        }
        if self.at_resolution:
            fields["at_resolution"] = {
                str(resolution): _to_dicts(blocks) for resolution, blocks in self.at_resolution.items()
            }
        FORMAT.save(path, fields)

    @staticmethod
    def load(path: str | os.PathLike) -> "LatencyTable":
        """Reads a table.

        Raises:
            InputError: the file is missing, truncated, of a newer format, or a field is not what it should be.
        """
        fields = FORMAT.load(path)
        with FORMAT.reading(path):
            # Its former name, in which the form is more than how activations are written.
            fields.setdefault("form", fields.get("activation_form"))
            if fields.get("unit") != "ms":
                raise InputError(f"unit is {brief(repr(fields.get('unit')))}, expected 'ms'")
            correction = fields.get("correction")
            return LatencyTable(
                **{name: _typed(fields, name, int if name == "threads" else str) for name in _CONDITIONS},
                versions=_texts(_typed(fields, "versions", dict)),
                date=_typed(fields, "date", str),
                correction=None if correction is None else LatencyCorrection.from_dict(correction),
                blocks=_from_dicts(_typed(fields, "blocks", dict)),
                at_resolution={
                    _resolution(text): _from_dicts(blocks) for text, blocks in fields.get("at_resolution", {}).items()
                },
                # Older tables do not tell them.
                resolutions=_resolutions(fields.get("resolutions", [])),
            )


def _typed(fields: dict[str, Any], name: str, kind: type) -> Any:
    if not isinstance(fields.get(name), kind):
        raise InputError(f"{name} is {brief(repr(fields.get(name)))}, expected {kind.__name__}")
    return fields[name]


def _texts(versions: dict[str, Any]) -> dict[str, str]:
    for name, text in versions.items():
        if not isinstance(text, str):
            raise InputError(f"versions has {text!r} as {name}, expected a text")
    try:
        float(versions.get(DRIFT, 1))
    except ValueError:
        raise InputError(f"versions has {versions[DRIFT]!r} as {DRIFT}, expected a number as text") from None
    return versions


def _to_dicts(blocks: Mapping[str, BlockLatency]) -> dict[str, dict]:
    return {key: block.to_dict() for key, block in blocks.items()}


def _from_dicts(blocks: dict[str, Any]) -> dict[str, BlockLatency]:
    latencies = {}
    for key, fields in blocks.items():
        try:
            latencies[key] = BlockLatency.from_dict(fields)
        except InputError as error:
            raise InputError(f"block {key}: {error}") from error
    return latencies


def _resolutions(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(is_whole(resolution, 1) for resolution in values):
        raise InputError(f"resolutions is {brief(repr(values))}, expected a list of image sides in pixels")
    return tuple(values)


def _resolution(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"at_resolution has the key {text!r}, expected an image side in pixels")
    return int(text)


def _methods_of(versions: Mapping[str, str]) -> list[str]:
    # Older tables say how long an empty model took, which is another number in every session.
    text = re.sub(r"less the [\d.]+ us of", "less the time of", versions.get(METHOD, ""))
    return text.split(_BETWEEN_METHODS) if text else []
