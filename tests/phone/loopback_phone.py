"""`LoopbackPhone`: a small adb device on this machine, for the real adb client and server to talk to.

Its commands are run literally by this machine's shell, in a folder that stands for the whole phone: /data/local/tmp and
/sys in commands, and in scripts that `sh` is given, are that folder's. Its own programs (`tests/phone/bin`) come first
in the PATH, this machine's behind them.

What it is not: other absolute paths are this machine's own; names with "/data/local/tmp" or "/sys/" inside are changed;
there is one user, no permissions, and no interactive shell.
"""

import atexit
import contextlib
import functools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence

from tests.phone.faults import Faults
from tests.phone.file_service import serve_files
from tests.phone.shell_service import serve_shell
from tests.phone.transport import ClosedError, Stream, Transport

_HERE = pathlib.Path(__file__).parent
# Eight cores of three kinds, as most phones have: kHz.
_CORES_KHZ = (1_800_000,) * 4 + (2_400_000,) * 3 + (3_000_000,)
_TEMPORARY = "data/local/tmp"


@functools.cache
def _start_helper() -> str:
    """Starts the process that runs models, for all phones, until this one ends; the address of its socket."""
    folder = tempfile.mkdtemp(prefix="phone")
    address = f"{folder}/helper"
    code = f"from tests.phone.benchmark_helper import main; main({address!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    process.stdout.readline()

    def end() -> None:
        process.kill()
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return address


