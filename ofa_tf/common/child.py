"""`Child`: our code in a process of its own, because it may crash or hang, or needs other imports than the rest.

The process runs one function and answers with lines of JSON. Whatever else it writes, native code's lines included,
goes into a log, which the error quotes where it ends before it has answered.
"""

import contextlib
import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from ofa_tf.common.errors import InputError, OfaError, brief

_CODE = "from ofa_tf.common.child import main; main()"
_QUOTED_CHARACTERS = 300

Answer = Callable[..., None]


class ChildError(OfaError):
    """The process ended before it answered.

    Args:
        message: one line.
        ending: how it ended, in words: "exit code 1", "SIGSEGV", "not done in 5 s".
        timed_out: whether it was ended because it took too long.
        text: what it wrote.
    """

    def __init__(self, message: str, ending: str, timed_out: bool, text: str):
        super().__init__(message)
        self.ending, self.timed_out, self.text = ending, timed_out, text


class Child:
    """Runs a function in a new Python process, which is killed at the end of the block, with all that it forked.

    The function is called with `answer`, which takes JSON-ready keyword arguments, and with `arguments`; it may read
    its stdin. An `OfaError` that it raises is raised here, by `answer()`.

    Args:
        what: it does, for errors.
        function: "module:function".
        arguments: texts.
        variables: of its environment, added to this process's.
        timeout_seconds: for each answer; it may take as long as it likes unless given.

    Example:
        with Child("training", "ofa_tf.deploy.qat_process:train", os.fspath(folder)) as child:
            for answer in child.answers(batches):
                print(answer["loss"])
    """

    def __init__(
        self,
        what: str,
        function: str,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ):
        self._what, self._timeout_seconds, self._timed_out, self._said_bytes = what, timeout_seconds, False, 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed at the end of the block
        # As this process finds modules, so does the other one.
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", _CODE, function, *arguments],
            env={**os.environ, "PYTHONPATH": path, **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # Ctrl-C is for the calling process alone, which ends this one and its forks: they are a group.
            start_new_session=True,
        )

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_) -> None:
        self._kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            # What was not yet written cannot be any more.
            with contextlib.suppress(OSError):
                stream.close()

    def send(self, *parts: Any) -> None:
        """Writes bytes, or arrays that lie in one piece, to its stdin."""
        try:
            for part in parts:
                self._process.stdin.write(part)
            self._process.stdin.flush()
        except OSError:
            # It ended; its last answer may say why.
            while True:
                self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer.

        Raises:
            OfaError: what the function raised.
            ChildError: the process ended, or took too long.
        """
        timer = threading.Timer(self._timeout_seconds or 0, self._give_up)
        if self._timeout_seconds is not None:
            timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            self._fail()
        found = json.loads(line)
        if "error" in found:
            raise (InputError if found["exit_code"] == InputError.exit_code else OfaError)(found["error"])
        return found

    def answers(self, batches: Iterable[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
        """Sends the batches; yields the answers, while the next batch is made."""
        sent = (self.send(*batch) for batch in batches)
        for _ in itertools.islice(sent, 1):
            for _ in sent:
                yield self.answer()
            yield self.answer()

    def said(self) -> str:
        """What it wrote besides its answers, since this was asked last."""
        size = os.fstat(self._log.fileno()).st_size
        # Not by seeking: its own place in the file would move, too.
        text = os.pread(self._log.fileno(), size - self._said_bytes, self._said_bytes)
        self._said_bytes = size
        return text.decode(errors="replace")

    def _give_up(self) -> None:
        self._timed_out = True
        self._kill()

    def _kill(self) -> None:
        # Until it was waited for, no other group can have its number.
        if self._process.returncode is None:
            # Where all of them have ended, some systems say so.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _fail(self) -> NoReturn:
        code = self._process.wait()
        ending = f"not done in {self._timeout_seconds:g} s" if self._timed_out else ending_of(code)
        text = self.said()
        said = f"it said {brief(text, _QUOTED_CHARACTERS)}" if text.strip() else "it said nothing"
        raise ChildError(f"{self._what}: its process ended, {ending}: {said}", ending, self._timed_out, text)


def ending_of(code: int) -> str:
    """The exit code of a process in words, or the signal that ended it."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def main() -> None:
    """What the new process does: it calls the function that its command line names."""
    name, *arguments = sys.argv[1:]
    # What is printed by libraries must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    module, _, function = name.partition(":")
    try:
        getattr(importlib.import_module(module), function)(answer, *arguments)
    except OfaError as error:
        answer(error=str(error), exit_code=error.exit_code)
