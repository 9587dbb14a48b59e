"""One command at a time works on an output folder."""

import contextlib
import fcntl
import pathlib
from collections.abc import Iterator

from ofa_tf.common import InputError


@contextlib.contextmanager
def output_lock(folder: pathlib.Path) -> Iterator[None]:
    """Held while a folder is worked on; it is gone with the process, whatever ends it.

    Raises:
        InputError: another process works on it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); give a folder that is writable") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{folder}: another process works on it; wait for its end, or give another folder"
            ) from None
        yield
