"""`RemoteDevice`: what phones and computers by ssh have in common: LiteRT's `benchmark_model` measures models there.

The models of a batch go in one archive, one script measures them all (`batch_script`), and what it writes is read as it
comes. A model whose run failed, or that was hot, is run again, after all others. When the connection breaks, the device
is waited for and what is not measured yet goes on.
"""

import collections
import dataclasses
import hashlib
import os
import pathlib
import secrets
import shlex
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence

from ofa_tf.common import InputError, OfaError, write_text
from ofa_tf.devices.batch_script import (
    Begun,
    Cooling,
    Ended,
    Job,
    archive,
    batch_script,
    file_name,
    next_batch,
    read_events,
)
from ofa_tf.devices.benchmark_model import BenchmarkOptions, known_options
from ofa_tf.devices.benchmark_output import OutputError, read_run
from ofa_tf.devices.connection import CommandError, Connection, LostError, UnavailableError
from ofa_tf.devices.device import Device, Measurement

# How often a model is run whose run failed, and how often in a row a connection may break with nothing measured.
_ATTEMPTS = 2
_INTERRUPTIONS = 4
_UNPACK_SECONDS = 60.0
# What an earlier session left behind, because its connection broke: its processes, found by their folder, its files.
_CLEAN = """\
if [ -d {folder} ]; then
    ls -l /proc/[0-9]*/cwd 2>/dev/null | sed -n 's#.*/proc/\\([0-9]*\\)/cwd -> {folder}\\(/.*\\)*$#\\1#p' |
        while read -r pid; do kill -9 $pid 2>/dev/null; done
    rm -rf {folder}
fi
"""


