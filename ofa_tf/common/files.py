"""Reading and writing files so that a killed process leaves no half-written one, and a damaged one is named."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from ofa_tf.common.errors import DiskFullError, InputError, brief

if TYPE_CHECKING:
    import numpy as np

_FULL = (errno.ENOSPC, errno.EDQUOT)


def expanded(path: str | os.PathLike) -> str:
    """A path in which "~" and "~user" at the beginning are the home folders, as a shell has it in an unquoted word.

    Raises:
        InputError: there is no such user, and no file or folder that is called so.
    """
    path = os.fspath(path)
    if not path.startswith("~"):
        return path
    found = os.path.expanduser(path)
    if found == path and os.sep in path and not os.path.lexists(path.partition(os.sep)[0]):
        raise InputError(f"{path}: there is no user {path.partition(os.sep)[0][1:]!r}; give another path")
    return found


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`, which takes its place if the block ends well.

    Of a link, what it leads to is replaced. Devices ("/dev/null") and other things that are no files are refused.

    Example:
        with atomic_path("model.tflite") as temporary:
            temporary.write_bytes(data)
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected the path of a file to write; add a file name")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no file, but a device or the like, which cannot be replaced; give another path")
    if path.is_symlink():
        path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=f".tmp{path.suffix}", dir=path.parent)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); give a path in a folder that is writable"
        ) from error
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        with _told_when_full(path):
            yield temporary
        # mkstemp makes files that only their owner can read; results are ordinary files.
        mask = os.umask(0)
        os.umask(mask)
        # Drives of other systems refuse it, and keep the file all the same.
        with contextlib.suppress(OSError):
            temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike) -> None:
    """Raises `InputError` where `atomic_path` would: before work whose result would be lost."""
    with contextlib.suppress(_Undone), atomic_path(path):
        raise _Undone


class _Undone(Exception):
    """Ends `atomic_path` without a file."""


@contextlib.contextmanager
def _told_when_full(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFullError(
            f"{path}: cannot be written ({error.strerror}); free some of the disk and give the same command again"
        ) from error


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        # Names of files may have bytes that are no UTF-8.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes a JSON file atomically, indented for people."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def _read_text(path: pathlib.Path, what: str) -> str:
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected the file: {what}; give the file's own path")
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected: {what}; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as {what} ({error}); write it anew") from error


def parse_json(text: str) -> Any:
    """The value of a JSON text; a key that occurs twice in an object raises a `ValueError`, as bad JSON does."""
    return json.loads(text, object_pairs_hook=_without_duplicates)


def parse_yaml(text: str) -> Any:
    """As `yaml.safe_load`; a key that occurs twice in a mapping raises a `ValueError`."""
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        waiting, seen = [node], {id(None)}
        while waiting:
            each = waiting.pop()
            # Aliases lead to what was looked at before.
            if id(each) in seen:
                continue
            seen.add(id(each))
            if isinstance(each, yaml.SequenceNode):
                waiting += each.value
            elif isinstance(each, yaml.MappingNode):
                # The tag tells 1 from "1"; what is merged ("<<") may come from several places.
                scalars = [key for key, _ in each.value if isinstance(key, yaml.ScalarNode)]
                keys = [(key.tag, key.value) for key in scalars if key.tag != "tag:yaml.org,2002:merge"]
                _check_keys(keys, lambda key: key[1])
                waiting += [value for _, value in each.value]
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_keys([key for key, _ in pairs])
    return dict(pairs)


def _check_keys(keys: list[Any], shown: Callable[[Any], str] = str) -> None:
    if len(set(keys)) < len(keys):
        raise ValueError(f"{brief(shown(next(key for key in keys if keys.count(key) > 1)), 80)!r} occurs twice")


def read_json(path: str | os.PathLike, what: str = "JSON") -> Any:
    """Reads a JSON file; a missing or damaged one raises an `InputError` that names it.

    Args:
        path: the file.
        what: what it should hold, in words for the error ("latency table").
    """
    path = pathlib.Path(path)
    text = _read_text(path, what)
    try:
        return parse_json(text)
    # Not only a JSONDecodeError: of a number, Python converts so many digits at most.
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a whole {what} ({error}); it may be damaged: write it anew") from error


def append_json_line(path: str | os.PathLike, value: Any) -> None:
    """Appends one line to a `.jsonl` file and pushes it to the disk.

    Of a last line without its newline, `read_json_lines` says what it is: a whole one gets its newline, half of one
    is removed.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _told_when_full(path), path.open("ab+") as file:
        _end_last_line(file)
        file.write(json.dumps(value).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _end_last_line(file: BinaryIO) -> None:
    end = file.seek(0, os.SEEK_END)
    if end == 0 or (file.seek(end - 1), file.read(1))[1] == b"\n":
        return
    file.seek(0)
    found = file.read()
    start = found.rfind(b"\n") + 1
    if _is_whole(found[start:].decode(errors="replace")):
        file.write(b"\n")
    else:
        file.truncate(start)


def whole_lines(text: str) -> list[str]:
    """The lines of a `.jsonl` file's text, without half of an object at its end, which a killed writer left."""
    *lines, last = text.split("\n")
    return [*lines, last] if _is_whole(last) else lines


def _is_whole(line: str) -> bool:
    """Whether a last line without its newline is whole: an object needs its closing brace, so half of one is none."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def read_json_lines(path: str | os.PathLike, what: str = "JSON lines") -> list[Any]:
    """Reads a `.jsonl` file, so that value N is of line N.

    Of a last line without its newline, half of an object is a killed writer's, and dropped; empty lines at the end are
    passed over. Any other damage raises.
    """
    path = pathlib.Path(path)
    lines = whole_lines(_read_text(path, what))
    while lines and not lines[-1].strip():
        lines.pop()
    values = []
    for number, line in enumerate(lines, start=1):
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path}: line {number} is not JSON ({error}); delete the line or write the file anew"
            ) from error
    return values


def save_npz(path: str | os.PathLike, arrays: "dict[str, np.ndarray]", compress: bool = False) -> None:
    """Writes named arrays atomically as `.npz`."""
    # Half of what `--help` takes would be its import.
    import numpy as np

    with atomic_path(path) as temporary, temporary.open("wb") as file:
        (np.savez_compressed if compress else np.savez)(file, **arrays)
        file.flush()
        os.fsync(file.fileno())


def load_npz(path: str | os.PathLike, what: str = "npz file") -> "dict[str, np.ndarray]":
    """Reads every array of an `.npz` file (checksums included); a missing or damaged one raises `InputError`."""
    import numpy as np

    path = pathlib.Path(path)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {found}, expected: {what}; check the path")
    try:
        with path.open("rb") as file:
            # NumPy takes anything else for a pickle, and advises to load it unsafely.
            if file.read(2) != b"PK":
                raise ValueError("no .npz archive, whose first letters are PK")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
    # On a damaged file zipfile and NumPy raise nearly everything there is.
    except Exception as error:
        raise InputError(
            f"{path}: not a whole {what} ({brief(str(error) or type(error).__name__)}); it may be truncated: use an "
            f"older one or write it anew"
        ) from error


def file_sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
