"""`SshComputer`: a Linux board or computer that is reached by OpenSSH's client, such as a Jetson.

Log-in is by key: nothing here can type a password.
"""

import contextlib
import os
import pathlib
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from ofa_tf.common import InputError, OfaError, brief, file_sha256
from ofa_tf.devices import Settings
from ofa_tf.devices.benchmark_model import BenchmarkOptions
from ofa_tf.devices.connection import (
    CALL_SECONDS,
    PUSH_BYTES_PER_SECOND,
    CommandError,
    LostError,
    UnavailableError,
    call,
    lines_of,
)
from ofa_tf.devices.remote import RemoteDevice

_NAME = re.compile(r"ssh:(?:(?P<user>\w[\w.-]*)@)?(?P<host>\w[\w.-]*|\[[0-9a-fA-F:]+\])(?::(?P<port>[0-9]{1,5}))?")
# Never a question on the terminal; a connection that is dead is noticed.
_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "LogLevel=ERROR")
# To connect and to copy a small file; more for a larger one.
_COPY_SECONDS = 60.0
_FOLDER = re.compile(r"/tmp/ofa_tf\.\w+")
# ssh's own exit code, where no command was run.
_NO_CONNECTION = 255
_FACTS = """\
echo "abi=$(uname -m)"
echo "kernel=$(uname -sr)"
echo "cores=$(nproc 2>/dev/null)"
board=$(tr -d '\\0' < /proc/device-tree/model 2>/dev/null)
echo "cpu=${board:-$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)}"
echo "os=$(sed -n 's/^PRETTY_NAME="\\{0,1\\}\\([^"]*\\).*/\\1/p' /etc/os-release 2>/dev/null)"
echo "governor=$(cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null)"
"""


class SshConnection:
    """The `Connection` with a computer; raises `InputError` for a name that is none."""

    def __init__(self, name: str, config: str | None):
        found = _NAME.fullmatch(name)
        if found is None:
            raise InputError(f"--device={name}: expected ssh:host, ssh:user@host or ssh:user@host:port")
        self.name, self.port = name, found["port"]
        user = f"{found['user']}@" if found["user"] else ""
        # Of an address with colons in it, scp asks for brackets, and ssh refuses them.
        self._target, self._copy_target = f"{user}{found['host'].strip('[]')}", f"{user}{found['host']}"
        self._options = (*_OPTIONS, *(("-F", config) if config else ()))

    def shell(self, command: str, *, timeout_seconds: float = 2 * CALL_SECONDS) -> str:
        """As `Connection.shell`."""
        done = self._call([*self._ssh(), command], timeout_seconds)
        if done.returncode == _NO_CONNECTION:
            raise LostError(
                f"{self.name}: no connection ({brief(done.stderr) or 'silent'}); try `ssh -o BatchMode=yes "
                f"{self._target}` yourself: it must log in by key, without a question"
            )
        if done.returncode:
            words = brief(done.stderr) or done.returncode
            raise CommandError(f"{self.name}: {brief(command)} failed ({words})", done.returncode, done.stderr)
        return done.stdout

    def lines(self, command: str, *, silent_seconds: float) -> Iterator[str]:
        """As `Connection.lines`."""
        return lines_of([*self._ssh(), f"exec 2>&1\n{command}"], silent_seconds=silent_seconds, device=self.name)

    def push(self, source: pathlib.Path, target: str) -> None:
        """As `Connection.push`."""
        if not source.exists():
            raise InputError(f"{source}: no such file; check the path")
        options, size = ["-q", *self._options, *self._port_option("-P")], source.stat().st_size
        limit_seconds = _COPY_SECONDS + size / PUSH_BYTES_PER_SECOND
        done = self._call(["scp", *options, str(source), f"{self._copy_target}:{target}"], limit_seconds)
        if not done.returncode:
            return
        if "No space left" in done.stderr or self._lacks_room(target, size):
            raise UnavailableError(
                f"{self.name}: no room for {target} ({size / 1e6:.1f} MB); free some of its storage and give the same "
                f"command"
            )
        raise LostError(f"{self.name}: {source.name} could not be copied ({brief(done.stderr) or 'silent'})")

    def wait(self, seconds: float, on_note: Callable[[str], None] = lambda note: None) -> None:
        """As `Connection.wait`."""
        del on_note
        end = time.monotonic() + seconds
        while True:
            try:
                self.shell("true")
                return
            except LostError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def _lacks_room(self, target: str, size: int) -> bool:
        """Whether a file does not fit there: by SFTP, scp says of a full disk no more than "Failure"."""
        with contextlib.suppress(LostError, CommandError):
            # Without what came of it.
            said = self.shell(f"rm -f {shlex.quote(target)}; df -Pk {shlex.quote(os.path.dirname(target))}")
            fields = _last_line(said).split()
            return len(fields) > 3 and fields[3].isdecimal() and 1024 * int(fields[3]) < size
        return False

    def _ssh(self) -> list[str]:
        return ["ssh", *self._options, *self._port_option("-p"), self._target]

    def _port_option(self, option: str) -> list[str]:
        return [option, self.port] if self.port else []

    def _call(self, command: Sequence[str], timeout_seconds: float) -> subprocess.CompletedProcess[str]:
        return call(
            command,
            timeout_seconds=timeout_seconds,
            device=self.name,
            remedy="see whether it is switched on and in the network",
            advice="install OpenSSH's client",
        )


