"""Holding back what native code writes, because an error may need it."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def captured_output() -> Iterator[Callable[[], str]]:
    """Holds back everything that is written to stdout and stderr inside the block, native code's lines included.

    Python's warnings and file descriptors 1 and 2 of the whole process are held back, so other threads are silent too.

    Yields:
        A function that gives what was written so far.

    Example:
        with captured_output() as written:
            model = converter.convert()
    """
    with tempfile.TemporaryFile() as held:

        def written() -> str:
            text.flush()
            held.seek(0)
            content = held.read().decode(errors="replace")
            held.seek(0, os.SEEK_END)
            return content

        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        originals = [os.dup(1), os.dup(2)]
        text = os.fdopen(os.dup(held.fileno()), "w", encoding="utf-8", errors="replace")
        try:
            for descriptor in (1, 2):
                os.dup2(held.fileno(), descriptor)
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield written
        finally:
            text.close()
            for descriptor, original in zip((1, 2), originals, strict=True):
                os.dup2(original, descriptor)
                os.close(original)