class LoopbackPhone:
    """A phone that adb reaches by `adb connect`; a context manager.

    Args:
        model: its name.
        abi: of its processor.
        cores_khz: top frequency of each core.

    Example:
        with LoopbackPhone() as phone:
            subprocess.run(["adb", "connect", phone.serial])
            phone.faults.drop_after = 100_000
    """

    def __init__(self, model: str = "Pixel 0", *, abi: str = "arm64-v8a", cores_khz: Sequence[int] = _CORES_KHZ):
        self.faults = Faults()
        self.abi = abi
        # A short path: that of a Unix socket may have 107 bytes.
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="phone"))
        self.temporary = self.root / _TEMPORARY
        self.temporary.mkdir(parents=True)
        self._model, self._port = model, 0
        self._write_files(cores_khz)
        self._transports: list[Transport] = []
        # The options of every run of the tool, in order.
        self.tool_runs: list[list[str]] = []

    def __enter__(self) -> "LoopbackPhone":
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            # Under nohup. Commands would ignore it, too, and it is what ends them; a handler they do not inherit.
            signal.signal(signal.SIGHUP, lambda *_: None)
        self._asked = socket.socket(socket.AF_UNIX)
        self._asked.bind(str(self.root / "faults"))
        self._asked.listen()
        threading.Thread(target=self._tell_faults, daemon=True).start()
        self.come_back()
        return self

    def __exit__(self, *_) -> None:
        self.leave()
        self._asked.shutdown(socket.SHUT_RDWR)
        self._asked.close()
        shutil.rmtree(self.root, ignore_errors=True)

    @property
    def serial(self) -> str:
        """Its serial, and its address."""
        return f"127.0.0.1:{self._port}"

    def leave(self) -> None:
        """Breaks all connections and takes no new ones."""
        # Closing alone would not wake the thread that waits for connections.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for transport in self._transports:
            transport.close()
        self._transports.clear()

    def come_back(self) -> None:
        """Takes connections (again), under the same serial."""
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._server.bind(("127.0.0.1", self._port))
        self._port = self._server.getsockname()[1]
        self._server.listen()
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def set_readings(self, *, thermal_status: Sequence[int] = (), battery_tenths: Sequence[int] = ()) -> None:
        """Sets what its thermometers say, one reading after the other; the last one is said for ever."""
        for name, readings in (("thermal_status", thermal_status), ("battery_temperature", battery_tenths)):
            if readings:
                (self.root / name).write_text("".join(f"{reading}\n" for reading in readings))

    def set_governor(self, governor: str) -> None:
        """Sets how the frequency of the cores is chosen."""
        for folder in self.root.glob("sys/devices/system/cpu/cpu*/cpufreq"):
            (folder / "scaling_governor").write_text(f"{governor}\n")

    def write_tool(self, path: pathlib.Path, abi: str | None = None) -> pathlib.Path:
        """Writes a `benchmark_model` that runs on this phone, or one for another ABI, which does not."""
        text = (_HERE / "benchmark_model.py").read_text()
        path.write_text(f"#!{sys.executable} -SEB\n{text}\n\nsys.exit(main({abi or self.abi!r}))\n")
        return path

    def processes(self) -> dict[int, str]:
        """What runs on the phone: number and command line of each process."""
        mark, found = f"PHONE_ROOT={self.root}".encode(), {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(folder.name)] = command.strip()
        return {number: command for number, command in found.items() if command}

    def kill(self, text: str) -> None:
        """Ends every process that has the text in its command line, at once."""
        for number, command in self.processes().items():
            if text in command:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)

    def is_idle(self, seconds: float = 2.0) -> bool:
        """Whether nothing runs on it, or soon nothing does."""
        end = time.monotonic() + seconds
        while self.processes() and time.monotonic() < end:
            time.sleep(0.01)
        return not self.processes()

    def files(self) -> list[str]:
        """Everything in its temporary folder."""
        return sorted(path.relative_to(self.temporary).as_posix() for path in self.temporary.rglob("*"))

    def models_run(self) -> list[str]:
        """The models that the tool was run on, in order, by the names that they were given."""
        graphs = [argument for run in self.tool_runs for argument in run if argument.startswith("--graph=")]
        return [graph.partition(" ")[2] for graph in graphs]

    def masks(self) -> list[str]:
        """The core masks that `taskset` was called with."""
        path = self.root / "masks"
        return path.read_text().split() if path.exists() else []

    def _write_files(self, cores_khz: Sequence[int]) -> None:
        properties = {
            "ro.product.manufacturer": "Loopback",
            "ro.product.model": self._model,
            "ro.soc.model": "SC0000",
            "ro.board.platform": "loop",
            "ro.hardware": "loopback",
            "ro.build.version.release": "14",
            "ro.build.fingerprint": "loopback/phone/phone:14/TEST/1:user/release-keys",
            "ro.product.cpu.abi": self.abi,
        }
        (self.root / "properties").write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        for core, frequency in enumerate(cores_khz):
            folder = self.root / f"sys/devices/system/cpu/cpu{core}/cpufreq"
            folder.mkdir(parents=True)
            (folder / "cpuinfo_max_freq").write_text(f"{frequency}\n")
        self.set_governor("performance")
        self.set_readings(thermal_status=[0], battery_tenths=[285])

    def _accept(self, server: socket.socket) -> None:
        banner = f"device::ro.product.name=phone;ro.product.model={self._model};ro.product.device=phone;"
        with contextlib.suppress(OSError):
            while True:
                transport = Transport(server.accept()[0], self.faults, banner, self._serve)
                self._transports.append(transport)
                threading.Thread(target=transport.run, daemon=True).start()

    def _tell_faults(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self._asked.accept()[0] as connection:
                    arguments = json.loads(connection.makefile(encoding="utf-8").readline())[1:]
                    self.tool_runs.append(arguments)
                    connection.sendall(json.dumps(self._faults_of_run(arguments)).encode() + b"\n")

    def _faults_of_run(self, arguments: Sequence[str]) -> dict:
        faults = self.faults
        told = {name: getattr(faults, name) for name in ("style", "slow_first_seconds", "unknown_options")}
        graph = next((argument for argument in arguments if argument.startswith("--graph=")), None)
        for name in ("killed", "hanging", "garbled", "partial"):
            left = getattr(faults, f"{name}_runs") if graph else 0
            told[name] = left > 0
            if told[name]:
                setattr(faults, f"{name}_runs", left - 1)
        told["killed"] |= bool(graph and faults.killed_model and faults.killed_model in graph)
        return told

    def _serve(self, name: str, stream: Stream) -> None:
        kind, _, command = name.partition(":")
        if kind == "sync":
            serve_files(stream, lambda path: pathlib.Path(self._on_host(path)), self.faults)
        elif kind.startswith("shell"):
            program = [str(_HERE / "bin" / "sh"), "-c", self._on_host(command)]
            serve_shell(stream, program, self._environment(), framed="v2" in kind.split(","))
        else:
            raise ClosedError

    def _on_host(self, text: str) -> str:
        for folder in (f"/{_TEMPORARY}", "/sys/"):
            text = text.replace(folder, f"{self.root}{folder}")
        return text

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{_HERE / 'bin'}:/usr/bin:/bin",
            "PHONE_ROOT": str(self.root),
            "PHONE_ABI": self.abi,
            "PHONE_HELPER": _start_helper(),
        }
