"""`RealPhone`: a phone with a real adbd, in namespaces of its own on this machine.

Real are adbd, the shell (mksh, as Android's), the programs (toybox, as Android's): the protocol, exit codes, process
groups, what dies with a connection. getprop and dumpsys are scripts, and the benchmark is that of the loopback phone.

The network namespace has nothing but its loopback address, where adb finds the phone as 127.0.0.1:5555 and, by itself,
as emulator-5554. adb, client and server, runs in that namespace, too; whoever calls it (`program`) does not.
"""

import contextlib
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import tempfile
import time

from ofa_tf.devices.adb import Adb, find_adb
from tests.phone.real_adbd import packages
from tests.phone.tool_host import ToolHost, helper_address

_HERE = pathlib.Path(__file__).parent
_ABIS = {"x86_64": "x86_64", "aarch64": "arm64-v8a"}
_ADBD = "/usr/lib/android-sdk/platform-tools/adbd"


def missing() -> str:
    """What this machine lacks for such a phone, "" where it has all."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root"
    if platform.machine() not in _ABIS:
        return f"no phone has the processor {platform.machine()}"
    programs = [name for name in ("unshare", "nsenter", "chroot", "dpkg-deb", "cc") if shutil.which(name) is None]
    if programs:
        return f"needs {', '.join(programs)}"
    if subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode:
        return "namespaces are not allowed here"
    if not packages.packages():
        return f"Debian's adbd, toybox and mksh are not here; {packages.FETCH} fetches them"
    return ""


class RealPhone(ToolHost):
    """A phone that `adb` reaches under two serials; a context manager.

    Example:
        with RealPhone() as phone:
            phone.adb.device(phone.serial).shell("ls")
    """

    serial, other_serial, serial_number = "127.0.0.1:5555", "emulator-5554", "REAL0001"

    def __init__(self):
        self.abi = _ABIS[platform.machine()]
        super().__init__(pathlib.Path(tempfile.mkdtemp(prefix="adbd")))
        self._system = self.root / "system" / "bin"
        self.temporary = self.root / "data" / "local" / "tmp"

    def __enter__(self) -> "RealPhone":
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.root, ignore_errors=True)
            self._unpack()
            self.listen()
            stack.callback(self.stop_listening)
            os.link(helper_address(), self.root / "data" / "helper")
            command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
            with (self.root / "adbd.log").open("wb") as log:
                process = subprocess.Popen(
                    [*command, "sh", str(_HERE / "phone.sh"), str(self.root)], stdout=log, stderr=log
                )
            stack.callback(process.wait)
            stack.callback(process.kill)
            self._start_adb(process.pid)
            stack.callback(self.adb.run, ["kill-server"])
            self.connect()
            self._exits = stack.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self._exits.close()

    def connect(self) -> None:
        """Makes it known to adb under both serials."""
        end = time.monotonic() + 20
        while {self.adb.states().get(serial) for serial in (self.serial, self.other_serial)} != {"device"}:
            assert time.monotonic() < end, (self.adb.states(), (self.root / "adbd.log").read_text())
            self.adb.run(["connect", self.serial])
            time.sleep(0.1)

    def write_tool(self, path: pathlib.Path) -> pathlib.Path:
        """Compiles the `benchmark_model` of this phone."""
        root = f'-DPHONE_ROOT="{self.root}"'
        subprocess.run(["cc", "-static", root, "-o", str(path), str(_HERE / "benchmark_model.c")], check=True)
        return path

    def processes(self) -> dict[int, str]:
        """What runs on the phone besides adbd: number here and command line of each process."""
        return {pid: command for pid, command in self._all().items() if command != _ADBD}

    def is_idle(self, seconds: float = 3.0) -> bool:
        """Whether nothing runs on it, or soon nothing does."""
        end = time.monotonic() + seconds
        while self.processes() and time.monotonic() < end:
            time.sleep(0.02)
        return not self.processes()

    def restart_adbd(self) -> None:
        """Ends adbd; the phone's first process starts it again."""
        for pid, command in self._all().items():
            if command == _ADBD:
                os.kill(pid, signal.SIGKILL)

    def files(self) -> list[str]:
        """Everything in its temporary folder."""
        return sorted(path.relative_to(self.temporary).as_posix() for path in self.temporary.rglob("*"))

    def _all(self) -> dict[int, str]:
        found = {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(folder / "root") == str(self.root):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    found[int(folder.name)] = command
        return found

    def _unpack(self) -> None:
        for package in packages.packages():
            subprocess.run(["dpkg-deb", "-x", str(package), str(self.root)], check=True)
        for name in ("bin", "lib", "lib64"):
            if not (self.root / name).exists():
                (self.root / name).symlink_to(f"usr/{name}")
        for name in ("proc", "sys", "dev", "system/bin", "data/local/tmp"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        toybox = ["chroot", str(self.root), "/usr/bin/toybox"]
        for name in subprocess.run(toybox, capture_output=True, text=True, check=True).stdout.split():
            (self._system / name).symlink_to("/usr/bin/toybox")
        for path in (self._system / "sh", self.root / "usr" / "bin" / "sh"):
            path.unlink(missing_ok=True)
            path.symlink_to("/usr/bin/mksh")
        for name in ("getprop", "dumpsys"):
            (self._system / name).unlink(missing_ok=True)
            shutil.copy(_HERE / name, self._system / name)
            (self._system / name).chmod(0o755)
        library = self.root / "usr" / "lib" / "no_vsock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(_HERE / "no_vsock.c")], check=True)
        properties = {
            "ro.serialno": self.serial_number,
            "ro.product.model": "Real adbd",
            "ro.product.cpu.abi": self.abi,
            "ro.soc.model": "SC0001",
            "ro.build.version.release": "14",
            "ro.build.fingerprint": "real/adbd:14/TEST/1:user/release-keys",
        }
        lines = "".join(f"{name}={value}\n" for name, value in properties.items())
        (self.root / "data" / "properties").write_text(lines)

    def _start_adb(self, pid: int) -> None:
        # In this machine's own network it would find this machine's phones.
        while os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        home = self.root / "home"
        home.mkdir()
        self.program = home / "adb"
        self.program.write_text(f'#!/bin/sh\nexec nsenter --net=/proc/{pid}/ns/net "{find_adb()}" "$@"\n')
        self.program.chmod(0o755)
        self.environment = {
            **{name: str(home) for name in ("HOME", "ANDROID_USER_HOME", "TMPDIR")},
            "ANDROID_ADB_SERVER_PORT": "5037",
            **{name: "0" for name in ("ADB_MDNS", "ADB_USB")},
        }
        self.adb = Adb(self.program, self.environment)
        self.adb.run(["start-server"], timeout_seconds=30)
