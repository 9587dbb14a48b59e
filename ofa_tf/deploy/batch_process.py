"""`BatchProcess`: a Python process that is fed batches and answers each."""

import contextlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

import numpy as np

from ofa_tf.common import InputError, OfaError

# How much of the process's own words an error repeats: the cause stands at their end.
_ERROR_CHARACTERS = 300


class BatchProcess:
    """Runs Python code in a process of its own, which ends with the block.

    It gets arrays as bytes on stdin and answers with lines of JSON on stdout; one with "error" (and "exit_code") is an
    error for the user. What else it says is kept for the case that it dies.

    Args:
        what: it does, for errors.
        code: that it runs.
        folder: its argument; its words go there, too.
        variables: of its environment, added to this process's.

    Example:
        with BatchProcess("training", code, folder, {}) as process:
            for answer in process.answers(batches):
                print(answer["loss"])
    """

    def __init__(self, what: str, code: str, folder: pathlib.Path, variables: Mapping[str, str]):
        self._what = what
        self._log = (folder / "log.txt").open("w+b")
        self._child = subprocess.Popen(
            [sys.executable, "-c", code, os.fspath(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # Ctrl-C is for the calling process alone, which ends this one.
            start_new_session=True,
        )

    def __enter__(self) -> "BatchProcess":
        return self

    def __exit__(self, *_) -> None:
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout, self._log):
            # What was not yet written cannot be any more.
            with contextlib.suppress(OSError):
                stream.close()

    def answers(self, batches: Iterable[tuple[np.ndarray, ...]]) -> Iterator[dict]:
        """Sends the batches; yields the answers, while the next batch is made."""
        sent = (self._send(batch) for batch in batches)
        for _ in itertools.islice(sent, 1):
            for _ in sent:
                yield self.answer()
            yield self.answer()

    def answer(self) -> dict:
        """The next answer; raises what it says went wrong."""
        line = self._child.stdout.readline()
        if not line:
            self._fail()
        found = json.loads(line)
        if "error" in found:
            raise (InputError if found["exit_code"] == InputError.exit_code else OfaError)(found["error"])
        return found

    def _send(self, arrays: tuple[np.ndarray, ...]) -> None:
        try:
            for values in arrays:
                self._child.stdin.write(np.ascontiguousarray(values))
            self._child.stdin.flush()
        except OSError:
            # It ended; its last answer may say why.
            while True:
                self.answer()

    def _fail(self) -> NoReturn:
        code = self._child.wait()
        self._log.seek(0)
        words = " ".join(self._log.read().decode(errors="replace").split())[-_ERROR_CHARACTERS:]
        raise OfaError(
            f"{self._what}: its process ended with code {code}: {'...' + words if words else 'without a word'}"
        )
