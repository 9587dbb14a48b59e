"""`Phone`: a phone that models are measured on, from its first push to its cleaned folder."""

import collections
import dataclasses
import hashlib
import os
import pathlib
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Sequence

from ofa_tf.common import InputError, OfaError, brief, write_text
from ofa_tf.devices import Settings
from ofa_tf.devices.adb import Adb, AdbDevice, AdbError, CommandError
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
from ofa_tf.devices.benchmark_binary import VERSION, BenchmarkBinary, find_binary
from ofa_tf.devices.benchmark_options import BenchmarkOptions
from ofa_tf.devices.benchmark_output import BenchmarkOutput, OutputError, read_operations, read_output
from ofa_tf.devices.device import Device, Measurement
from ofa_tf.devices.phone_facts import PhoneFacts, PhoneLock, core_mask
from ofa_tf.predictors.latency_table import PHONE_CONDITIONS

FOLDER = "/data/local/tmp/ofa_tf"
# How often a model is run whose run failed, and how often in a row a connection may break with nothing measured.
_ATTEMPTS = 2
_INTERRUPTIONS = 4
_OF_PROCESSOR = ("none", "xnnpack")
_QUIET_GOVERNOR = "performance"
_OPTION = re.compile(r"^\s*--([a-z0-9_]+)=", re.M)
# What an earlier session left behind, because its connection broke: its processes, found by their folder, its files.
_CLEAN = """\
if [ -d {folder} ]; then
    ls -l /proc/[0-9]*/cwd 2>/dev/null | sed -n 's#.*/proc/\\([0-9]*\\)/cwd -> {folder}\\(/.*\\)*$#\\1#p' |
        while read -r pid; do kill -9 $pid 2>/dev/null; done
    rm -rf {folder}
fi
"""


class _FellBackError(OutputError):
    """The delegate that was asked for did not run the model."""


