"""Downloads that can be interrupted."""

import http.client
import os
import pathlib
import urllib.error
import urllib.request

import tqdm

from ofa_tf.common import OfaError

_TIMEOUT_SECONDS = 30
_CHUNK_BYTES = 1 << 16


def download(url: str, path: pathlib.Path) -> None:
    """Fetches a file; what was fetched before an interruption is kept in `<path>.part` and not fetched again.

    Args:
        url: http or https.
        path: where the file goes, once it is whole.

    Raises:
        OfaError: it cannot be fetched, or the connection broke; the same call resumes.
    """
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
