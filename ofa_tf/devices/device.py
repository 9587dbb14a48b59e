"""`Device`: what models are measured on, whatever it is; and `Measurement`, what it says of one."""

import abc
import dataclasses
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ofa_tf.devices.benchmark_options import BenchmarkOptions
from ofa_tf.predictors.latency_table import BlockLatency, LatencyTable
from ofa_tf.spaces import Arch, Space

# Turns of models that are compared with each other, so that what changes on a device hits all of them.
ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What a device said of one model.

    Args:
        name: of the model, as it was given.
        latency: its times; None where it could not be measured.
        error: why not, one line; "" where it was.
        hot: whether the device was hot, in the coolest of several attempts.
        attempts: how often the model was run.
        state: how warm the device was after it, in words; "" where it is unknown.
        facts: what else is known of it, JSON-ready, by name.
        operations: the times of its operations, where they were asked for: node type, name and `mean_ms`.
    """

    name: str
    latency: BlockLatency | None
    error: str = ""
    hot: bool = False
    attempts: int = 1
    state: str = ""
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    operations: tuple = ()


class Device(abc.ABC):
    """Something that models are measured on; a context manager, which leaves nothing behind on it.

    A new kind is a subclass with `describe` and `measure`, and a line in `ofa_tf.devices.KINDS`.

    Attributes:
        name: as a user gives it.
        threads: of the interpreter.
        options: how models are measured.
        conditions: the names in `describe` that must be the same where a table is gone on with.

    Example:
        with devices.open("host") as device:
            [measurement] = device.measure([("a network", pathlib.Path("network.tflite"))])
            print(measurement.latency.median_ms)
    """

    name: str
    threads: int
    options: BenchmarkOptions
    conditions: tuple[str, ...] = ()

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_) -> None:
        """Leaves nothing behind; here there is nothing."""
        return None

    def __str__(self) -> str:
        return self.name

    @abc.abstractmethod
    def describe(self) -> dict[str, str]:
        """What a measurement depends on, by name, as tables record it; "cpu" is among them."""

    @abc.abstractmethod
    def measure(
        self,
        models: Iterable[tuple[str, bytes | os.PathLike]],
        on_result: Callable[[Measurement], None] = lambda measurement: None,
    ) -> list[Measurement]:
        """Measures models.

        Args:
            models: names, which say nothing to the device, and `.tflite` files, each its path or its content.
            on_result: called with each measurement at once, so that it is kept whatever comes.

        Returns:
            One measurement for each model, in their order; those that could not be measured say why.

        Raises:
            OfaError: the device is lost.
            InputError: a file cannot be read.
        """

    def compare(self, models: Sequence[bytes | pathlib.Path], *, rounds: int = ROUNDS, seed: int = 0) -> list[float]:
        """Times of models that are compared with each other, in milliseconds; infinite for what cannot be run.

        Args:
            models: `.tflite` files.
            rounds: turns of all models in shuffled order; the median counts.
            seed: of the order.
        """
        rng = np.random.default_rng(seed)
        jobs = [
            (f"{number} in round {turn}", models[number])
            for turn in range(rounds)
            for number in rng.permutation(len(models))
        ]
        times_ms: list[list[float]] = [[] for _ in models]
        for measurement in self.measure(jobs):
            if measurement.latency is not None:
                times_ms[int(measurement.name.split()[0])].append(measurement.latency.median_ms)
        return [float(np.median(times)) if times else math.inf for times in times_ms]

    def build_table(
        self,
        space: Space,
        precision: str,
        output: str | os.PathLike | None,
        *,
        resolutions: Sequence[int] | None = None,
        form: str | None = None,
        seed: int = 0,
        progress: bool = True,
        **options: Any,
    ) -> LatencyTable:
        """The latency table of a space's blocks on this device; what `output` holds is not measured again.

        Args:
            space: the space, with its number of classes.
            precision: one of `common.form.PRECISIONS`.
            output: the table's file, written all along; None keeps the table in memory.
            resolutions: image sides in pixels, all of the space's unless given.
            form: how networks are written, one of `common.form.FORMS`; the precision's default unless given.
            seed: of weights, inputs and order.
            progress: whether a bar is shown on stderr.
            options: of `device_table.build_device_table`, or for this machine of `table_builder.build_table`.

        Raises:
            InputError: a choice is unknown, or the file at `output` was measured under other conditions.
            OfaError: the device is lost, or cannot run some blocks; what was measured is in the file.
        """
        from ofa_tf.devices.device_table import build_device_table

        return build_device_table(
            space, resolutions, precision, self, output, form=form, seed=seed, progress=progress, **options
        )

    def time_networks(
        self, table: LatencyTable, space: Space, archs: Sequence[Arch], *, path: str = "latency table", seed: int = 0
    ) -> tuple[Sequence[float], float]:
        """Measures networks under a table's conditions.

        Args:
            table: says precision and form, and what it was measured on.
            space: the architectures' space.
            archs: the networks.
            path: the table's, for messages.
            seed: of weights and order.

        Returns:
            One time per network, and that of the space's reference network, in milliseconds.

        Raises:
            InputError: this device, or how it is measured on, is not the table's.
            OfaError: it cannot run a network.
        """
        from ofa_tf.devices.device_table import time_on_device

        return time_on_device(self, table, space, archs, path=path, seed=seed)
