"""Models on their way to a phone: how many go at once, under which names, in one file."""

import collections
import dataclasses
import io
import os
import pathlib
import tarfile
from collections.abc import Mapping

from ofa_tf.common import InputError
from ofa_tf.devices.device import Measurement

_BATCH_MODELS = 100
_BATCH_BYTES = 64e6
_LONGEST_NAME_BYTES = 200


@dataclasses.dataclass(eq=False)
class Job:
    """A model that is to be measured.

    Args:
        name: of the model, for people.
        model: its `.tflite` file, the path or the content.
        failures: runs that gave nothing.
        attempts: all runs.
        best: the coolest measurement so far.
        order: by which it is the coolest.
    """

    name: str
    model: bytes | os.PathLike
    failures: int = 0
    attempts: int = 0
    best: Measurement | None = None
    order: tuple = ()

    def content(self) -> bytes:
        """The bytes of its file; raises `InputError` where it cannot be read."""
        if isinstance(self.model, bytes):
            return self.model
        try:
            return pathlib.Path(self.model).read_bytes()
        except OSError as error:
            raise InputError(f"{self.model}: cannot be read ({error.strerror}), expected a .tflite file") from error

    @property
    def size(self) -> int:
        """How many bytes it has, 0 for a file that is missing."""
        if isinstance(self.model, bytes):
            return len(self.model)
        path = pathlib.Path(self.model)
        return path.stat().st_size if path.is_file() else 0


def next_batch(waiting: collections.deque[Job]) -> list[Job]:
    """Takes the jobs of the next batch out of those that wait: at least one, not too many, not too large together."""
    batch: list[Job] = []
    size = 0
    while waiting and len(batch) < _BATCH_MODELS and (not batch or size + waiting[0].size <= _BATCH_BYTES):
        batch.append(waiting.popleft())
        size += batch[-1].size
    return batch


def file_name(index: int, name: str) -> str:
    """A model's file name: its own name, literally, but for what no file name can hold, after its number."""
    kept = name.replace("/", "_").replace("\0", "_").encode()[:_LONGEST_NAME_BYTES].decode(errors="ignore")
    return f"{index:04d} {kept}"


def archive(files: Mapping[str, bytes]) -> bytes:
    """Files by name, as one tar file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as opened:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            opened.addfile(member, io.BytesIO(data))
    return packed.getvalue()
