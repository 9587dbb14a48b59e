"""`LoopbackPhone`: a small adb device on this machine, for the real adb client and server to talk to.

Its commands are run literally by this machine's shell, in a folder that stands for the whole phone: /data/local/tmp,
/sys and /proc/sys in commands, the first two in scripts that `sh` is given, too, are that folder's. Its own programs
(`replace_program`, `tests/phone/bin`) come first in the PATH, this machine's behind them.

What it is not: other absolute paths are this machine's own; names with "/data/local/tmp" or "/sys/" inside are changed;
there is one user, no permissions, and no interactive shell.
"""

import contextlib
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence

from tests.phone.file_service import serve_files
from tests.phone.shell_service import serve_shell
from tests.phone.tool_host import ToolHost, helper_address
from tests.phone.transport import ClosedError, Stream, Transport

_HERE = pathlib.Path(__file__).parent
# Eight cores of three kinds, as most phones have: kHz.
_CORES_KHZ = (1_800_000,) * 4 + (2_400_000,) * 3 + (3_000_000,)
_TEMPORARY = "data/local/tmp"


class LoopbackPhone(ToolHost):
    """A phone that adb reaches by `adb connect`, under each of its two addresses; a context manager.

    Args:
        model: its name.
        serial_number: its own, whatever its address is; one that no other has unless given, "" for none.
        abi: of its processor.
        cores_khz: top frequency of each core.

    Example:
        with LoopbackPhone() as phone:
            subprocess.run(["adb", "connect", phone.serial])
            phone.faults.drop_after = 100_000
    """

    def __init__(
        self,
        model: str = "Pixel 0",
        *,
        serial_number: str | None = None,
        abi: str = "arm64-v8a",
        cores_khz: Sequence[int] = _CORES_KHZ,
    ):
        # A short path: that of a Unix socket may have 107 bytes.
        super().__init__(pathlib.Path(tempfile.mkdtemp(prefix="phone")))
        self.serial_number = f"LOOP{secrets.token_hex(4)}" if serial_number is None else serial_number
        self.abi = abi
        self.temporary = self.root / _TEMPORARY
        self.temporary.mkdir(parents=True)
        self._model, self._port = model, 0
        self._write_files(cores_khz)
        self._transports: list[Transport] = []

    def __enter__(self) -> "LoopbackPhone":
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            # Under nohup. Commands would ignore it, too, and it is what ends them; a handler they do not inherit.
            signal.signal(signal.SIGHUP, lambda *_: None)
        self.listen()
        self.come_back()
        return self

    def __exit__(self, *_) -> None:
        self.leave()
        self.stop_listening()
        shutil.rmtree(self.root, ignore_errors=True)

    @property
    def serial(self) -> str:
        """Its serial, and its address."""
        return f"127.0.0.1:{self._port}"

    @property
    def other_serial(self) -> str:
        """Its other address."""
        return f"localhost:{self._port}"

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

    def switch_cores(self, cores: Sequence[int], *, on: bool) -> None:
        """Switches cores off, as some phones do while they idle, or on."""
        for core in cores:
            (self.root / f"sys/devices/system/cpu/cpu{core}/online").write_text(f"{int(on)}\n")

    def replace_program(self, name: str, script: str) -> None:
        """One of its programs does something else from now on."""
        path = self.root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def restart(self) -> None:
        """A new boot id; `leave` and `come_back` are what else is seen of it."""
        (self.root / "proc/sys/kernel/random").mkdir(parents=True, exist_ok=True)
        (self.root / "proc/sys/kernel/random/boot_id").write_text(f"{uuid.uuid4()}\n")

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
            "ro.serialno": self.serial_number,
        }
        self.restart()
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
        return re.sub(f"/{_TEMPORARY}|/proc/sys/|/sys/", lambda found: f"{self.root}{found[0]}", text)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.root / 'bin'}:{_HERE / 'bin'}:/usr/bin:/bin",
            "PHONE_ROOT": str(self.root),
            "PHONE_ABI": self.abi,
            "PHONE_HELPER": helper_address(),
        }
