"""`build_phone_table`: the latency table of a space's blocks on a phone."""

import concurrent.futures
import functools
import os
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from mobile_bench import measure
from mobile_bench.model_cache import ModelCache
from mobile_bench.phone import Phone
from mobile_bench.phone_measurement import PhoneMeasurement
from mobile_bench.table_builder import middle, reference_key, reference_ms
from mobile_bench.table_file import extended, start_table
from ofa_tf.common import OfaError
from ofa_tf.deploy import default_form
from ofa_tf.predictors.block_latency import BlockLatency
from ofa_tf.predictors.latency_table import LatencyTable
from ofa_tf.spaces import Block, Space
from ofa_tf.spaces.form import Form
from ofa_tf.spaces.population import distinct_blocks

# Blocks between two looks at the reference network: one push, one script.
_BATCH = 24
# A phone that has become slower by more than that since it was fastest has drifted: those blocks are measured again.
_DRIFT = 1.05
# What must be the same for a table to be gone on with.
_SAME = ("fingerprint", "abi", "delegate", "core mask", "benchmark_model")
_EMPTY, _REFERENCE = "an empty model", "the reference network"
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} blocks [{elapsed}<{remaining}]"


def build_phone_table(
    space: Space,
    resolutions: Sequence[int] | None,
    precision: str,
    phone: Phone,
    output: str | os.PathLike | None,
    *,
    form: str | None = None,
    seed: int = 0,
    cache: ModelCache | None = None,
    progress: bool = True,
    position: int = 0,
) -> LatencyTable:
    """Measures the blocks of a space that the table at `output` does not hold yet, in random order.

    The table is written after every batch, also after one that ended too early: an interrupted build goes on and
    measures no block twice.

    Args:
        space: the space, with its number of classes.
        resolutions: image sides in pixels, all of the space's unless given.
        precision: one of `deploy.PRECISIONS`.
        phone: a session on the phone; its options say with how many threads and on what.
        output: the table's file; None keeps the table in memory.
        form: how it is written, one of `spaces.form.FORMS`; the precision's default unless given.
        seed: of weights and order.
        cache: of converted models; the user's unless given.
        progress: whether a bar is shown on stderr.
        position: the bar's line, where several phones are measured at once.

    Returns:
        The table; its `versions` say what measured, and how.

    Raises:
        InputError: a choice is unknown, or the file at `output` was measured under other conditions.
        OfaError: the phone is lost, or cannot run some blocks; what was measured is in the file.

    Example:
        with Phone(device, binary, BenchmarkOptions()) as phone:
            table = build_phone_table(spaces.get("ofa_tiny"), None, "int8", phone, "phone_int8.json")
    """
    form = form or default_form(precision)
    Form.parse(form)
    new = LatencyTable(phone.device.serial, precision, phone.options.threads, form, versions=phone.describe())
    table = start_table(output, new, _SAME)
    blocks = distinct_blocks(space, resolutions)
    missing = table.missing(blocks)
    if not missing:
        return table
    order = np.random.default_rng(seed).permutation(len(missing))
    batches = [[missing[index] for index in order[first : first + _BATCH]] for first in range(0, len(order), _BATCH)]
    with tqdm(
        total=len(blocks),
        initial=len(blocks) - len(missing),
        bar_format=_BAR,
        desc=f"{phone.device.serial} {precision}",
        disable=not progress,
        position=position,
    ) as bar:
        build = _Build(space, phone, table, output, cache or ModelCache(), seed, bar)
        levels_ms = build.run(batches)
        drifted = [
            batch
            for batch, level_ms in zip(batches, levels_ms, strict=True)
            if level_ms > _DRIFT * min(build.references_ms)
        ]
        bar.total += sum(map(len, drifted))
        build.run(drifted)
    if build.failed:
        key, error = next(iter(build.failed.items()))
        raise OfaError(
            f"phone {phone.device.serial}: {len(build.failed)} of {len(blocks)} blocks could not be measured, {key} "
            f"because: {error}; all others are kept, the same command tries these again"
        )
    return build.table


