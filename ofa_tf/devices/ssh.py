"""`SshComputer`: a Linux board or computer that is reached by OpenSSH's client, such as a Jetson.

Log-in is by key: nothing here can type a password. The models of a batch go in one `scp`, one script measures them all
(`batch_script`, as on phones), and what it writes is read as it comes.
"""

import contextlib
import os
import pathlib
import re
import secrets
import selectors
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence

from ofa_tf.common import InputError, OfaError, brief, file_sha256
from ofa_tf.devices import Settings
from ofa_tf.devices.batch_script import Ended, batch_script, read_events
from ofa_tf.devices.benchmark_options import BenchmarkOptions
from ofa_tf.devices.benchmark_output import OutputError, read_operations, read_output
from ofa_tf.devices.device import Device, Measurement

PREFIX = "ssh:"
_NAME = re.compile(r"ssh:(?:(?P<user>\w[\w.-]*)@)?(?P<host>\w[\w.-]*|\[[0-9a-fA-F:]+\])(?::(?P<port>[0-9]{1,5}))?")
# Never a question on the terminal; a connection that is dead is noticed.
_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "LogLevel=ERROR")
_TIMEOUT_SECONDS = 60.0
_BATCH = 50
# ssh's own exit code, where no command was run.
_NO_CONNECTION = 255
_OPTION = re.compile(r"^\s*--([a-z0-9_]+)=", re.M)
_FACTS = """\
echo "abi=$(uname -m)"
echo "kernel=$(uname -sr)"
echo "cores=$(nproc 2>/dev/null)"
board=$(tr -d '\\0' < /proc/device-tree/model 2>/dev/null)
echo "cpu=${board:-$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)}"
echo "os=$(sed -n 's/^PRETTY_NAME="\\{0,1\\}\\([^"]*\\).*/\\1/p' /etc/os-release 2>/dev/null)"
echo "governor=$(cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null)"
"""


class SshError(OfaError):
    """The connection broke or was refused: the same may succeed once the computer is back."""


