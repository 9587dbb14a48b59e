"""`BenchmarkBinary`: LiteRT's `benchmark_model` for a phone, the user's own or the published one."""

import dataclasses
import os
import pathlib

from ofa_tf.common import InputError, file_sha256
from ofa_tf.common.download import cache_folder, cached, mirrored

# Where LiteRT publishes its programs, and the version that is taken unless another is asked for.
BINARIES_URL = "https://storage.googleapis.com/litert/binaries"
VERSION = "2.2.0"

_FOLDERS = {"arm64-v8a": "android_arm64", "x86_64": "android_x86_64"}
# In an ELF file: what it is, and the machine it is for.
_ELF = b"\x7fELF"
_MACHINE = slice(18, 20)
_MACHINES = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a"}


@dataclasses.dataclass(frozen=True)
class BenchmarkBinary:
    """A `benchmark_model` on this machine; made by `find_binary`.

    Args:
        path: of the file.
        sha256: of its bytes, hexadecimal: tables record it.
    """

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


def find_binary(
    abi: str, path: str | os.PathLike | None = None, *, version: str = VERSION, sha256: str | None = None
) -> BenchmarkBinary:
    """The given program, or the published one: from the cache, downloaded the first time.

    Args:
        abi: of the phone, "arm64-v8a".
        path: the user's own program.
        version: of LiteRT, where none is given.
        sha256: what it must hash to, hexadecimal; anything unless given.

    Raises:
        InputError: it is missing, has another hash, or is for another ABI.
        OfaError: it cannot be fetched; the message says how to get it by hand.

    Example:
        binary = find_binary(PhoneFacts.read(device).abi)
    """
    if path is None:
        url = binary_url(abi, version)
        kept = cache_folder() / "benchmark_model" / version / abi / "benchmark_model"
        file = cached(url, kept, sha256=sha256, instead="or give one with --benchmark_binary=PATH")
    else:
        file = pathlib.Path(path)
    try:
        with file.open("rb") as opened:
            head = opened.read(64)
        found = file_sha256(file)
    except OSError as error:
        raise InputError(f"--benchmark_binary={file}: cannot be read ({error.strerror}); check the path") from error
    if sha256 is not None and found != sha256.lower():
        raise InputError(f"--benchmark_binary={file}: SHA-256 is {found}, expected {sha256}; give the right one")
    machine = _MACHINES.get(int.from_bytes(head[_MACHINE], "little")) if head.startswith(_ELF) else None
    # A phone of 64 bits runs programs of 32, too, slowly: not what is to be measured.
    if head.startswith(_ELF) and machine != abi:
        raise InputError(
            f"{file}: a program for {machine or 'an unknown processor'}, the phone is {abi}; give one for {abi} with "
            f"--benchmark_binary=PATH"
        )
    return BenchmarkBinary(file, found)
