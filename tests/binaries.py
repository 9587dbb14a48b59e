"""Runs binaries as processes that are forked from one which has imported TensorFlow, or that start anew.

Five of the six seconds that a mistake in a flag takes to be answered are TensorFlow's import. What is forked ends as
every process does; what only a new process can tell is that its imports are found and quiet.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from ofa_tf.common.quiet import quiet_tensorflow
from tests.reference import ROOT

_IMPORTED = ("ofa_tf.deploy", "ofa_tf.interop", "ofa_tf.specialize", "ofa_tf.training", "ofa_tf.zoo")


def run_binary(
    module: str,
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    anew: bool = False,
    timeout_s: int = 250,
) -> subprocess.CompletedProcess:
    """Runs a binary in the repository's folder.

    Args:
        module: as after `python -m`.
        arguments: its flags.
        environment: variables besides those of this process.
        anew: whether its process is a new one, or a forked one.
        timeout_s: when it is ended, if it does not end by itself.

    Returns:
        Its exit code, stdout and stderr.
    """
    given = [str(argument) for argument in arguments]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    if anew:
        return subprocess.run(
            [sys.executable, "-m", module, *given], cwd=ROOT, env=variables, capture_output=True, text=True,
            timeout=timeout_s, check=False,
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = pathlib.Path(folder, "stdout"), pathlib.Path(folder, "stderr")
        server = _server()
        request = [module, given, variables, timeout_s, [os.devnull, str(stdout), str(stderr)]]
        server.stdin.write(f"{json.dumps(request)}\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess([module, *given], code, stdout.read_text(), stderr.read_text())


@functools.cache
def _server() -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", __name__], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    atexit.register(process.communicate)
    return process


def _forked() -> tuple[str, list[str]]:
    """Forks a process for each request, and answers with its exit code; returns in the forked ones only."""
    for line in sys.stdin:
        module, arguments, variables, timeout_s, files = json.loads(line)
        if process := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
            continue
        os.environ.clear()
        os.environ.update(variables)
        for descriptor, path in enumerate(files):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), descriptor)
        signal.alarm(timeout_s)
        return module, arguments
    sys.exit()


if __name__ == "__main__":
    quiet_tensorflow()
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    binary, sys.argv[1:] = _forked()
    runpy.run_module(binary, run_name="__main__", alter_sys=True)