class RemoteDevice(Device):
    """A device behind a `Connection`; a subclass sets `folder`, `tool` and `abi` on entering, and calls `prepare`.

    Output that cannot be read is kept in `log_folder`; a device that left is waited for, `patience_seconds`; it may say
    nothing for `silent_seconds`, as long as the longest run and some more unless given.
    """

    # A folder of this session's alone, without a character that a shell or `sed` would read.
    folder: str
    # The program, here (then it is pushed) or as the device's shell finds it.
    tool: pathlib.Path | str
    abi: str
    # What the tool is started through, such as `taskset`.
    prefix: Sequence[str] = ()

    def __init__(
        self,
        name: str,
        connection: Connection,
        options: BenchmarkOptions,
        *,
        log_folder: str | os.PathLike | None = None,
        patience_seconds: float = 60.0,
        silent_seconds: float | None = None,
        on_note: Callable[[str], None] = lambda note: None,
    ):
        self.name, self.connection, self.options, self.threads = name, connection, options, options.threads
        self._log_folder = None if log_folder is None else pathlib.Path(log_folder)
        self.patience_seconds, self.note = patience_seconds, on_note
        self._told_of_clock = False
        self._silent_seconds = 2 * options.max_seconds + 30 if silent_seconds is None else silent_seconds

    def prepare(self) -> None:
        """An empty folder with the tool, and nothing of an earlier session running; asks the tool for its options."""
        self.connection.shell(f"{_CLEAN.format(folder=self.folder)}mkdir -p {self.folder}")
        self._program = str(self.tool)
        if isinstance(self.tool, pathlib.Path):
            self._program = f"{self.folder}/benchmark_model"
            self.connection.push(self.tool, self._program)
            self.connection.shell(f"chmod 755 {self._program}")
        # It ends with an error when asked for help.
        said = self.connection.shell(f"{shlex.quote(self._program)} --help 2>&1 || true")
        self._arguments = self.options.arguments(known_options(said, self.tool, str(self), self.abi))

    def confirm(self) -> None:
        """What must be so before a batch is measured; here nothing."""

    def clean(self) -> None:
        """Ends what runs in the folder, and removes it."""
        self.connection.shell(_CLEAN.format(folder=self.folder))

    def measure(
        self,
        models: Iterable[tuple[str, bytes | os.PathLike]],
        on_result: Callable[[Measurement], None] = lambda measurement: None,
    ) -> list[Measurement]:
        """As `Device.measure`."""
        jobs = [Job(name, model) for name, model in models]
        waiting = collections.deque(jobs)
        done: dict[Job, Measurement] = {}
        interruptions = 0
        while waiting:
            batch = next_batch(waiting)
            left = dict(enumerate(batch))
            running: int | None = None
            if interruptions:
                self.connection.wait(self.patience_seconds, self.note)
            try:
                if interruptions:
                    self.prepare()
                self.confirm()
                for event in self._events(batch):
                    if isinstance(event, Begun):
                        running = event.index
                    elif isinstance(event, Ended):
                        running, interruptions = None, 0
                        job = left.pop(event.index)
                        if measurement := self._judge(job, event):
                            done[job] = measurement
                            on_result(measurement)
                        else:
                            waiting.append(job)
            except LostError as error:
                interruptions += 1
                if interruptions > _INTERRUPTIONS:
                    raise
                self.note(f"{error}; waiting for it")
                if running is not None and (measurement := self._blame(left[running], error)):
                    done[left.pop(running)] = measurement
                    on_result(measurement)
            waiting.extend(left.values())
        return [done[job] for job in jobs]

    def _events(self, batch: Sequence[Job]) -> Iterator[Begun | Ended]:
        word = secrets.token_hex(8)
        paths = [file_name(index, job.name) for index, job in enumerate(batch)]
        script = batch_script(word, [*self.prefix, self._program, *self._arguments], paths, self.options)
        files = {path: job.content() for path, job in zip(paths, batch, strict=True)}
        with tempfile.TemporaryDirectory(prefix="ofa_tf") as folder:
            packed = pathlib.Path(folder) / "batch.tar"
            packed.write_bytes(archive({**files, "run.sh": script.encode()}))
            self.connection.push(packed, f"{self.folder}/batch.tar")
        self._unpack()
        command = f"cd {self.folder}/batch && sh run.sh; cd {self.folder} && rm -rf batch"
        missing = len(batch)
        for event in read_events(word, self.connection.lines(command, silent_seconds=self._silent_seconds)):
            missing -= isinstance(event, Ended)
            if isinstance(event, Cooling):
                self.note(f"{self}: cools down ({event.reading}, {event.waited_seconds} s so far)")
            else:
                yield event
        if missing:
            raise LostError(f"{self}: the script that measures was ended, {missing} models before its end")

    def _unpack(self) -> None:
        command = f"cd {self.folder} && rm -rf batch && mkdir batch && tar -xf batch.tar -C batch && rm batch.tar"
        try:
            self.connection.shell(command, timeout_seconds=_UNPACK_SECONDS)
        except CommandError as error:
            if "No space left" in error.output:
                raise UnavailableError(
                    f"{self}: no room to unpack models; free some of its storage and give the same command"
                ) from error
            raise LostError(str(error)) from error

    def _judge(self, job: Job, ended: Ended) -> Measurement | None:
        """The final measurement of a model, None where it is to be run again."""
        job.attempts += 1
        try:
            output, operations = read_run(ended.text, ended.code, self.options)
        except OutputError as error:
            job.failures += 1
            where = self._log(job, error)
            if error.unknown_options:
                raise InputError(
                    f"{self.tool}: {error}, which measurements here need{where}; give another --benchmark_binary"
                ) from error
            again = job.failures < _ATTEMPTS and not error.final
            return None if again else _failed(job, f"{error}{where}")
        limits = self.options.hot_status, self.options.hot_celsius
        hot = ended.before.is_hot(*limits) or ended.after.is_hot(*limits)
        if output.below_clock and not self._told_of_clock:
            self._told_of_clock = True
            self.note(
                f"{self}: {job.name}: half of its runs or more took 0 us by benchmark_model's clock; its mean is taken "
                f"for its median, here and wherever that is so"
            )
        told = {"below_clock": output.below_clock, "battery_celsius": ended.after.battery_celsius}
        facts = {**dataclasses.asdict(output), **told}
        new = Measurement(job.name, output.latency, hot=hot, state=str(ended.after), facts=facts, operations=operations)
        order = hot, ended.after.warmth
        if job.best is None or order < job.order:
            job.best, job.order = new, order
        job.best = dataclasses.replace(job.best, attempts=job.attempts)
        return None if hot and job.attempts - job.failures < self.options.hot_attempts else job.best

    def _blame(self, job: Job, error: LostError) -> Measurement | None:
        """The same for a model in whose run the device was lost: perhaps the model's fault."""
        job.attempts += 1
        job.failures += 1
        return _failed(job, f"the device was lost each time it ran: {error}") if job.failures > _ATTEMPTS else None

    def _log(self, job: Job, error: OutputError) -> str:
        if self._log_folder is None:
            return ""
        name = hashlib.sha256(f"{self.name} {job.name}".encode(errors="backslashreplace")).hexdigest()[:12]
        path = self._log_folder / f"benchmark_{name}_{job.attempts}.log"
        try:
            write_text(path, f"{self}\nmodel {job.name}\n{error}\n\n{error.text}")
        except OfaError as unwritable:
            # One model's log is no reason to end all others.
            return f"; its output is lost: --log_folder: {unwritable}"
        return f"; its output is in {path}"


def _failed(job: Job, error: str) -> Measurement:
    if job.best is not None:
        # It was measured, hot, before.
        return dataclasses.replace(job.best, attempts=job.attempts)
    return Measurement(job.name, None, error, attempts=job.attempts)
