"""`ToolHost`: the part of a test's phone that answers its `benchmark_model`, whatever adbd it has."""

import atexit
import contextlib
import functools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence

from tests.phone.faults import Faults


@functools.cache
def helper_address() -> str:
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


class ToolHost:
    """Tells the helper, at a socket in the phone's folder `root`, what shall go wrong, and keeps what was run."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.faults = Faults()
        # The options of every run of the tool, in order.
        self.tool_runs: list[list[str]] = []

    def listen(self) -> None:
        """From now on the tool can be run."""
        self._asked = socket.socket(socket.AF_UNIX)
        self._asked.bind(str(self.root / "faults"))
        self._asked.listen()
        threading.Thread(target=self._tell_faults, daemon=True).start()

    def stop_listening(self) -> None:
        """It cannot any more."""
        self._asked.shutdown(socket.SHUT_RDWR)
        self._asked.close()

    def models_run(self) -> list[str]:
        """The models that the tool was run on, in order, by the names that they were given."""
        graphs = [argument for run in self.tool_runs for argument in run if argument.startswith("--graph=")]
        return [graph.partition(" ")[2] for graph in graphs]

    def _tell_faults(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self._asked.accept()[0] as connection:
                    arguments = json.loads(connection.makefile(encoding="utf-8").readline())[1:]
                    self.tool_runs.append(arguments)
                    connection.sendall(json.dumps(self._faults_of_run(arguments)).encode() + b"\n")

    def _faults_of_run(self, arguments: Sequence[str]) -> dict:
        faults = self.faults
        told = {
            name: getattr(faults, name) for name in ("style", "slow_first_seconds", "unknown_options", "coarse_clock")
        }
        graph = next((argument for argument in arguments if argument.startswith("--graph=")), None)
        for name in ("killed", "hanging", "garbled", "partial"):
            left = getattr(faults, f"{name}_runs") if graph else 0
            told[name] = left > 0
            if told[name]:
                setattr(faults, f"{name}_runs", left - 1)
        told["killed"] |= bool(graph and faults.killed_model and faults.killed_model in graph)
        return told
