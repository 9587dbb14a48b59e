"""`ForeignFile`: what a TFLite file is that did not come from here, found out in a process that may crash.

The interpreter trusts its files: a damaged one can end the process, or run for ever. So such files are opened, run and
timed in a child process with limits of time and memory, and what happens to it becomes one line. The child imports no
TensorFlow: it starts in a quarter of a second, and each file has a fork of it.
"""

import contextlib
import dataclasses
import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ofa_tf.common import InputError, brief
from ofa_tf.common.child import Answer, Child, ending_of
from ofa_tf.common.config import check_whole
from ofa_tf.deploy.runner import Runner, Timing

LIMIT_SECONDS = 60.0
LIMIT_BYTES = 4 << 30
# Timed runs may be so much slower than the first one lets expect.
_PATIENCE = 10
_MOST_SECONDS = 24 * 3600


@dataclasses.dataclass(frozen=True)
class ForeignFile:
    """A TFLite file that ran.

    Args:
        path: where it is.
        model_bytes: its size.
        input_shape: of its one input, batch dimension first.
        input_type: the name of the input's NumPy type.
        output_shape: of its output; of several, the first one.
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
    check_whole("threads", threads, 1)
    names = [os.fspath(path) for path in paths]
    request = {
        "paths": [os.path.abspath(name) for name in names],
        "threads": threads,
        "min_runs": min_runs,
        "min_seconds": min_seconds,
        "limit_seconds": limit_seconds,
        "limit_bytes": limit_bytes,
    }
    # BLAS's threads would not survive a fork, and nothing here multiplies matrices.
    variables = {"OPENBLAS_NUM_THREADS": "1"}
    with Child("opening TFLite files", f"{__name__}:serve", variables=variables) as child:
        child.send(json.dumps(request).encode() + b"\n")
        return [_found(name, child) for name in names]


def _found(name: str, child: Child) -> ForeignFile | InputError:
    """What the child answers of a file: what was found, if the fork lived to say it, then how the fork ended."""
    answers = [child.answer()]
    while "code" not in answers[-1]:
        answers.append(child.answer())
    *answer, end = answers
    said = brief(child.said())
    if answer and "refused" in answer[0]:
        return InputError(f"{name}: {brief(answer[0]['refused'], 400)}")
    if answer and end["code"] == 0:
        found = answer[0]
        shapes = {side: tuple(found[side]) for side in ("input_shape", "output_shape")}
        timing = found["timing"] and Timing(**found["timing"])
        return ForeignFile(**{**found, **shapes, "path": name, "timing": timing})
    after = f", after {said!r}" if said else ""
    if end["code"] == -signal.SIGALRM:
        return InputError(f"{name}: ran for {end['seconds']:.0f} s without an end{after}; export it anew, or smaller")
    return InputError(f"{name}: the interpreter crashed on it ({ending_of(end['code'])}{after}); export it anew")


def serve(answer: Answer) -> None:
    """In the child: opens each file that is asked for in a fork, which answers; then tells how that ended."""
    request = json.loads(sys.stdin.readline())
    for path in request.pop("paths"):
        start = time.monotonic()
        process = os.fork()
        if process == 0:
            code = 1
            try:
                answer(**_look(path, **request))
                code = 0
            finally:
                # Nothing of what the parent does at its end.
                os._exit(code)
        _, status = os.waitpid(process, 0)
        answer(code=os.waitstatus_to_exitcode(status), seconds=time.monotonic() - start)


def _look(
    path: str, *, threads: int, min_runs: int, min_seconds: float, limit_seconds: float, limit_bytes: int
) -> dict[str, Any]:
    _limit(limit_seconds, limit_bytes)
    try:
        runner = Runner(path, threads=threads)
        start = time.monotonic()
        runner.predict_all(np.zeros(runner.input_shape, runner.input_type))
        if min_runs:
            runs = _PATIENCE * (time.monotonic() - start) * (min_runs + 10)
            _limit_seconds(limit_seconds + runs + _PATIENCE * min_seconds)
        timing = runner.time(min_runs, min_seconds) if min_runs else None
        operations = Counter(runner.operations)
    except InputError as error:
        # It says all there is to say, and names the file first.
        return {"refused": str(error).removeprefix(path).removeprefix(": ")}
    except Exception as error:
        return {"refused": f"cannot be run ({error or type(error).__name__}); export it anew"}
    return {
        "model_bytes": len(runner.model_bytes),
        "input_shape": runner.input_shape,
        "input_type": runner.input_type,
        "output_shape": runner.output_shapes[0],
        "output_type": runner.output_type,
        "operations": operations,
        "partitions": runner.partitions,
        "timing": timing and dataclasses.asdict(timing),
    }


def _limit(seconds: float, size: int) -> None:
    # The default action ends the process wherever it is, in native code too.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _limit_seconds(seconds)
    for kind, wanted in ((resource.RLIMIT_AS, size), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:
            wanted = min(wanted, most)
        # Not every system has every limit.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (wanted, wanted))


def _limit_seconds(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, min(max(seconds, 1e-6), _MOST_SECONDS))
