"""`build_table`: the latency table of a space's blocks, measured one by one on a device."""

import dataclasses
import functools
import json
import math
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from tqdm import tqdm

from ofa_tf.common import OfaError
from ofa_tf.common.form import form_of
from ofa_tf.devices.block_models import ModelCache, empty_model, middle
from ofa_tf.devices.device import Device, Measurement
from ofa_tf.devices.table_file import (
    check_conditions,
    extended,
    reference_key,
    reference_ms,
    start_table,
    version_number,
)
from ofa_tf.predictors.latency_table import BELOW_CLOCK, DRIFT, HOT, METHOD, UNFINISHED, BlockLatency, LatencyTable
from ofa_tf.spaces import Arch, Block, Space
from ofa_tf.spaces.population import distinct_blocks

_EMPTY, _BEFORE, _AFTER = "an empty model", "the reference network", "the reference network, again"
# Under what name a table keeps the time of an empty model, in the latest batch.
_EMPTY_MS = "empty_ms"
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} blocks [{elapsed}<{remaining}]"


def build_table(
    device: Device,
    space: Space,
    precision: str,
    output: str | os.PathLike | None,
    *,
    resolutions: Sequence[int] | None,
    form: str | None,
    tolerance: float,
    seed: int,
    cache: ModelCache | None,
    progress: bool,
    on_batch: Callable[[int, int], None],
) -> LatencyTable:
    """As `Device.build_table`.

    A batch is converted before it is measured, not while the one before is: the converter holds back what the whole
    process writes, and a phone cools meanwhile.
    """
    form = form_of(precision, form)
    resolutions = space.resolutions if resolutions is None else resolutions
    blocks = distinct_blocks(space, resolutions)
    table = start_table(output, conditions(device, precision, form), device, resolutions)
    missing = table.missing(blocks)
    if not missing and not _unfinished(table, space)[1]:
        return table
    done = len(blocks) - len(missing)
    name = f"{device.name} {precision}"
    with tqdm(total=len(blocks), initial=done, bar_format=_BAR, desc=name, disable=not progress) as bar:
        build = _Build(space, device, table, output, cache or ModelCache(), seed, tolerance, bar)
        for batch in build.batches_of(missing, np.random.default_rng(seed)):
            build.measure(batch)
            on_batch(len(blocks) - len(build.table.missing(blocks)), len(blocks))
        limit_ms = tolerance * min(build.references_ms, default=math.inf)
        drifted = [
            (again, batch)
            for again in build.batches
            if again.level_ms > limit_ms and (batch := [block for block in blocks if block.key in again.keys])
        ]
        bar.total += sum(len(batch) for _, batch in drifted)
        for again, batch in drifted:
            build.measure(batch, again)
        build.finish()
    if build.failed:
        key, error = next(iter(build.failed.items()))
        raise OfaError(
            f"{device}: {len(build.failed)} of {len(blocks)} blocks could not be measured, {key} "
            f"because: {error}; all others are kept, the same command tries these again"
        )
    return build.table


def conditions(device: Device, precision: str, form: str) -> LatencyTable:
    """A table without blocks that says what is measured and how."""
    return LatencyTable(device.table_name, precision, device.threads, form, versions=device.describe())


@dataclasses.dataclass
class _Batch:
    """Blocks that were measured together, and the slower of the reference network's two times beside them.

    Their keys are those that the table holds and that were not measured again yet.
    """

    level_ms: float = math.inf
    keys: list[str] = dataclasses.field(default_factory=list)


def _unfinished(table: LatencyTable, space: Space) -> tuple[float, list[_Batch]]:
    """The drift before the build that the table is of, and that build's batches."""
    try:
        kept = json.loads(table.versions[UNFINISHED + space.name])
        batches = [_Batch(float(level_ms), list(map(str, keys))) for level_ms, keys in kept["batches"]]
        return float(kept["drift"]), batches
    except (KeyError, TypeError, ValueError):
        return version_number(table, DRIFT) or 1.0, []


