"""`ForeignFile`: what a TFLite file is that did not come from here, found out in a process that may crash.

The interpreter trusts its files: a damaged one can end the process, or run for ever. So such files are opened, run and
timed in a child process with limits of time and memory, and what happens to it becomes one line. The child imports no
TensorFlow: it starts in a quarter of a second, and each file has a fork of it (ofa_tf/deploy/foreign_child.py).
"""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from ofa_tf.common import InputError, OfaError, brief
from ofa_tf.deploy.timing import Timing

LIMIT_SECONDS = 60.0
LIMIT_BYTES = 4 << 30

# The package's own __init__ brings TensorFlow along, which running a file does not need.
_CHILD = """
import sys, types
root, folder = sys.argv[1:]
sys.path.insert(0, root)
package = sys.modules["ofa_tf.deploy"] = types.ModuleType("ofa_tf.deploy")
package.__path__ = [folder]
from ofa_tf.deploy.foreign_child import serve
serve()
"""


@dataclasses.dataclass(frozen=True)
class ForeignFile:
    """A TFLite file that ran.

    Args:
        path: where it is.
        model_bytes: its size.
        input_shape: of its one input, batch dimension first.
        input_type: the name of the input's NumPy type.
        output_shape: of its one output.
        output_type: the name of the output's NumPy type.
        operations: how many it has of each kind; DELEGATE are the partitions.
        partitions: number of parts of the graph that XNNPACK runs.
        timing: of its runs, where that was asked for.
    """

    path: str
    model_bytes: int
    input_shape: tuple[int, ...]
    input_type: str
    output_shape: tuple[int, ...]
    output_type: str
    operations: Mapping[str, int]
    partitions: int
    timing: Timing | None = None


def open_foreign(path: str | os.PathLike, **options) -> ForeignFile:
    """Opens one file, and runs it once; for the options, see `open_foreign_files`.

    Raises:
        InputError: it cannot be used; the message is one line.

    Example:
        open_foreign("theirs.tflite").input_shape
    """
    (found,) = open_foreign_files([path], **options)
    if isinstance(found, InputError):
        raise found
    return found


def open_foreign_files(
    paths: Sequence[str | os.PathLike],
    *,
    threads: int = 1,
    min_runs: int = 0,
    min_seconds: float = 0.0,
    limit_seconds: float = LIMIT_SECONDS,
    limit_bytes: int = LIMIT_BYTES,
) -> list[ForeignFile | InputError]:
    """Opens files one after the other, each in a process of its own, and runs each once.

    Args:
        paths: of the `.tflite` files.
        threads: the interpreter's.
        min_runs: then at least so many runs are timed, as `Runner.time` does; 0 for none.
        min_seconds: and for at least so long.
        limit_seconds: opening and the first run may take so long; then the process is ended. Timed runs may take ten
            times what the first run lets expect.
        limit_bytes: of memory (address space) that the process may have, where the system has such limits.

    Returns:
        For each path what was found, or the error that says what is wrong with it.

    Raises:
        InputError: `threads` is no number of threads.
        OfaError: the child process cannot be started.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads is {threads!r}, expected a whole number of at least 1")
    names = [os.fspath(path) for path in paths]
    request = {
        "paths": [os.path.abspath(name) for name in names],
        "threads": threads,
        "min_runs": min_runs,
        "min_seconds": min_seconds,
        "limit_seconds": limit_seconds,
        "limit_bytes": limit_bytes,
    }
    here = pathlib.Path(__file__).resolve().parent
    child = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", _CHILD, str(here.parents[1]), str(here)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        errors="replace",
        # BLAS's threads would not survive a fork, and nothing here multiplies matrices.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    answers = child.stdout.splitlines()
    if len(answers) != len(names):
        raise OfaError(f"the process that opens TFLite files ended early ({child.returncode}: {brief(child.stderr)})")
    return [_found(name, json.loads(answer)) for name, answer in zip(names, answers, strict=True)]


def _found(name: str, answer: dict) -> ForeignFile | InputError:
    if "found" in answer:
        found = answer["found"]
        shapes = {side: tuple(found[side]) for side in ("input_shape", "output_shape")}
        timing = found["timing"] and Timing(**found["timing"])
        return ForeignFile(**{**found, **shapes, "path": name, "timing": timing})
    if "error" in answer:
        return InputError(f"{name}: {brief(answer['error'], 400)}")
    said = brief(answer["words"])
    said = f", after {said!r}" if said else ""
    if answer["signal"] == signal.SIGALRM:
        return InputError(f"{name}: ran for {answer['seconds']:.0f} s without an end{said}; export it anew, or smaller")
    how = signal.Signals(answer["signal"]).name if answer["signal"] else f"exit code {answer['code']}"
    return InputError(f"{name}: the interpreter crashed on it ({how}{said}); export it anew")
