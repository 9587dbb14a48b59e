"""Downloads that can be interrupted, kept in a cache and checked."""

import http.client
import os
import pathlib
import urllib.error
import urllib.request

import tqdm

from ofa_tf.common.errors import InputError, OfaError
from ofa_tf.common.files import file_sha256

_TIMEOUT_SECONDS = 30
_CHUNK_BYTES = 1 << 16


def cache_folder() -> pathlib.Path:
    """Where downloaded files are kept: OFA_TF_CACHE, or ~/.cache/ofa_tf."""
    return pathlib.Path(os.environ.get("OFA_TF_CACHE") or pathlib.Path.home() / ".cache" / "ofa_tf")


def mirrored(place: str) -> str:
    """The address of a place that files are published at, or OFA_TF_MIRROR, which has them under the same paths."""
    return os.environ.get("OFA_TF_MIRROR", "").rstrip("/") or place


def cached(url: str, path: pathlib.Path, *, sha256: str | None = None, instead: str = "") -> pathlib.Path:
    """A file on this machine, downloaded unless it is there, with the SHA-256 that is given.

    Raises `InputError` where it has another hash, and `OfaError`, which says what to do `instead`, where it cannot be
    fetched.
    """
    fetched = not path.is_file()
    if fetched:
        try:
            download(url, path)
        except OfaError as error:
            hint = f" ({instead})" if instead else ""
            raise OfaError(
                f"{error}; or fetch {url} by hand where there is a network, and save it as {path}{hint}"
            ) from error
    found = file_sha256(path)
    if sha256 is not None and found != sha256.lower():
        if fetched:
            path.unlink()
        what = "what was fetched is removed; fetch it" if fetched else "delete the file to fetch it"
        raise InputError(f"{path}: SHA-256 is {found}, expected {sha256}; {what} anew, or give the right hash")
    return path


def download(url: str, path: pathlib.Path) -> None:
    """Fetches a file; what came before an interruption is kept in `<path>.part`, and the same call resumes."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part)
        os.replace(part, path)
    except urllib.error.HTTPError as error:
        raise OfaError(f"{url}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise OfaError(f"{url}: cannot be fetched ({reason}); check the network and give the same command") from error


def _fetch(url: str, part: pathlib.Path) -> None:
    begun = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={begun}-"} if begun else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not begun:
            raise
        # What is here is no beginning of the file there.
        part.unlink()
        return _fetch(url, part)
    with response:
        resumed = response.status == http.client.PARTIAL_CONTENT
        length = response.headers.get("Content-Length")
        total = None if length is None else int(length) + (begun if resumed else 0)
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm.tqdm(
                total=total, initial=begun if resumed else 0, unit="B", unit_scale=True, desc=part.stem, disable=None
            ) as bar,
        ):
            while chunk := response.read(_CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))
    found = part.stat().st_size
    if total is not None and found != total:
        raise OSError(f"connection broke after {found} of {total} bytes")
    return None
