"""Keeping the chatter of native libraries off the terminal, so that a user sees results and errors only."""

import contextlib
import importlib
import importlib.abc
import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from ofa_tf.common.errors import InputError

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def silenced_stderr() -> Iterator[None]:
    """Drops what is written to file descriptor 2 inside the block, native code's lines included.

    If the block raises, the lines are written after all: they may say why. Other threads' lines are held back too, so
    keep the block short. Python's own `sys.stderr` stays what it is, for what keeps it beyond the block.

    Example:
        with silenced_stderr():
            import tensorflow
    """
    sys.stderr.flush()
    said = b""
    try:
        with _held_back(2) as held:
            try:
                yield
            except BaseException:
                sys.stderr.flush()
                said = _content(held)
                raise
            sys.stderr.flush()
    finally:
        os.write(2, said)


@contextlib.contextmanager
def captured_output() -> Iterator[Callable[[], str]]:
    """Holds back everything that is written to stdout and stderr inside the block, because an error may need it.

    Python's warnings and file descriptors 1 and 2 of the whole process are held back, so other threads are silent too.

    Yields:
        A function that gives what was written so far.

    Example:
        with captured_output() as written:
            model = converter.convert()
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with (
        _held_back(1, 2) as held,
        os.fdopen(os.dup(held.fileno()), "w", encoding="utf-8", errors="replace") as text,
        contextlib.redirect_stdout(text),
        contextlib.redirect_stderr(text),
        warnings.catch_warnings(),
    ):

        def written() -> str:
            text.flush()
            return _content(held).decode(errors="replace")

        warnings.simplefilter("ignore")
        yield written


@contextlib.contextmanager
def _held_back(*descriptors: int) -> Iterator[BinaryIO]:
    """What is written to file descriptors goes into the file that this yields."""
    try:
        temporary = tempfile.TemporaryFile()  # noqa: SIM115
    except FileNotFoundError as error:
        raise InputError(f"{error}; set TMPDIR to a folder that is writable") from None
    with temporary as held:
        originals = [os.dup(descriptor) for descriptor in descriptors]
        try:
            for descriptor in descriptors:
                os.dup2(held.fileno(), descriptor)
            yield held
        finally:
            for descriptor, original in zip(descriptors, originals, strict=True):
                os.dup2(original, descriptor)
                os.close(original)


def _content(held: BinaryIO) -> bytes:
    # Not by seeking: the descriptors' place in the file would move, too.
    return os.pread(held.fileno(), os.fstat(held.fileno()).st_size, 0)


class _QuietTensorFlowImport(importlib.abc.MetaPathFinder):
    """Silences the first `import tensorflow`: while its libraries load, they write before any log level is read."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = silenced_stderr()(spec.loader.exec_module)
        return spec


def quiet_tensorflow() -> None:
    """Silences TensorFlow's and gRPC's logs; to be called before TensorFlow is imported.

    Nothing is silenced where the user asks for logs: with `TF_CPP_MIN_LOG_LEVEL=0`, everything is shown.
    """
    if os.environ.setdefault(LEVEL, "3") != "3":
        return
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    sys.meta_path.insert(0, _QuietTensorFlowImport())


def run_quietly(module: str, function: str, *arguments: Any) -> Any:
    """Silences TensorFlow, then imports a module and calls a function of it: the beginning of another process."""
    quiet_tensorflow()
    return getattr(importlib.import_module(module), function)(*arguments)
