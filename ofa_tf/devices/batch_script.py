"""Models on their way to a device: how many go at once, the script that measures them, and what it writes, read.

One script for many models, so that a block does not cost a round trip. Before each model it waits until the phone is
cool; around each it writes lines that begin with a random word, so that what the tool writes is told from what the
script does, and what was measured before a connection broke is whole.
"""

import collections
import dataclasses
import io
import os
import pathlib
import shlex
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ofa_tf.common import InputError
from ofa_tf.devices.benchmark_model import BenchmarkOptions
from ofa_tf.devices.device import Measurement
from ofa_tf.devices.phone_facts import READ_TEMPERATURE, Reading

_COOLING_STEP_SECONDS = 2
# Plain POSIX, for the shells of old and new Androids. HUP comes when the computer goes.
_SCRIPT = """\
word={word}
child=
stop() {{
    trap '' HUP INT TERM
    if [ -n "$child" ]; then kill -9 "$child" 2>/dev/null; fi
    exit 1
}}
trap stop HUP INT TERM
read_temperature() {{
{read_temperature}
}}
is_hot() {{ [ "${{thermal:-0}}" -ge {hot_status} ] || [ "${{battery:-0}}" -ge {hot_tenths} ]; }}
measure() {{
    waited=0
    while is_hot && [ $waited -lt {cooling_seconds} ]; do
        printf '\\n%s cooling %s %s\\n' $word "$thermal/$battery" $waited
        sleep {step} &
        wait $!
        waited=$((waited + {step}))
        read_temperature
    done
    # Where adbd itself ended, nobody says HUP, and nobody hears this.
    printf '\\n%s begin %s %s\\n' $word "$1" "$thermal/$battery" || stop
    {command} --graph="$2" </dev/null &
    child=$!
    wait $child
    code=$?
    child=
    read_temperature
    printf '\\n%s end %s %s %s\\n' $word "$1" "$thermal/$battery" $code
}}
read_temperature
{calls}
"""


@dataclasses.dataclass(frozen=True)
class Begun:
    """The tool was started on a model."""

    index: int


@dataclasses.dataclass(frozen=True)
class Cooling:
    """The phone is hot, and is waited for."""

    reading: Reading
    waited_seconds: int


@dataclasses.dataclass(frozen=True)
class Ended:
    """The tool ended on a model: its exit code, what it wrote, and how warm the device was before and after."""

    index: int
    code: int
    text: str
    before: Reading
    after: Reading


def batch_script(word: str, command: Sequence[str], models: Sequence[str], options: BenchmarkOptions) -> str:
    """The script that has the command measure models by their paths; its own lines begin with the word."""
    return _SCRIPT.format(
        word=word,
        read_temperature=READ_TEMPERATURE,
        hot_status=options.hot_status,
        hot_tenths=round(options.hot_celsius * 10),
        cooling_seconds=options.cooling_seconds,
        step=_COOLING_STEP_SECONDS,
        command=shlex.join(command),
        calls="\n".join(f"measure {index} {shlex.quote(model)}" for index, model in enumerate(models)),
    )


def read_events(word: str, lines: Iterable[str]) -> Iterator[Begun | Cooling | Ended]:
    """What the script writes, as it comes; where the lines break off, whatever raised passes through."""
    text: list[str] = []
    before = Reading(None, None)
    for line in lines:
        if not line.startswith(f"{word} "):
            text.append(line)
            continue
        kind, *fields = line.split()[1:]
        if kind == "cooling":
            yield Cooling(Reading.of(fields[0]), int(fields[1]))
        elif kind == "begin":
            text, before = [], Reading.of(fields[1])
            yield Begun(int(fields[0]))
        elif kind == "end":
            yield Ended(int(fields[0]), int(fields[2]), "\n".join(text), before, Reading.of(fields[1]))


_BATCH_MODELS = 100
_BATCH_BYTES = 64e6
_LONGEST_NAME_BYTES = 200


@dataclasses.dataclass(eq=False)
class Job:
    """A model that is to be measured: how often it was run, in vain or not, and the coolest measurement so far."""

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
    """A model's file name: its own name, literally, but for what no file name can hold, after its number.

    Bytes that are not UTF-8, which a name of a file here may have, are left out: there it goes through a script.
    """
    data = name.replace("/", "_").replace("\0", "_").encode(errors="ignore")
    kept = data[:_LONGEST_NAME_BYTES].decode(errors="ignore")
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
