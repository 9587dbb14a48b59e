"""`TargetDevices`: the latency tables and measurements that targets need, on whatever devices are here."""

import dataclasses
import pathlib
import re
import statistics
import traceback
from collections.abc import Callable, Hashable, Sequence

from ofa_tf import devices
from ofa_tf.common import InputError, OfaError, write_text
from ofa_tf.devices import BenchmarkOptions, Settings
from ofa_tf.devices.connection import UnavailableError
from ofa_tf.search.constraint import LatencyPredictor
from ofa_tf.spaces import Space
from ofa_tf.specialize.predictors import open_latency_predictor
from ofa_tf.specialize.target import Target

# Whole networks that correct a new table, and others that tell how well.
_CORRECTING, _CHECKING = 6, 4
# How a file is timed; and each block on a phone.
_RUNS, _SECONDS = 50, 0.4
_TABLE_RUNS, _TABLE_SECONDS = 20, 0.02
# The median of so many counts on this machine, so that one busy moment does not decide.
_TURNS = 3
# Phones that run on this machine: emulators, and those of tests.
_HERE = re.compile(r"emulator-\d+|127\.0\.0\.1:\d+|localhost:\d+")


class TargetDevices:
    """What targets are measured on.

    Args:
        folder: of the tables that are built here.
        settings: where programs and logs of devices are, and in how many turns this machine is measured.
        options: how phones are treated; threads, runs and seconds are the targets'.
        say: told what happens.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        settings: Settings | None = None,
        options: BenchmarkOptions | None = None,
        say: Callable[[str], None] = lambda text: None,
    ):
        self._folder, self._say = folder, say
        self._settings, self._options = settings or Settings(), options or BenchmarkOptions()
        self._attached: dict[str, bool] = {}
        # Of each device that is here, and by each of its names: all that targets call it.
        self._devices: dict[Hashable, list[str]] = {}
        self._names: dict[str, list[str]] = {}
        self._errors: dict[pathlib.Path, OfaError] = {}
        # Targets whose table is of other files.
        self._told: set[str] = set()

    def is_attached(self, device: str) -> bool:
        """Whether files can be measured on it; a phone under a second serial is told of."""
        if device not in self._attached:
            try:
                self._attached[device] = devices.attached(device, self._settings)
                if self._attached[device]:
                    names = self._devices.setdefault(devices.identity(device, self._settings), [])
                    if names:
                        self._say(f"{device}: the same phone as {names[0]}; they have one table")
                    names.append(device)
                    self._names[device] = names
            except OfaError as error:
                self._say(f"{device}: nobody can tell whether it is here: {error}")
                self._attached[device] = False
        return self._attached[device]

    def tell_missing(self, targets: Sequence[Target]) -> None:
        """Tells of devices that are not here now, of which targets limit the latency and have no table, and of others
        that cannot be used; raises `InputError` for a mistake in their names or settings."""
        for target in {it.device: it for it in targets if "latency_ms" in it.limits}.values():
            if target.device == devices.HOST or not self.is_attached(target.device):
                continue
            try:
                with self._open(target, _RUNS, _SECONDS):
                    pass
            except OfaError as error:
                if isinstance(error, InputError) and not isinstance(error, UnavailableError):
                    raise
                self._say(f"device {target.device}: cannot be used now: {error}")
        wanted = [it for it in targets if "latency_ms" in it.limits and it.latency_table is None]
        for device in dict.fromkeys(it.device for it in wanted if not self.table_path(it).exists()):
            if not self.is_attached(device):
                self._say(
                    f"device {device}: is not here, and no latency_table is given; what limits its latency fails in "
                    f"the end unless it is attached by then (python -m mobile_bench.devices lists what is)"
                )

    def machine(self, device: str) -> str:
        """Which machine a device is: "host" for an emulator that runs here, one name for all serials of a phone."""
        names = self._names.get(device, [device])
        return devices.HOST if any(map(_HERE.fullmatch, names)) else names[0]

    def table_path(self, target: Target) -> pathlib.Path:
        """Where the table is that predicts a target's latency."""
        if target.latency_table is not None:
            return pathlib.Path(target.latency_table)
        conditions = f"{target.precision}_{target.file_form()}_{target.threads}threads"
        paths = [
            self._folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', f'{name}_{conditions}')}.json"
            for name in self._names.get(target.device, [target.device])
        ]
        # One that was begun under another of the device's names is gone on with.
        return next((path for path in paths if path.exists()), paths[0])

    def table(self, target: Target) -> LatencyPredictor | None:
        """The table that predicts a target's latency, None where that is not limited.

        Raises:
            OfaError: it cannot be read, or could not be built.
        """
        if "latency_ms" not in target.limits:
            return None
        path = self.table_path(target)
        if path in self._errors:
            raise self._errors[path]
        if target.latency_table is None and not path.exists():
            if self.is_attached(target.device):
                raise InputError(
                    f"device {target.device}: no latency_table is given, and one is built only where the supernet's "
                    f"weights are here; give its table, or the supernet"
                )
            raise InputError(
                f"device {target.device}: is not here, and no latency_table is given; attach it (python -m "
                f"mobile_bench.devices lists what is), or give its table"
            )
        table = open_latency_predictor(str(path))
        others = other_files(table, target)
        if others and target.name not in self._told:
            self._told.add(target.name)
            self._say(
                f"target {target.name}: {path} counts as a table of {', '.join(others)}: what it predicts is of other "
                f"files than the target's"
            )
        return table

    def build_tables(self, wanted: Sequence[tuple[Target, Space, Sequence[int]]]) -> None:
        """Builds the tables of attached devices that targets come without; what is there is not measured again.

        A table that cannot be built is told where it is asked for: by `table`.

        Args:
            wanted: targets on attached devices, with their spaces and the image sides that are searched.
        """
        groups: dict[pathlib.Path, list[tuple[Target, Space, Sequence[int]]]] = {}
        for target, space, sides in wanted:
            if "latency_ms" in target.limits and target.latency_table is None:
                groups.setdefault(self.table_path(target), []).append((target, space, sides))
        for path, group in groups.items():
            target, space, _ = group[0]
            wished = sorted({side for *_, sides in group for side in sides})
            # A target that asks for others is told so by its own search, and costs the group nothing.
            sides = [side for side in wished if side in space.resolutions] or wished
            self._say(f"latency table of {target.device}, {target.precision}: {path}")
            try:
                self._build(path, target, space, sides)
            except OfaError as error:
                self._errors[path] = error
            except Exception as error:
                whole = path.with_suffix(".error.txt")
                write_text(whole, traceback.format_exc())
                self._errors[path] = OfaError(
                    f"{path}: could not be built, an error of the program, {type(error).__name__}: {error} (all of it "
                    f"in {whole})"
                )

    def _open(self, target: Target, runs: int, seconds: float) -> devices.Device:
        options = dataclasses.replace(self._options, threads=target.threads, runs=runs, min_seconds=seconds)
        settings = self._settings
        if target.device == devices.HOST:
            # What measures on the phones of other targets is nothing to this machine.
            options = dataclasses.replace(options, delegate=BenchmarkOptions.delegate)
            settings = dataclasses.replace(settings, benchmark_binary=None, litert_version=None)
        return devices.open(target.device, options, settings)

    def _build(self, path: pathlib.Path, target: Target, space: Space, sides: Sequence[int]) -> None:
        options = {"resolutions": sides, "form": target.file_form()}
        with self._open(target, _TABLE_RUNS, _TABLE_SECONDS) as device:
            table = device.build_table(space, target.precision, path, **options)
            # On phones whole networks cost minutes: there the file's own measurement decides.
            if target.device != devices.HOST or table.correction is not None:
                return
            checked, _ = devices.verified_table(
                device, space, target.precision, path, networks=_CHECKING, correct=_CORRECTING, say=self._say, **options
            )
        self._say(f"    {checked.summary()}")

    def measure_ms(self, target: Target, path: pathlib.Path) -> float:
        """The latency of a target's file on its device, in milliseconds.

        Raises:
            OfaError: the device does not run it, or is lost.
        """
        turns = _TURNS if target.device == devices.HOST else 1
        try:
            with self._open(target, _RUNS, _SECONDS) as device:
                measurements = device.measure([(target.name, path)] * turns)
        except InputError as error:
            # A phone without room, say: no mistake of the target's.
            raise OfaError(str(error)) from error
        for measurement in measurements:
            if measurement.latency is None:
                raise OfaError(f"{target.device}: {measurement.error}")
            if measurement.hot:
                self._say(f"    {target.name}: measured hot ({measurement.state}); it may be faster on a cool phone")
        return statistics.median(measurement.latency.median_ms for measurement in measurements)


def other_files(table: LatencyPredictor, target: Target, form: str | None = None) -> list[str]:
    """In what the files that a table is of differ from a target's, or from one that was made in `form`.

    Of a regression nobody knows; of a published table nobody knows the form.
    """
    own = {"precision": target.precision, "form": form or target.file_form(table), "threads": target.threads}
    stated = {name: getattr(table, name, value) for name, value in own.items()}
    if getattr(table, "stated_form", None) is None:
        del own["form"]
    return [f"{name} {stated[name]}, not {own[name]}" for name in own if stated[name] != own[name]]
