"""The machine that this runs on, as a device."""

import dataclasses
import importlib.metadata
import math
import os
import pathlib
import platform
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.devices import HOST
from ofa_tf.devices.benchmark_model import BenchmarkOptions
from ofa_tf.devices.device import ROUNDS, Device, Measurement
from ofa_tf.predictors.latency_table import HOST_CONDITIONS, BlockLatency, LatencyTable
from ofa_tf.spaces import Arch, Space

_PACKAGES = ("ai-edge-litert", "tensorflow")


class Host(Device):
    """This machine, through `ai_edge_litert`.

    Args:
        options: threads, runs and seconds; the rest is for phones.
        rounds: turns in which blocks and networks are timed, see `measure`.

    Example:
        with Host() as device:
            table = device.build_table(spaces.get("ofa_tiny"), "int8", "host_int8.json")
    """

    def __init__(self, options: BenchmarkOptions | None = None, *, rounds: int | None = None):
        self.options = options or BenchmarkOptions()
        self.name, self.threads, self.conditions = HOST, self.options.threads, HOST_CONDITIONS
        if self.options.profile:
            raise InputError(f"--op_profiling: is for phones, --device is {HOST}; leave it out")
        self._rounds = {} if rounds is None else {"rounds": rounds}

    def describe(self) -> dict[str, str]:
        return describe()

    def measure(
        self,
        models: Iterable[tuple[str, bytes | os.PathLike]],
        on_result: Callable[[Measurement], None] = lambda measurement: None,
    ) -> list[Measurement]:
        """As `Device.measure`; files are opened and timed in a process of their own, which one can bring down."""
        from ofa_tf.deploy import open_foreign, open_foreign_files

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

    def compare(self, models: Sequence[bytes | pathlib.Path], *, rounds: int = ROUNDS, seed: int = 0) -> list[float]:
        """As `Device.compare`; the least disturbed round counts, a median of at least 10 runs."""
        from ofa_tf.deploy import Runner
        from ofa_tf.devices.measure import random_input

        rng = np.random.default_rng(seed)
        runners = [Runner(data, threads=self.threads) for data in models]
        for runner in runners:
            runner.fill(random_input(runner, rng))
        times_ms = np.full((rounds, len(runners)), np.inf)
        for turn in times_ms:
            for index in rng.permutation(len(runners)):
                turn[index] = runners[index].time(10, 0.05, warmup_runs=2).median_ms
        return times_ms.min(axis=0, initial=math.inf).tolist()

    def build_table(self, space: Space, precision: str, output, *, resolutions=None, **options: Any) -> LatencyTable:
        """As `Device.build_table`, by rows of blocks (see `measure`)."""
        from ofa_tf.devices.table_builder import build_table

        return build_table(space, resolutions, precision, self.threads, output, **self._rounds, **options)

    def time_networks(
        self, table: LatencyTable, space: Space, archs: Sequence[Arch], *, path: str = "latency table", seed: int = 0
    ) -> tuple[list[float], float]:
        """As `Device.time_networks`, beside the reference network, by which disturbed rounds are told."""
        from ofa_tf.devices.table_builder import time_on_host

        cpu = describe()["cpu"]
        if table.device != HOST or table.versions.get("cpu") != cpu:
            raise InputError(
                f"{path}: of {table.device} ({table.versions.get('cpu')}), but this machine is {HOST} ({cpu}); "
                f"verify it there"
            )
        return time_on_host(table, space, archs, seed=seed, **self._rounds)


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
