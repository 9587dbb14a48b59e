"""Models on their way to a phone: how many go at once, under which names, in one file."""

import collections
import dataclasses
import io
import tarfile
from collections.abc import Mapping

from mobile_bench.phone_measurement import PhoneMeasurement

_BATCH_MODELS = 100
_BATCH_BYTES = 64e6
_LONGEST_NAME_BYTES = 200


@dataclasses.dataclass(eq=False)
class Job:
    """A model that is to be measured.

    Args:
        name: of the model, for people.
        data: the content of its `.tflite` file.
        failures: runs that gave nothing.
        attempts: all runs.
        best: the coolest measurement so far.
    """

    name: str
    data: bytes
    failures: int = 0
    attempts: int = 0
    best: PhoneMeasurement | None = None


def next_batch(waiting: collections.deque[Job]) -> list[Job]:
    """Takes the jobs of the next batch out of those that wait: at least one, not too many, not too large together."""
    batch: list[Job] = []
    size = 0
    while waiting and len(batch) < _BATCH_MODELS and (not batch or size + len(waiting[0].data) <= _BATCH_BYTES):
        batch.append(waiting.popleft())
        size += len(batch[-1].data)
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