class _Build:
    """The state of one build: the table so far, the reference network's times, and what failed."""

    def __init__(self, space: Space, phone: Phone, table: LatencyTable, output, cache: ModelCache, seed: int, bar):
        self.phone, self.table, self.output, self.bar = phone, table, output, bar
        self._model = functools.partial(cache.model, precision=table.precision, form=table.activation_form, seed=seed)
        self._reference_key = reference_key(space)
        self._always = [
            (_EMPTY, measure.empty_model(table.precision)),
            (_REFERENCE, self._model(space.blocks(middle(space)))),
        ]
        known_ms = reference_ms(table, space)
        self.references_ms = [] if known_ms is None else [known_ms]
        self.failed: dict[str, str] = {}

    def run(self, batches: Sequence[Sequence[Block]]) -> list[float]:
        """Measures batches; the next one is converted meanwhile. Returns the reference network's time in each."""
        levels_ms = []
        with concurrent.futures.ThreadPoolExecutor(1) as converter:
            ahead = converter.submit(self._converted, batches[0]) if batches else None
            for number, batch in enumerate(batches):
                models = ahead.result()
                if number + 1 < len(batches):
                    ahead = converter.submit(self._converted, batches[number + 1])
                self._measure(batch, models)
                levels_ms.append(self.references_ms[-1])
        return levels_ms

    def _converted(self, batch: Sequence[Block]) -> list[tuple[str, bytes]]:
        return [*self._always, *((block.key, self._model([block])) for block in batch)]

    def _measure(self, batch: Sequence[Block], models: Sequence[tuple[str, bytes]]) -> None:
        measured: dict[str, PhoneMeasurement] = {}

        def keep(measurement: PhoneMeasurement) -> None:
            measured[measurement.name] = measurement
            self.bar.update(measurement.name not in (_EMPTY, _REFERENCE))

        try:
            self.phone.measure(models, keep)
        finally:
            # Also where the phone was lost on the way, or Ctrl-C was pressed.
            self._add({block.key: block for block in batch}, measured)
        for name in (_EMPTY, _REFERENCE):
            if measured[name].output is None:
                raise OfaError(
                    f"phone {self.phone.device.serial}: {name} could not be measured ({measured[name].error})"
                )

    def _add(self, batch: dict[str, Block], measured: dict[str, PhoneMeasurement]) -> None:
        """Puts what a batch gave into the table and the table into its file; notes what failed."""
        if _EMPTY not in measured or measured[_EMPTY].output is None:
            return  # what a call costs is not known, so nothing else is
        empty_ms = measured[_EMPTY].block_latency().median_ms
        if _REFERENCE in measured and measured[_REFERENCE].output is not None:
            self.references_ms.append(measured[_REFERENCE].block_latency().median_ms - empty_ms)
        found = {key: measurement for key, measurement in measured.items() if key in batch}
        good = {key: measurement for key, measurement in found.items() if measurement.output is not None}
        for key, measurement in found.items():
            self.failed.pop(key, None)
            if key not in good:
                self.failed[key] = measurement.error
        hot = sum(measurement.hot for measurement in good.values())
        if hot:
            self.phone.note(
                f"phone {self.phone.device.serial}: {hot} blocks were measured on a hot phone, which did not cool down in time"
            )
        if not good:
            return
        latencies = [_without_call(measurement.block_latency(), empty_ms) for measurement in good.values()]
        versions = {**self.phone.describe(), "method": self._method(empty_ms), **self._references()}
        self.table = extended(self.table, [batch[key] for key in good], latencies, versions)
        if self.output is not None:
            self.table.save(self.output)

    def _references(self) -> dict[str, str]:
        if not self.references_ms:
            return {}
        best_ms = min(self.references_ms)
        return {self._reference_key: f"{best_ms:.6f}", "drift": f"{max(self.references_ms) / best_ms:.3f}"}

    def _method(self, empty_ms: float) -> str:
        options = self.phone.options
        return (
            f"each block alone by benchmark_model, at least {options.runs} runs and {options.min_seconds:g} s, in "
            f"random order, less the {empty_ms * 1e3:.1f} us of an empty model; batches in which the reference network was "
            f"slower than {_DRIFT:g} of its best were measured again"
        )


def _without_call(latency: BlockLatency, empty_ms: float) -> BlockLatency:
    p95_ms = None if latency.p95_ms is None else measure.above_zero(latency.p95_ms - empty_ms)
    return BlockLatency(measure.above_zero(latency.median_ms - empty_ms), p95_ms, latency.std_ms, latency.count)
