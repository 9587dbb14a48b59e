"""Locks between processes."""

import contextlib
import errno
import fcntl
import os
import pathlib
import warnings
from collections.abc import Iterator

from ofa_tf.common.errors import InputError

# Of drives that know no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def locked(path: str | os.PathLike, held: str) -> Iterator[None]:
    """Holds a file's lock while entered; it is gone with the process, whatever ends it.

    Args:
        path: the file; an empty one is made where there is none.
        held: what is said where another process holds it.
    """
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); give a path in a folder that is writable"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Some network drives answer a lock that is held with the second one.
        except (BlockingIOError, PermissionError):
            raise InputError(held) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            warnings.warn(f"{path}: cannot be locked ({error.strerror}); start no second process here", stacklevel=3)
        yield