class _Build:
    """The state of one build: the table so far, the reference network's times, and what failed."""

    def __init__(
        self, space: Space, device: Device, table: LatencyTable, output, cache: ModelCache, seed, tolerance, bar
    ):
        self.device, self.table, self.output, self.bar = device, table, output, bar
        self._tolerance = tolerance
        self._file = functools.partial(cache.file, precision=table.precision, form=table.form, seed=seed)
        self._reference_key = reference_key(space)
        self._empty = empty_model(table.precision)
        self._reference = self._file(space.blocks(middle(space)))
        self._network_blocks = len(space.blocks(space.largest()))
        self._empty_ms: float | None = None
        known_ms = reference_ms(table, space)
        # Of every batch, the slower of its two, or what the device knows better; the first is the table's.
        self.references_ms = [] if known_ms is None else [known_ms]
        self._earlier_drift, self.batches = _unfinished(table, space)
        self._unfinished_key = UNFINISHED + space.name
        self.failed: dict[str, str] = {}

    def batches_of(self, blocks: Sequence[Block], rng: np.random.Generator) -> list[list[Block]]:
        """The blocks in random order, in batches of equal size: blocks of one kind only would not be like networks."""
        if blocks and self.table.methods and self._method() not in self.table.methods:
            self.device.note(
                f"{self.device}: the table's {len(self.table.blocks)} blocks were measured otherwise than the "
                f"{len(blocks)} that it lacks will be; it says both: "
                f"{'; and: '.join([*self.table.methods, self._method()])}"
            )
        count = max(1, round(len(blocks) / self.device.batch_blocks(self._network_blocks)))
        parts = np.array_split(rng.permutation(len(blocks)), count)
        return [[blocks[index] for index in part] for part in parts if len(part)]

    def measure(self, batch: Sequence[Block], again: _Batch | None = None) -> None:
        """Measures blocks; those of a batch again, which count where the reference network was not slower than then."""
        blocks = {block.key: block for block in batch}
        made = again or _Batch()
        if again is None:
            self.batches.append(made)
        models: list[tuple[str, bytes | pathlib.Path]] = [(_EMPTY, self._empty), (_BEFORE, self._reference)]
        for key, block in blocks.items():
            models.append((key, self._file([block])))
            # The other half is measuring it.
            self.bar.update(0.5)
        models.append((_AFTER, self._reference))
        measured: dict[str, Measurement] = {}

        def keep(measurement: Measurement) -> None:
            measured[measurement.name] = measurement
            self.bar.update(0.5 * (measurement.name in blocks))
            if again is None:
                if measurement.name == _BEFORE and measurement.latency:
                    made.level_ms = measurement.latency.median_ms
                # At once: whatever ends this process, nothing is measured twice.
                self._add(blocks, {measurement.name: measurement}, made)

        try:
            quiet_ms = min(self.references_ms, default=None)
            self.device.measure_batch(models, keep, network_blocks=self._network_blocks, quiet_ms=quiet_ms)
        finally:
            # Also where the phone was lost on the way, or Ctrl-C was pressed.
            level_ms = self._level_ms(measured)
            if again is None or (level_ms <= made.level_ms and set(blocks) <= set(measured)):
                made.level_ms = level_ms if math.isfinite(level_ms) else made.level_ms
                self._add(blocks, measured, made)
        for name in (_EMPTY, _BEFORE):
            if measured[name].latency is None:
                raise OfaError(
                    f"{self.device}: {name} could not be measured ({measured[name].error}); what "
                    f"was measured is kept, give the same command to go on"
                )
        if again is not None:
            made.keys.clear()
            self._save(self._references())

    def finish(self) -> None:
        """Nothing is left to be measured again."""
        if self.table.versions.get(self._unfinished_key) is not None:
            versions = {name: text for name, text in self.table.versions.items() if name != self._unfinished_key}
            self.table = dataclasses.replace(self.table, versions=versions)
            self._save({})

    def _save(self, versions: dict[str, str]) -> None:
        self.table = dataclasses.replace(self.table, versions={**self.table.versions, **versions})
        if self.output is not None:
            self.table.save(self.output)

    def _level_ms(self, measured: dict[str, Measurement]) -> float:
        found = [it for name in (_BEFORE, _AFTER) if (it := measured.get(name)) and it.latency]
        level_ms = max((it.latency.median_ms for it in found), default=math.inf)
        self.references_ms += [it.facts.get("quiet_ms", level_ms) for it in found]
        return level_ms

    def _add(self, blocks: dict[str, Block], measured: dict[str, Measurement], batch: _Batch) -> None:
        """Puts what a batch gave into the table and the table into its file; notes what failed."""
        if (empty := measured.get(_EMPTY)) and empty.latency:
            self._empty_ms = empty.latency.median_ms
        if self._empty_ms is None:
            return  # what a call costs is not known, so nothing else is
        found = {key: measurement for key, measurement in measured.items() if key in blocks}
        good = {key: measurement for key, measurement in found.items() if measurement.latency is not None}
        for key, measurement in found.items():
            self.failed.pop(key, None)
            if key not in good and key not in self.table.blocks:
                self.failed[key] = measurement.error
        if not good:
            return
        batch.keys += [key for key in good if key not in batch.keys]
        doubts = {HOT: self._named(HOT, good, lambda it: it.hot)} if self.device.tells_heat else {}
        if below := self._named(BELOW_CLOCK, good, lambda it: it.facts.get("below_clock")):
            doubts[BELOW_CLOCK] = below
        latencies = [_without_call(measurement.latency, self._empty_ms) for measurement in good.values()]
        versions = {
            **self.device.describe(),
            METHOD: self._method(),
            _EMPTY_MS: f"{self._empty_ms:.6f}",
            **doubts,
            **self._references(),
        }
        self.table = extended(self.table, [blocks[key] for key in good], latencies, versions)
        self._save({})

    def _named(self, name: str, good: dict[str, Measurement], is_so: Callable[[Measurement], bool]) -> str:
        """What a table names: those of the new blocks, and of the others those that it named before."""
        before = set(self.table.versions.get(name, "").split()) - set(good)
        return " ".join(sorted(before | {key for key, measurement in good.items() if is_so(measurement)}))

    def _references(self) -> dict[str, str]:
        batches = [(batch.level_ms, batch.keys) for batch in self.batches if math.isfinite(batch.level_ms)]
        if not batches:
            return {}
        levels_ms = [level_ms for level_ms, _ in batches]
        best_ms = min([*self.references_ms, *levels_ms])
        return {
            self._reference_key: f"{best_ms:.6f}",
            DRIFT: f"{max(max(levels_ms) / best_ms, self._earlier_drift):.3f}",
            self._unfinished_key: json.dumps({"drift": self._earlier_drift, "batches": batches}),
        }

    def _method(self) -> str:
        return (
            f"each block {self.device.method(self._network_blocks)}, less the time of an empty model; batches in which "
            f"the reference network took more than {self._tolerance:g} of its fastest time were measured again"
        )


