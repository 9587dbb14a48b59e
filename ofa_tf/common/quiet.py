"""Keeping the chatter of native libraries off the terminal, so that a user sees results and errors only."""

import contextlib
import importlib
import importlib.abc
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def silenced_stderr() -> Iterator[None]:
    """Drops what is written to file descriptor 2 inside the block, native code's lines included.

    If the block raises, the lines are written after all: they may say why. Other threads' lines are held back too, so
    keep the block short.

    Example:
        with silenced_stderr():
            model = converter.convert()
    """
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            if failed:
                held.seek(0)
                os.write(2, held.read())


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
