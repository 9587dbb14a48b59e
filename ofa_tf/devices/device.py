"""`Device`: what models are measured on, whatever it is; and `Measurement`, what it says of one."""

import abc
import dataclasses
import functools
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.devices.benchmark_model import BenchmarkOptions
from ofa_tf.predictors.latency_table import BlockLatency, LatencyTable
from ofa_tf.spaces import Arch, Space

if TYPE_CHECKING:
    from ofa_tf.devices.block_models import ModelCache

# Turns of models that are compared with each other, so that what changes on a device hits all of them.
ROUNDS = 3
# One push, one script.
BATCH_BLOCKS = 24
# A device that is slower than that, against its fastest, has drifted: those blocks are measured again.
TOLERANCE = 1.05


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
        tells_heat: whether it says how warm it is.
        note: told what a user should know; nobody unless given.

    Example:
        with devices.open("host") as device:
            [measurement] = device.measure([("a network", pathlib.Path("network.tflite"))])
            print(measurement.latency.median_ms)
    """

    name: str
    threads: int
    options: BenchmarkOptions
    conditions: tuple[str, ...] = ()
    tells_heat = False
    note: Callable[[str], None] = staticmethod(lambda text: None)

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_) -> None:
        """Leaves nothing behind; here there is nothing."""
        return None

    def __str__(self) -> str:
        return self.name

    @property
    def table_name(self) -> str:
        """What tables call it, whatever it is reached by."""
        return self.name

    def check_name(self, path: str | os.PathLike, name: str) -> None:
        """Raises `InputError` where a table at a path, equal in all else, calls its device by a name of another one."""
        if name not in (self.name, self.table_name):
            raise InputError(
                f"{path}: holds a table of device {name!r}, to go on with it {self.table_name!r} was expected; give "
                f"another file, or measure as then"
            )

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
        """Times of models that are compared with each other, in milliseconds; infinite for what cannot be run.

        A note says how many were hot.

        Args:
            models: `.tflite` files.
            rounds: turns of all models in shuffled order, the median counts; 3 unless given.
            seed: of the order.
            quiet_ms: the first one's time on the undisturbed device, where that is known.
            on_hot: called with the number of each model of which a run that counts was hot.
            on_error: called with the number of each model that cannot be run, and why; a note says so unless given.
        """
        del quiet_ms
        on_error = on_error or functools.partial(self._note_error, len(models))
        rng = np.random.default_rng(seed)
        jobs = [
            (f"{number} in round {turn}", models[number])
            for turn in range(rounds or ROUNDS)
            for number in rng.permutation(len(models))
        ]
        times_ms: list[list[float]] = [[] for _ in models]
        errors: dict[int, str] = {}
        hot: set[int] = set()
        for measurement in self.measure(jobs):
            number = int(measurement.name.split()[0])
            if measurement.latency is None:
                errors[number] = measurement.error
                continue
            times_ms[number].append(measurement.latency.median_ms)
            if measurement.hot:
                hot.add(number)
        for number, times in enumerate(times_ms):
            if not times:
                on_error(number, errors[number])
        if hot:
            self.note(f"{self}: {len(hot)} of {len(models)} networks were measured hot; cool, they may be faster")
        for number in sorted(hot):
            on_hot(number)
        return [float(np.median(times)) if times else math.inf for times in times_ms]

    def _note_error(self, count: int, number: int, error: str) -> None:
        self.note(f"{self}: network {number + 1} of {count} cannot be run: {error}")

    def batch_blocks(self, network_blocks: int) -> int:
        """About how many blocks are measured between two looks at the reference network; a network has so many."""
        del network_blocks
        return BATCH_BLOCKS

    def measure_batch(
        self,
        models: Sequence[tuple[str, bytes | os.PathLike]],
        on_result: Callable[[Measurement], None],
        *,
        network_blocks: int,
        quiet_ms: float | None,
    ) -> None:
        """Measures blocks for a table.

        Args:
            models: names and files: an empty model, whose time is the cost of a call; the reference network; the
                blocks; the reference network again.
            on_result: as for `measure`; the slower of the reference network's times tells how disturbed the device was,
                and `facts` may hold its time on the undisturbed device, "quiet_ms".
            network_blocks: how many blocks a network has.
            quiet_ms: its time on the undisturbed device, where that is known.
        """
        del network_blocks, quiet_ms
        self.measure(models, on_result)

    def method(self, network_blocks: int) -> str:
        """How `measure_batch` times a block, in words, for the table."""
        del network_blocks
        options = self.options
        return f"alone by benchmark_model, at least {options.runs} runs and {options.min_seconds:g} s, in random order"

    def build_table(
        self,
        space: Space,
        precision: str,
        output: str | os.PathLike | None,
        *,
        resolutions: Sequence[int] | None = None,
        form: str | None = None,
        tolerance: float = TOLERANCE,
        seed: int = 0,
        cache: "ModelCache | None" = None,
        progress: bool = True,
        on_batch: Callable[[int, int], None] = lambda done, total: None,
    ) -> LatencyTable:
        """Measures the blocks of a space that the table at `output` does not hold yet, in random order.

        The table is written all along: an interrupted build goes on and measures no block twice.

        Args:
            space: the space, with its number of classes.
            precision: one of `common.form.PRECISIONS`.
            output: the table's file; None keeps the table in memory.
            resolutions: image sides in pixels, all of the space's unless given.
            form: how networks are written, one of `common.form.FORMS`; the precision's default unless given.
            tolerance: batches in which a reference network took more than this much of its fastest time are measured
                once more, and the less disturbed of the two counts; those of an interrupted build, too.
            seed: of weights, inputs and order.
            cache: of converted models; the user's unless given.
            progress: whether a bar is shown on stderr.
            on_batch: told after each batch how many blocks of how many the table holds.

        Returns:
            The table; its `versions` say what measured, and how.

        Raises:
            InputError: a choice is unknown, or the file at `output` was measured under other conditions.
            OfaError: the device is lost, or cannot run some blocks; what was measured is in the file.

        Example:
            with devices.open("host") as device:
                table = device.build_table(spaces.get("ofa_tiny"), "int8", "host_int8.json")
        """
        from ofa_tf.devices.table_builder import build_table

        return build_table(
            self, space, precision, output, resolutions=resolutions, form=form, tolerance=tolerance, seed=seed,
            cache=cache, progress=progress, on_batch=on_batch,
        )  # fmt: skip

    def time_networks(
        self,
        table: LatencyTable,
        space: Space,
        archs: Sequence[Arch],
        *,
        path: str = "latency table",
        seed: int = 0,
        on_hot: Callable[[int], None] = lambda number: None,
    ) -> tuple[list[float], float]:
        """Measures networks under a table's conditions.

        Args:
            table: says precision and form, and what it was measured on.
            space: the architectures' space.
            archs: the networks.
            path: the table's, for messages.
            seed: of weights and order.
            on_hot: as of `compare`; 0 is the reference network, those of the argument follow.

        Returns:
            One time per network, and that of the space's reference network, in milliseconds.

        Raises:
            InputError: this device, or how it is measured on, is not the table's.
            OfaError: it cannot run a network.
        """
        from ofa_tf.devices.table_builder import time_networks

        return time_networks(self, table, space, archs, path=path, seed=seed, on_hot=on_hot)