class Phone(Device):
    """A session on one phone; a context manager, which leaves nothing on the phone behind.

    Args:
        device: from `Adb.device`.
        binary: for the phone's ABI.
        options: how models are measured.
        log_folder: where output that cannot be read is written; nowhere unless given.
        patience_seconds: how long a phone that left is waited for.
        silent_seconds: how long it may say nothing; the time of the longest run, and some, unless given.
        on_note: called with notes for the user: a warning, a phone that cools down or comes back.

    Raises:
        InputError: on entering: another process measures on it, or its tool cannot do what the options ask for.
        AdbError: likewise: it does not answer.

    Example:
        with Phone(device, find_binary(facts.abi), BenchmarkOptions(threads=2)) as phone:
            measurements = phone.measure([("block", data), ("network", pathlib.Path("net.tflite"))])
    """

    def __init__(
        self,
        device: AdbDevice,
        binary: BenchmarkBinary,
        options: BenchmarkOptions,
        *,
        log_folder: str | os.PathLike | None = None,
        patience_seconds: float = 60.0,
        silent_seconds: float | None = None,
        on_note: Callable[[str], None] = lambda note: None,
    ):
        self.device, self.binary, self.options = device, binary, options
        self.name, self.threads, self.conditions = device.serial, options.threads, PHONE_CONDITIONS
        self._log_folder = None if log_folder is None else pathlib.Path(log_folder)
        self._patience_seconds, self.note = patience_seconds, on_note
        self._silent_seconds = 2 * options.max_seconds + 30 if silent_seconds is None else silent_seconds
        self._lock = PhoneLock(device.serial)

    def __enter__(self) -> "Phone":
        self._lock.acquire()
        try:
            self.facts = PhoneFacts.read(self.device)
            mask = core_mask(self.facts.cores, self.options.threads) if self.facts.cores else 0
            # A delegate's own processor has nothing to do with cores.
            self.core_mask = mask if self.options.delegate in _OF_PROCESSOR else 0
            self._arguments = self.options.arguments(self._prepare())
        except BaseException:
            self.__exit__()
            raise
        if set(self.facts.governors) - {_QUIET_GOVERNOR}:
            self.note(
                f"phone {self.device.serial}: its cores' governor is {'/'.join(self.facts.governors)}, not "
                f"{_QUIET_GOVERNOR}: frequencies, and times, will vary"
            )
        return self

    def __exit__(self, *_) -> None:
        try:
            self.device.shell(_CLEAN.format(folder=FOLDER))
        except OfaError as error:
            # The next session does it.
            self.note(f"phone {self.device.serial}: {FOLDER} may be left on it ({error})")
        finally:
            self._lock.release()

    def __str__(self) -> str:
        return f"phone {self.name}"

    def describe(self) -> dict[str, str]:
        return {
            "cpu": self.facts.soc,
            "cores": self.facts.core_text,
            "core mask": f"{self.core_mask:x}" if self.core_mask else "all",
            "governor": "/".join(self.facts.governors) or "unknown",
            "os": f"Android {self.facts.android}",
            "model": self.facts.model,
            "fingerprint": self.facts.fingerprint,
            "abi": self.facts.abi,
            "delegate": self.options.delegate,
            "benchmark_model": f"SHA-256 {self.binary.sha256}",
        }

    def measure(
        self,
        models: Iterable[tuple[str, bytes | os.PathLike]],
        on_result: Callable[[Measurement], None] = lambda measurement: None,
    ) -> list[Measurement]:
        """As `Device.measure`.

        A model whose run failed, or that was hot, is run again, after all others. When the connection breaks, the phone
        is waited for and what is not measured yet goes on.
        """
        jobs = [Job(name, model) for name, model in models]
        waiting = collections.deque(jobs)
        done: dict[Job, Measurement] = {}
        interruptions = 0
        while waiting:
            batch = next_batch(waiting)
            left = dict(enumerate(batch))
            running: int | None = None
            if interruptions:
                self.device.wait(self._patience_seconds)
            try:
                if interruptions:
                    self._prepare()
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
            except AdbError as error:
                interruptions += 1
                if interruptions > _INTERRUPTIONS:
                    raise
                self.note(f"{error}; waiting for it")
                if running is not None and (measurement := self._blame(left[running], error)):
                    done[left.pop(running)] = measurement
                    on_result(measurement)
            waiting.extend(left.values())
        return [done[job] for job in jobs]

    def _prepare(self) -> set[str]:
        """An empty folder with the tool, and nothing of an earlier session running; the options that the tool knows."""
        self.device.shell(f"{_CLEAN.format(folder=FOLDER)}mkdir -p {FOLDER}")
        self.device.push(self.binary.path, f"{FOLDER}/benchmark_model")
        # It ends with an error when asked for help.
        said = self.device.shell(f"cd {FOLDER} && chmod 755 benchmark_model && ./benchmark_model --help 2>&1 || true")
        known = set(_OPTION.findall(said))
        if "graph" not in known:
            raise InputError(
                f"{self.binary.path}: does not run on phone {self.device.serial} ({brief(said) or 'silent'}); "
                f"give a benchmark_model for {self.facts.abi} with --benchmark_binary=PATH"
            )
        return known

    def _events(self, batch: Sequence[Job]):
        word = secrets.token_hex(8)
        paths = [file_name(index, job.name) for index, job in enumerate(batch)]
        prefix = ["taskset", f"{self.core_mask:x}"] if self.core_mask else []
        script = batch_script(
            word,
            [*prefix, "../benchmark_model", *self._arguments],
            paths,
            hot_status=self.options.hot_status,
            hot_celsius=self.options.hot_celsius,
            cooling_seconds=self.options.cooling_seconds,
        )
        files = {path: job.content() for path, job in zip(paths, batch, strict=True)}
        with tempfile.TemporaryDirectory(prefix="ofa_tf") as folder:
            packed = pathlib.Path(folder) / "batch.tar"
            packed.write_bytes(archive({**files, "run.sh": script.encode()}))
            self.device.push(packed, f"{FOLDER}/batch.tar")
        self._unpack()
        command = f"cd {FOLDER}/batch && sh run.sh; cd {FOLDER} && rm -rf batch"
        missing = len(batch)
        for event in read_events(word, self.device.lines(command, silent_seconds=self._silent_seconds)):
            missing -= isinstance(event, Ended)
            if isinstance(event, Cooling):
                self.note(f"phone {self.device.serial}: cools down ({event.reading}, {event.waited_seconds} s so far)")
            yield event
        if missing:
            raise AdbError(
                f"phone {self.device.serial}: the script that measures was ended, {missing} models before its end"
            )

    def _unpack(self) -> None:
        command = f"cd {FOLDER} && rm -rf batch && mkdir batch && tar -xf batch.tar -C batch && rm batch.tar"
        try:
            self.device.shell(command, timeout_seconds=60)
        except CommandError as error:
            if "No space left" in error.output:
                raise InputError(
                    f"phone {self.device.serial}: no room to unpack models; free some of its storage and give the same "
                    f"command"
                ) from error
            raise AdbError(str(error)) from error

    def _judge(self, job: Job, ended: Ended) -> Measurement | None:
        """The final measurement of a model, None where it is to be run again."""
        job.attempts += 1
        try:
            output = self._read(ended)
            operations = tuple(read_operations(ended.text)) if self.options.profile else ()
        except OutputError as error:
            job.failures += 1
            where = self._log(job, error)
            if error.unknown_options:
                raise InputError(
                    f"{self.binary.path}: {error}, which measurements here need{where}; give another --benchmark_binary"
                ) from error
            again = job.failures < _ATTEMPTS and not isinstance(error, _FellBackError)
            return None if again else _failed(job, f"{error}{where}")
        limits = self.options.hot_status, self.options.hot_celsius
        hot = ended.before.is_hot(*limits) or ended.after.is_hot(*limits)
        facts = {**dataclasses.asdict(output), "battery_celsius": ended.after.battery_celsius}
        new = Measurement(job.name, output.latency, hot=hot, state=str(ended.after), facts=facts, operations=operations)
        order = hot, ended.after.warmth
        if job.best is None or order < job.order:
            job.best, job.order = new, order
        job.best = dataclasses.replace(job.best, attempts=job.attempts)
        return None if hot and job.attempts - job.failures < self.options.hot_attempts else job.best

    def _blame(self, job: Job, error: AdbError) -> Measurement | None:
        """The same for a model in whose run the phone was lost: perhaps the model's fault."""
        job.attempts += 1
        job.failures += 1
        return _failed(job, f"the phone was lost each time it ran: {error}") if job.failures > _ATTEMPTS else None

    def _read(self, ended: Ended) -> BenchmarkOutput:
        if ended.code:
            said = brief(ended.text[-400:])
            raise OutputError(f"benchmark_model ended with exit code {ended.code} ({said})", ended.text)
        output = read_output(ended.text)
        # What XNNPACK does not take, the processor runs inside networks, too.
        if not output.delegated and self.options.delegate not in _OF_PROCESSOR:
            raise _FellBackError(
                f"--delegate={self.options.delegate} was not used: the phone ran the model on its processor", ended.text
            )
        return output

    def _log(self, job: Job, error: OutputError) -> str:
        if self._log_folder is None:
            return ""
        name = hashlib.sha256(f"{self.device.serial} {job.name}".encode()).hexdigest()[:12]
        path = self._log_folder / f"benchmark_{name}_{job.attempts}.log"
        write_text(path, f"phone {self.device.serial}\nmodel {job.name}\n{error}\n\n{error.text}")
        return f"; its output is in {path}"


def _failed(job: Job, error: str) -> Measurement:
    if job.best is not None:
        # It was measured, hot, before.
        return dataclasses.replace(job.best, attempts=job.attempts)
    return Measurement(job.name, None, error, attempts=job.attempts)


def open_phone(serial: str, options: BenchmarkOptions, settings: Settings) -> Phone:
    """A session on a phone, to be entered.

    Args:
        serial: adb's; "" for the one phone that is there.
        options: how models are measured.
        settings: adb, benchmark_model and its version, and where logs go.

    Raises:
        InputError: the phone, or what shall run on it, cannot be used.
    """
    device = Adb(settings.adb).device(serial or None)
    binary = find_binary(
        PhoneFacts.read(device).abi, settings.benchmark_binary, version=settings.litert_version or VERSION
    )
    return Phone(device, binary, options, log_folder=settings.log_folder, on_note=settings.on_note)
