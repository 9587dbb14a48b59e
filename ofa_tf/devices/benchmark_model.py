"""LiteRT's `benchmark_model`: what it is asked for, and where it comes from."""

import dataclasses
import math
import os
import pathlib
import re
from collections.abc import Collection

from ofa_tf.common import InputError, brief, file_sha256
from ofa_tf.common.download import cache_folder, cached, mirrored

# What runs a model, by the options that ask the tool for it: the first whose names it knows.
_DELEGATES = {
    "xnnpack": (("use_xnnpack=true",), ("use_cpu=true",)),
    "none": (("use_xnnpack=false",),),
    "gpu": (("use_gpu=true",),),
    "nnapi": (("use_nnapi=true",),),
    "npu": (("use_npu=true",),),
}
DELEGATES = tuple(_DELEGATES)
ON_PROCESSOR = ("none", "xnnpack")
# What tools of the first years do without.
_BOUNDS = ("max_secs", "warmup_min_secs")
_OPTION = re.compile(r"^\s*--([a-z0-9_]+)=", re.M)

# Where LiteRT publishes its programs, and the version that is taken unless another is asked for.
BINARIES_URL = "https://storage.googleapis.com/litert/binaries"
VERSION = "2.2.0"

_FOLDERS = {"arm64-v8a": "android_arm64", "x86_64": "android_x86_64"}
# In an ELF file: what it is, and the machine it is for.
_ELF = b"\x7fELF"
_MACHINE = slice(18, 20)
_MACHINES = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a"}


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions:
    """How models are measured on a phone.

    Args:
        runs: at least this many are timed,
        min_seconds: and for at least so long.
        warmup_seconds: at least one run, and so long, goes before.
        max_seconds: neither goes on for longer.
        threads: of the interpreter.
        delegate: one of `DELEGATES`: what runs the model.
        hot_status: from which thermal status of Android's on a phone counts as hot.
        hot_celsius: and from which temperature of the battery.
        cooling_seconds: how long a hot phone is waited for, before each model.
        hot_attempts: how often a model is measured until the phone was not hot.
        profile: whether each operation is timed, too, which makes models slower.

    Raises:
        InputError: the delegate is unknown, or a number is none that can be kept to.
    """

    runs: int = 50
    min_seconds: float = 0.1
    warmup_seconds: float = 0.05
    max_seconds: float = 60.0
    threads: int = 1
    delegate: str = "xnnpack"
    hot_status: int = 1
    hot_celsius: float = 40.0
    cooling_seconds: int = 300
    hot_attempts: int = 3
    profile: bool = False

    def __post_init__(self):
        if self.delegate not in DELEGATES:
            raise InputError(f"--delegate={self.delegate!r} is unknown, known are {', '.join(DELEGATES)}")
        if not 0 <= self.min_seconds <= self.max_seconds:
            raise InputError(f"--seconds={self.min_seconds:g}: expected from 0 to {self.max_seconds:g}, when runs end")
        if not math.isfinite(self.hot_celsius):
            raise InputError(f"--hot_celsius={self.hot_celsius:g}: expected a temperature; 1000 never waits")

    def arguments(self, known: Collection[str]) -> list[str]:
        """The options for a tool that knows these, but for the model; raises `InputError` where one is missing."""
        given = {
            "num_runs": self.runs,
            "min_secs": f"{self.min_seconds:g}",
            "max_secs": f"{self.max_seconds:g}",
            "warmup_runs": 1,
            "warmup_min_secs": f"{self.warmup_seconds:g}",
            "num_threads": self.threads,
            **({"enable_op_profiling": "true"} if self.profile else {}),
        }
        ways = _DELEGATES[self.delegate]
        way = next((way for way in ways if all(text.partition("=")[0] in known for text in way)), None)
        given = {name: value for name, value in given.items() if name in known or name not in _BOUNDS}
        missing = sorted(set(given) - set(known))
        if way is None or missing:
            wanted = missing or [text.partition("=")[0] for text in ways[0]]
            raise InputError(
                f"benchmark_model: this one has no option --{wanted[0]}, it has {', '.join(sorted(known))}; give "
                f"another --delegate or another --benchmark_binary"
            )
        return [f"--{name}={value}" for name, value in given.items()] + [f"--{text}" for text in way]


def known_options(said: str, program: str | os.PathLike, device: str, abi: str) -> set[str]:
    """The names of a tool's options, from what it says when it is asked for help."""
    known = set(_OPTION.findall(said))
    if "graph" not in known:
        raise InputError(
            f"{program}: does not run on {device} ({brief(said) or 'silent'}); give a benchmark_model for {abi} with "
            f"--benchmark_binary=PATH"
        )
    return known


@dataclasses.dataclass(frozen=True)
class BenchmarkBinary:
    """A `benchmark_model` on this machine, and its hash, which tables record; made by `find_binary`."""

    path: pathlib.Path
    sha256: str


def binary_url(abi: str, version: str = VERSION) -> str:
    """Where the program for an ABI is published.

    Raises:
        InputError: LiteRT publishes none for it.
    """
    if abi not in _FOLDERS:
        raise InputError(
            f"benchmark_model: none is published for the ABI {abi!r}, only for {', '.join(_FOLDERS)}; build LiteRT's "
            f"for it and give it with --benchmark_binary=PATH"
        )
    return f"{mirrored(BINARIES_URL)}/{version}/{_FOLDERS[abi]}/benchmark_model"


def find_binary(abi: str, path: str | os.PathLike | None = None, *, version: str = VERSION) -> BenchmarkBinary:
    """The given program for an ABI, or the published one of a version: from the cache, downloaded the first time.

    Raises:
        InputError: it is missing, or is for another ABI.
        OfaError: it cannot be fetched; the message says how to get it by hand.
    """
    if path is None:
        url = binary_url(abi, version)
        kept = cache_folder() / "benchmark_model" / version / abi / "benchmark_model"
        file = cached(url, kept, instead="or give one with --benchmark_binary=PATH")
    else:
        file = pathlib.Path(path)
    try:
        with file.open("rb") as opened:
            head = opened.read(64)
        found = file_sha256(file)
    except OSError as error:
        raise InputError(f"--benchmark_binary={file}: cannot be read ({error.strerror}); check the path") from error
    machine = _MACHINES.get(int.from_bytes(head[_MACHINE], "little")) if head.startswith(_ELF) else None
    # A phone of 64 bits runs programs of 32, too, slowly: not what is to be measured.
    if head.startswith(_ELF) and machine != abi:
        raise InputError(
            f"{file}: a program for {machine or 'an unknown processor'}, the phone is {abi}; give one for {abi} with "
            f"--benchmark_binary=PATH"
        )
    return BenchmarkBinary(file, found)
