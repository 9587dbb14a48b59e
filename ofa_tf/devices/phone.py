"""`Phone`: a phone that models are measured on, from its first push to its cleaned folder."""

import os
from typing import Any

from ofa_tf.common import InputError, OfaError, brief
from ofa_tf.devices import Settings
from ofa_tf.devices.adb import Adb, AdbDevice
from ofa_tf.devices.benchmark_model import ON_PROCESSOR, VERSION, BenchmarkBinary, BenchmarkOptions, find_binary
from ofa_tf.devices.connection import CommandError
from ofa_tf.devices.phone_facts import PhoneFacts, core_mask
from ofa_tf.devices.phone_lock import HeldError, PhoneLock
from ofa_tf.devices.remote import RemoteDevice
from ofa_tf.predictors.latency_table import PHONE_CONDITIONS

_QUIET_GOVERNOR = "performance"


class Phone(RemoteDevice):
    """A session on one phone, with a tool for its ABI; a context manager, which leaves nothing on the phone behind.

    Raises:
        InputError: on entering: another process measures on it, or its tool cannot do what the options ask for.
        LostError: likewise: it does not answer.
    """

    folder = "/data/local/tmp/ofa_tf"
    conditions = PHONE_CONDITIONS
    tells_heat = True

    def __init__(self, device: AdbDevice, binary: BenchmarkBinary, options: BenchmarkOptions, **session: Any):
        super().__init__(device.serial, device, options, **session)
        self.binary, self.tool = binary, binary.path
        self._lock = PhoneLock(device, self.note)

    def __enter__(self) -> "Phone":
        self._lock.acquire()
        try:
            self.facts = PhoneFacts.read(self.connection)
            self.abi = self.facts.abi
            self._choose_cores()
            super().prepare()
        except BaseException:
            self.__exit__()
            raise
        if set(self.facts.governors) - {_QUIET_GOVERNOR}:
            self.note(
                f"{self}: its cores' governor is {'/'.join(self.facts.governors)}, not {_QUIET_GOVERNOR}: frequencies, "
                f"and times, will vary"
            )
        return self

    def _choose_cores(self) -> None:
        facts = self.facts
        if facts.cores_off:
            self.note(
                f"{self}: {facts.cores_off} of its {len(facts.cores) + facts.cores_off} cores are switched off; the "
                f"times will be those of the others ({facts.core_text})"
            )
        mask = core_mask(facts.cores, self.options.threads) if facts.cores else 0
        # A delegate's own processor has nothing to do with cores.
        self.core_mask = mask if self.options.delegate in ON_PROCESSOR else 0
        if self.core_mask:
            try:
                self.connection.shell(f"taskset {self.core_mask:x} true")
            except CommandError as error:
                self.note(
                    f"{self}: taskset does not give it the cores {self.core_mask:x} ({brief(error.output)}); the times "
                    f"will be those of whichever cores it takes, recorded as core mask 'all'"
                )
                self.core_mask = 0
        self.prefix = ["taskset", f"{self.core_mask:x}"] if self.core_mask else []

    def prepare(self) -> None:
        """As `RemoteDevice.prepare`, after the connection broke, and the lock with it."""
        self._lock.release()
        self._lock.acquire()
        if self.connection.serial != self.name:
            self.note(f"{self}: goes on as {self.connection.serial}, the same phone")
            self.name = self.connection.serial
        super().prepare()

    def confirm(self) -> None:
        """As `RemoteDevice.confirm`: the lock is held."""
        self._lock.confirm()

    def __exit__(self, *_) -> None:
        try:
            if not self._lock.held:
                # It was lost with the connection.
                self._lock.acquire()
            self.clean()
        except HeldError:
            # What is there is another's by now.
            pass
        except OfaError as error:
            # The next session does it.
            self.note(f"{self}: {self.folder} may be left on it ({error})")
        finally:
            self._lock.release()

    def __str__(self) -> str:
        return f"phone {self.name}"

    @property
    def table_name(self) -> str:
        """As `Device.table_name`."""
        return self.connection.name

    def check_name(self, path: str | os.PathLike, name: str) -> None:
        """As `Device.check_name`: older tables call a phone by what it was reached by, which may have changed."""
        if name in (self.name, self.table_name) or self.connection.is_called(name):
            return
        raise InputError(
            f"{path}: holds a table of phone {name!r}, this one is {self.table_name!r}; where {name!r} is what it was "
            f'reached by then, write "device": "{self.table_name}" into the file, else give another file'
        )

    def describe(self) -> dict[str, str]:
        """As `Device.describe`."""
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


def open_phone(serial: str, options: BenchmarkOptions, settings: Settings) -> Phone:
    """A session on the phone of a name, "" for the one that is there; to be entered."""
    device = Adb(settings.adb).device(serial or None)
    binary = find_binary(
        PhoneFacts.read(device).abi, settings.benchmark_binary, version=settings.litert_version or VERSION
    )
    return Phone(device, binary, options, log_folder=settings.log_folder, on_note=settings.on_note)
