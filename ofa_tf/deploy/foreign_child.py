"""The process in which foreign TFLite files are opened; ofa_tf/deploy/foreign_file.py starts it."""

import contextlib
import dataclasses
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from typing import Any

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.deploy.runner import Runner

_KEPT_BYTES = 4096
# Timed runs may be so much slower than the first one lets expect.
_PATIENCE = 10
_MOST_SECONDS = 24 * 3600


def serve() -> None:
    """Reads what is asked, JSON on stdin, and answers with one line of JSON per path on stdout."""
    request = json.loads(sys.stdin.read())
    for path in request.pop("paths"):
        print(json.dumps(_in_a_fork(path, **request)), flush=True)


def _in_a_fork(path: str, **options: Any) -> dict[str, Any]:
    start = time.monotonic()
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as words:
        process = os.fork()
        if process == 0:
            try:
                for descriptor in (1, 2):
                    os.dup2(words.fileno(), descriptor)
                os.write(answer.fileno(), json.dumps(_look(path, **options)).encode())
            finally:
                # Nothing of what the parent does at its end.
                os._exit(0)
        _, status = os.waitpid(process, 0)
        code = os.waitstatus_to_exitcode(status)
        answer.seek(0)
        result = answer.read()
        if result and code == 0:
            return json.loads(result)
        words.seek(max(words.seek(0, os.SEEK_END) - _KEPT_BYTES, 0))
        said = words.read().decode(errors="replace")
    return {"signal": max(-code, 0), "code": max(code, 0), "words": said, "seconds": time.monotonic() - start}


def _look(
    path: str, *, threads: int, min_runs: int, min_seconds: float, limit_seconds: float, limit_bytes: int
) -> dict[str, Any]:
    _limit(limit_seconds, limit_bytes)
    try:
        runner = Runner(path, threads=threads)
        start = time.monotonic()
        outputs = runner.predict(np.zeros(runner.input_shape, runner.input_type))
        if min_runs:
            runs = _PATIENCE * (time.monotonic() - start) * (min_runs + 10)
            _limit_seconds(limit_seconds + runs + _PATIENCE * min_seconds)
        timing = runner.time(min_runs, min_seconds) if min_runs else None
        operations = Counter(runner.operations)
    except InputError as error:
        # It says all there is to say, and names the file first.
        return {"error": str(error).removeprefix(path).removeprefix(": ")}
    except Exception as error:
        return {"error": f"cannot be run ({error or type(error).__name__}); export it anew"}
    found = {
        "model_bytes": len(runner.model_bytes),
        "input_shape": runner.input_shape,
        "input_type": runner.input_type,
        "output_shape": outputs.shape,
        "output_type": runner.output_type,
        "operations": operations,
        "partitions": runner.partitions,
        "timing": timing and dataclasses.asdict(timing),
    }
    return {"found": found}


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