class SshComputer(Device):
    """A computer by ssh; a context manager, which leaves nothing behind on it.

    Args:
        name: "ssh:host", "ssh:user@host" or "ssh:user@host:port"; what else is needed stands in ~/.ssh/config.
        options: how models are measured; there is no waiting for a cool computer.
        settings: its `benchmark_binary` is pushed; without, the computer's own `benchmark_model` is run.

    Raises:
        InputError: the name is none, or on entering: there is no benchmark_model, or log-in is refused.

    Example:
        with devices.open("ssh:me@jetson") as device:
            print(device.describe()["cpu"])
    """

    conditions = ("cpu", "abi", "delegate", "benchmark_model")

    def __init__(self, name: str, options: BenchmarkOptions, settings: Settings):
        found = _NAME.fullmatch(name)
        if found is None:
            raise InputError(f"--device={name}: expected ssh:host, ssh:user@host or ssh:user@host:port")
        self.name, self.threads, self.options = name, options.threads, options
        user, self._port = found["user"], found["port"]
        self._target = f"{user}@{found['host']}" if user else found["host"]
        self._options = (*_OPTIONS, *(("-F", settings.ssh_config) if settings.ssh_config else ()))
        self._binary = settings.benchmark_binary and pathlib.Path(settings.benchmark_binary)

    def __enter__(self) -> "SshComputer":
        self._folder = self._run("mktemp -d /tmp/ofa_tf.XXXXXXXXXX").strip()
        try:
            self._facts = dict(line.split("=", 1) for line in self._run(_FACTS).splitlines() if "=" in line)
            if self._binary is not None:
                self._push([self._binary], f"{self._folder}/benchmark_model")
                self._program = f"{self._folder}/benchmark_model"
                self._version = f"SHA-256 {file_sha256(self._binary)}"
            else:
                self._program = self._run("command -v benchmark_model || true").strip()
                if not self._program:
                    raise InputError(
                        f"{self.name}: has no benchmark_model in its PATH; give one for {self._facts.get('abi')} with "
                        f"--benchmark_binary=PATH"
                    )
                self._version = f"SHA-256 {self._run(f'sha256sum < {shlex.quote(self._program)}').split()[0]}"
            program = shlex.quote(self._program)
            said = self._run(f"chmod u+x {program} 2>/dev/null; {program} --help 2>&1 || true")
            known = set(_OPTION.findall(said))
            if "graph" not in known:
                raise InputError(
                    f"{self._program}: does not run on {self.name} ({brief(said) or 'silent'}); give a "
                    f"benchmark_model for {self._facts.get('abi')} with --benchmark_binary=PATH"
                )
            self._arguments = self.options.arguments(known)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        # A computer that is gone empties its /tmp without us.
        with contextlib.suppress(OfaError):
            self._run(f"rm -rf {shlex.quote(self._folder)}")

    def describe(self) -> dict[str, str]:
        facts = self._facts
        return {
            "cpu": facts.get("cpu") or "unknown",
            "cores": facts.get("cores", ""),
            "governor": facts.get("governor") or "unknown",
            "os": facts.get("os") or facts.get("kernel", ""),
            "kernel": facts.get("kernel", ""),
            "abi": facts.get("abi", ""),
            "delegate": self.options.delegate,
            "benchmark_model": self._version,
        }

    def measure(
        self,
        models: Iterable[tuple[str, bytes | os.PathLike]],
        on_result: Callable[[Measurement], None] = lambda measurement: None,
    ) -> list[Measurement]:
        """As `Device.measure`."""
        waiting, measured = list(models), []
        for first in range(0, len(waiting), _BATCH):
            batch = waiting[first : first + _BATCH]
            for event in self._events([model for _, model in batch]):
                measured.append(self._judged(batch[event.index][0], event))
                on_result(measured[-1])
        return measured

    def _events(self, models: Sequence[bytes | os.PathLike]) -> Iterator[Ended]:
        word = secrets.token_hex(8)
        names = [f"{index:04d}.tflite" for index in range(len(models))]
        script = batch_script(
            word, [self._program, *self._arguments], names, hot_status=99, hot_celsius=1000.0, cooling_seconds=0
        )
        with tempfile.TemporaryDirectory(prefix="ofa_tf") as local:
            folder = pathlib.Path(local)
            for name, model in zip(names, models, strict=True):
                (folder / name).write_bytes(model if isinstance(model, bytes) else _content(model))
            (folder / "run.sh").write_text(script)
            self._push(sorted(folder.iterdir()), f"{self._folder}/")
        missing = len(models)
        for event in read_events(word, self._lines(f"cd {shlex.quote(self._folder)} && sh run.sh; rm -f ./*.tflite")):
            if isinstance(event, Ended):
                missing -= 1
                yield event
        if missing:
            raise SshError(f"{self.name}: the connection broke, {missing} models before the end; give the same command")

    def _judged(self, name: str, ended: Ended) -> Measurement:
        try:
            if ended.code:
                said = brief(ended.text[-400:])
                raise OutputError(f"benchmark_model ended with exit code {ended.code} ({said})", ended.text)
            output = read_output(ended.text)
            operations = tuple(read_operations(ended.text)) if self.options.profile else ()
        except OutputError as error:
            return Measurement(name, None, str(error))
        if not output.delegated and self.options.delegate not in ("none", "xnnpack"):
            return Measurement(name, None, f"--delegate={self.options.delegate} was not used")
        return Measurement(name, output.latency, facts={"init_ms": output.init_ms}, operations=operations)

    def _run(self, command: str) -> str:
        """What a command wrote to stdout."""
        done = _call(["ssh", *self._options, *self._port_option("-p"), self._target, command])
        if done.returncode == _NO_CONNECTION:
            raise SshError(
                f"{self.name}: no connection ({brief(done.stderr) or 'silent'}); try `ssh -o BatchMode=yes "
                f"{self._target}` yourself: it must log in by key, without a question"
            )
        if done.returncode:
            raise OfaError(f"{self.name}: {brief(command)} failed ({brief(done.stderr) or done.returncode})")
        return done.stdout

    def _push(self, files: Sequence[pathlib.Path], target: str) -> None:
        for file in files:
            if not file.exists():
                raise InputError(f"{file}: no such file; check the path")
        options = ["-q", *self._options, *self._port_option("-P")]
        done = _call(["scp", *options, *map(str, files), f"{self._target}:{target}"])
        if done.returncode:
            raise SshError(f"{self.name}: files could not be copied ({brief(done.stderr) or 'silent'})")

    def _port_option(self, option: str) -> list[str]:
        return [option, self._port] if self._port else []

    def _lines(self, command: str) -> Iterator[str]:
        """The lines of a command as they come; raises `SshError` where nothing comes for too long."""
        silent_seconds = 2 * self.options.max_seconds + 30
        child = subprocess.Popen(
            ["ssh", *self._options, *self._port_option("-p"), self._target, f"exec 2>&1; {command}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(child.stdout, selectors.EVENT_READ)
                rest = b""
                while True:
                    if not selector.select(silent_seconds):
                        raise SshError(f"{self.name}: silent for {silent_seconds:g} s")
                    data = child.stdout.read1(1 << 16)
                    if not data:
                        return
                    *whole, rest = (rest + data).split(b"\n")
                    yield from (line.decode(errors="replace") for line in whole)
        finally:
            child.kill()
            child.stdout.close()
            child.wait()


def _call(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
            timeout=_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise InputError(f"{command[0]}: not found; install OpenSSH's client") from None
    except subprocess.TimeoutExpired as error:
        raise SshError(f"{command[0]}: no answer within {_TIMEOUT_SECONDS:g} s") from error


def _content(path: os.PathLike) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), expected a .tflite file") from error
