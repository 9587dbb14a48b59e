"""The machine that this runs on, as a device."""

import dataclasses
import functools
import importlib.metadata
import math
import os
import pathlib
import platform
import tempfile
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.deploy import Runner, open_foreign, open_foreign_files
from ofa_tf.devices import HOST, measure
from ofa_tf.devices.benchmark_model import BenchmarkOptions
from ofa_tf.devices.device import Device, Measurement
from ofa_tf.predictors.latency_table import HOST_CONDITIONS, BlockLatency

_PACKAGES = ("ai-edge-litert", "tensorflow")


class Host(Device):
    """This machine, through `ai_edge_litert`; blocks and networks are timed in so many rounds (see `measure`)."""

    def __init__(
        self,
        options: BenchmarkOptions | None = None,
        *,
        rounds: int | None = None,
        on_note: Callable[[str], None] = lambda note: None,
    ):
        self.options, self.note = options or BenchmarkOptions(), on_note
        self.name, self.threads, self.conditions = HOST, self.options.threads, HOST_CONDITIONS
        self._rounds = measure.ROUNDS if rounds is None else rounds
        self._rng = np.random.default_rng(0)
        self._reference: tuple[bytes | os.PathLike, Runner, measure.Reference] | None = None

    def describe(self) -> dict[str, str]:
        """As `Device.describe`."""
        return describe()

    def measure(
        self,
        models: Iterable[tuple[str, bytes | os.PathLike]],
        on_result: Callable[[Measurement], None] = lambda measurement: None,
    ) -> list[Measurement]:
        """As `Device.measure`; files are opened and timed in a process of their own, which one can bring down."""
        options = {"min_runs": self.options.runs, "min_seconds": self.options.min_seconds}
        measurements = []
        with tempfile.TemporaryDirectory(prefix="ofa_tf") as folder:
            files = []
            for index, (name, model) in enumerate(models):
                path = pathlib.Path(folder) / f"{index}.tflite" if isinstance(model, bytes) else model
                if isinstance(model, bytes):
                    path.write_bytes(model)
                files.append((name, path))
            # A file that cannot be run is found before anything is measured.
            for found in open_foreign_files([path for _, path in files], threads=self.threads):
                if isinstance(found, Exception):
                    raise found
            for name, path in files:
                found = open_foreign(path, threads=self.threads, **options)
                timing = found.timing
                latency = BlockLatency(timing.median_ms, timing.p95_ms, timing.std_ms, timing.count)
                facts = {**dataclasses.asdict(timing), "partitions": found.partitions}
                measurements.append(Measurement(name, latency, state=f"{found.partitions} partitions", facts=facts))
                on_result(measurements[-1])
        return measurements

    def compare(
        self,
        models: Sequence[bytes | pathlib.Path],
        *,
        rounds: int | None = None,
        seed: int = 0,
        quiet_ms: float | None = None,
        on_hot: Callable[[int], None] = lambda number: None,
        on_error: Callable[[int, str], None] | None = None,
    ) -> list[float]:
        """As `Device.compare`; by the first model that can be run, disturbed rounds are told and tried again."""
        del on_hot
        on_error = on_error or functools.partial(self._note_error, len(models))
        runners: dict[int, Runner] = {}
        for number, model in enumerate(models):
            try:
                runners[number] = self._runner(model)
            except InputError as error:
                on_error(number, str(error))
        times_ms = [math.inf] * len(models)
        if not runners:
            return times_ms
        rng, first = np.random.default_rng(seed), next(iter(runners))
        reference = measure.Reference(runners[first], None if first else quiet_ms)
        found_ms = measure.time_networks(list(runners.values()), reference, rounds=rounds or self._rounds, rng=rng)
        for number, time_ms in zip(runners, found_ms, strict=True):
            times_ms[number] = time_ms
        return times_ms

    def batch_blocks(self, network_blocks: int) -> int:
        """Two rows: the more, the longer until the table is written."""
        return 2 * network_blocks

    def measure_batch(
        self,
        models: Sequence[tuple[str, bytes | os.PathLike]],
        on_result: Callable[[Measurement], None],
        *,
        network_blocks: int,
        quiet_ms: float | None,
    ) -> None:
        """As `Device.measure_batch`, in rows of different blocks or alone (see `measure`)."""
        (empty_name, empty), (before, network), *blocks, (after, _) = models
        if self._reference is None or self._reference[0] != network:
            runner = self._runner(network)
            self._reference = network, runner, measure.Reference(runner, quiet_ms)
        _, filling, reference = self._reference
        latencies, empty_ms, level_ms = measure.time_blocks(
            [self._runner(model) for _, model in blocks],
            self._runner(empty),
            reference,
            row_length=self._row_length(network_blocks),
            filling=filling,
            rounds=self._rounds,
            rng=self._rng,
        )
        facts = {"quiet_ms": reference.quiet_ms}
        on_result(Measurement(empty_name, BlockLatency(empty_ms, None, 0.0, 1)))
        for name in (before, after):
            on_result(Measurement(name, BlockLatency(level_ms, None, 0.0, 1), facts=facts))
        for (name, _), latency in zip(blocks, latencies, strict=True):
            on_result(Measurement(name, latency))

    def method(self, network_blocks: int) -> str:
        """As `Device.method`."""
        length = self._row_length(network_blocks)
        how = f"in rows of {length} different blocks with fresh inputs" if length > 1 else "alone"
        return f"{how}: lower quartile of {self._rounds} rounds' medians"

    def _row_length(self, network_blocks: int) -> int:
        return network_blocks if self.threads == 1 else 1

    def _runner(self, model: bytes | os.PathLike) -> Runner:
        return Runner(model, threads=self.threads)


def describe() -> dict[str, str]:
    """What a measurement depends on, by name: processor, cores, operating system, versions of the software.

    Example:
        describe()["cpu"]
    """
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "os": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _cpu() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    names = {key.strip(): value.strip() for key, value in fields.items()}
    return names.get("model name") or platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