def _last_line(said: str) -> str:
    """The line of a command that prints one: before it stands what start-up files print, such as ~/.bashrc."""
    return (said.splitlines() or [""])[-1].strip()


class SshComputer(RemoteDevice):
    """A computer by ssh; a context manager, which leaves nothing behind on it.

    Its name is "ssh:host", "ssh:user@host" or "ssh:user@host:port"; what else is needed stands in ~/.ssh/config. The
    settings' `benchmark_binary` is pushed; without one, the computer's own `benchmark_model` is run.

    Raises:
        InputError: the name is none, or on entering: there is no benchmark_model.
        LostError: likewise: log-in is refused.
    """

    conditions = ("cpu", "abi", "delegate", "benchmark_model")

    def __init__(self, name: str, options: BenchmarkOptions, settings: Settings):
        connection = SshConnection(name, settings.ssh_config)
        super().__init__(name, connection, options, log_folder=settings.log_folder, on_note=settings.on_note)
        self._binary = settings.benchmark_binary and pathlib.Path(settings.benchmark_binary)

    def __enter__(self) -> "SshComputer":
        shell = self.connection.shell
        said = shell("mktemp -d /tmp/ofa_tf.XXXXXXXXXX")
        self.folder = _last_line(said)
        if not _FOLDER.fullmatch(self.folder):
            # It goes into commands as it is, among them one that removes it.
            raise InputError(
                f"{self.name}: mktemp said {brief(said)!r}, expected a folder /tmp/ofa_tf.XXXXXXXXXX; let its shell's "
                f"start-up files, such as ~/.bashrc, print nothing where there is no terminal"
            )
        try:
            self._facts = dict(line.split("=", 1) for line in shell(_FACTS).splitlines() if "=" in line)
            self.abi = self._facts.get("abi", "")
            self.tool = self._binary or _last_line(shell("command -v benchmark_model || echo"))
            if not self.tool:
                raise InputError(
                    f"{self.name}: has no benchmark_model in its PATH; give one for {self.abi} with "
                    f"--benchmark_binary=PATH"
                )
            self.prepare()
            asked = f"sha256sum < {shlex.quote(str(self.tool))}"
            sha256 = file_sha256(self._binary) if self._binary else _last_line(shell(asked)).split()[0]
            self._version = f"SHA-256 {sha256}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        # A computer that is gone empties its /tmp without us.
        with contextlib.suppress(OfaError):
            self.clean()

    def describe(self) -> dict[str, str]:
        """As `Device.describe`."""
        facts = self._facts
        return {
            "cpu": facts.get("cpu") or "unknown",
            "cores": facts.get("cores", ""),
            "governor": facts.get("governor") or "unknown",
            "os": facts.get("os") or facts.get("kernel", ""),
            "kernel": facts.get("kernel", ""),
            "abi": self.abi,
            "delegate": self.options.delegate,
            "benchmark_model": self._version,
        }