def _without_call(latency: BlockLatency, empty_ms: float) -> BlockLatency:
    p95_ms = None if latency.p95_ms is None else _above_zero(latency.p95_ms - empty_ms)
    return BlockLatency(_above_zero(latency.median_ms - empty_ms), p95_ms, latency.std_ms, latency.count)


def _above_zero(time_ms: float) -> float:
    # Noise can make the difference of two times negative.
    return float(max(time_ms, 1e-6))


def time_networks(
    device: Device,
    table: LatencyTable,
    space: Space,
    archs: Sequence[Arch],
    *,
    path: str,
    seed: int,
    on_hot: Callable[[int], None],
) -> tuple[list[float], float]:
    """As `Device.time_networks`, by whole files in turns."""
    check_conditions(path, table, conditions(device, table.precision, table.form), device)
    cache = ModelCache()
    networks = [middle(space), *archs]
    files = [
        cache.file(space.blocks(arch), table.precision, form=table.form, seed=seed)
        for arch in tqdm(networks, desc="converting", disable=None)
    ]

    def refuse(number: int, error: str) -> None:
        raise OfaError(f"{device}: could not run the network {networks[number].to_json()}: {error}")

    level_ms, *times_ms = device.compare(
        files, seed=seed, quiet_ms=reference_ms(table, space), on_hot=on_hot, on_error=refuse
    )
    return times_ms, level_ms
