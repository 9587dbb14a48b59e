"""Tables that grow, whatever is measured: begun, gone on with, extended; and what a user should know of one."""

import dataclasses
import datetime
import os
import pathlib
from collections.abc import Mapping, Sequence

from ofa_tf.common import InputError
from ofa_tf.devices.device import Device
from ofa_tf.predictors.latency_table import BELOW_CLOCK, DRIFT, HOT, BlockLatency, LatencyTable
from ofa_tf.spaces import Block, Space

_CONDITIONS = ("precision", "threads", "form")


def start_table(
    output: str | os.PathLike | None, new: LatencyTable, device: Device, resolutions: Sequence[int]
) -> LatencyTable:
    """The table at a path, to go on with, or the new one, without blocks, where there is none.

    Raises:
        InputError: the table there was measured under other conditions: precision, form, or one of the device's.
    """
    new = dataclasses.replace(new, date=_now()).for_resolutions(resolutions)
    if output is None or not pathlib.Path(output).exists():
        return new
    old = LatencyTable.load(output)
    check_conditions(output, old, new, device)
    table = dataclasses.replace(old, device=new.device).for_resolutions(resolutions)
    if table != old:
        # At once: there may be no block left to measure.
        table.save(output)
    return table


def check_conditions(path: str | os.PathLike, old: LatencyTable, new: LatencyTable, device: Device) -> None:
    """Raises `InputError` where a table from a file was measured under other conditions than the new one."""
    for name in _CONDITIONS:
        _compare(path, name, getattr(old, name), getattr(new, name))
    for name in device.conditions:
        _compare(path, name, old.versions.get(name), new.versions[name])
    device.check_name(path, old.device)


def extended(
    table: LatencyTable, blocks: Sequence[Block], latencies: Sequence[BlockLatency], versions: Mapping[str, str]
) -> LatencyTable:
    """The table with more blocks (one for each of the latencies), measured now by these versions."""
    new = {block.key: latency for block, latency in zip(blocks, latencies, strict=True)}
    # A correction belongs to the sums it was fitted on.
    table = table.adding(new).with_correction(None)
    return dataclasses.replace(table.with_versions(versions), date=_now())


def reference_ms(table: LatencyTable, space: Space) -> float | None:
    """The time of the space's reference network when the table was measured, in milliseconds."""
    return version_number(table, reference_key(space))


def version_number(table: LatencyTable, name: str) -> float | None:
    """What a table keeps as a number under a name of its versions, if it does."""
    try:
        return float(table.versions[name])
    except (KeyError, TypeError, ValueError):
        return None


def reference_key(space: Space) -> str:
    """Under what name a table keeps the time of the space's reference network."""
    return f"reference_ms of {space.name}"


def _compare(output, name: str, found, expected) -> None:
    if found != expected:
        held = f"without {name}" if found is None else f"with {name} {found!r}"
        raise InputError(
            f"{output}: holds a table {held}, to go on with it {expected!r} was expected; "
            f"give another file, or measure as then"
        )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


# A block whose slow runs take so many times its median was disturbed, or has two speeds.
_SPREAD = 1.5
_NAMED = 3


def table_summary(table: LatencyTable) -> str:
    """One line: how much slower the device became, and which blocks are doubtful.

    Example:
        print(table_summary(LatencyTable.load("phone.json")))
    """
    spread = {
        key: latency.p95_ms / latency.median_ms
        for key, latency in table.blocks.items()
        if latency.p95_ms is not None and latency.p95_ms > _SPREAD * latency.median_ms
    }
    widest = sorted(spread, key=spread.__getitem__, reverse=True)
    parts = [f"{len(table.blocks)} blocks"]
    if DRIFT in table.versions:
        parts.append(f"reference network at most {table.versions[DRIFT]} of its fastest time")
    parts.append(f"{len(spread)} blocks with a p95 above {_SPREAD:g} of the median{_some(widest, spread)}")
    for name, words in ((HOT, "measured hot"), (BELOW_CLOCK, "known by their mean only, below the clock")):
        if name in table.versions:
            keys = table.versions[name].split()
            parts.append(f"{len(keys)} {words}{_some(keys)}")
    return "; ".join(parts)


def _some(keys: list[str], ratios: dict[str, float] | None = None) -> str:
    shown = [key if ratios is None else f"{key} {ratios[key]:.1f}" for key in keys[:_NAMED]]
    more = ", ..." if len(keys) > _NAMED else ""
    return f" ({', '.join(shown)}{more})" if shown else ""
