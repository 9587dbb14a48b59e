"""Files of (architecture, latency) pairs."""

import math
import os
from typing import Any

import numpy as np

from ofa_tf.common import InputError, read_json_lines
from ofa_tf.spaces import Arch, Space
from ofa_tf.spaces.arch import FIELDS


def read_latency_pairs(
    path: str | os.PathLike, space: Space, *, setting: str | None = None
) -> tuple[list[Arch], np.ndarray]:
    """Reads the pairs that a `LatencyRegression` is fitted on.

    Args:
        path: JSON lines; each holds the architecture (under "arch", or its fields themselves) and "latency_ms", a
            number or an object of numbers by setting.
        space: the architectures' space.
        setting: which of the latencies, where lines have several.

    Returns:
        N architectures and float64 (N,) milliseconds.

    Raises:
        InputError: a line is not such a pair; it is named.

    Example:
        archs, latencies_ms = read_latency_pairs("pairs.jsonl", space, setting="v100_64")
    """
    archs, latencies_ms = [], []
    for number, line in enumerate(read_json_lines(path, "latency pairs"), start=1):
        try:
            if not isinstance(line, dict):
                raise InputError(f"found {type(line).__name__}, expected an object")
            given = line.get("arch", {key: value for key, value in line.items() if key in FIELDS})
            archs.append(space.canonical(Arch.from_json(given)))
            latencies_ms.append(_latency_ms(line.get("latency_ms"), setting))
        except InputError as error:
            raise InputError(f"{path}: line {number}: {error}") from error
    return archs, np.array(latencies_ms, np.float64)


def _latency_ms(found: Any, setting: str | None) -> float:
    if isinstance(found, dict):
        if setting not in found:
            known = ", ".join(map(str, found))
            raise InputError(f"latency_ms has the settings {known}; name one of them (--setting), found {setting!r}")
        found = found[setting]
    elif setting is not None:
        raise InputError(f"latency_ms is {found!r}, so there is no setting {setting!r}; leave --setting out")
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found) or found <= 0:
        raise InputError(f"latency_ms is {found!r}, expected a number above 0")
    return float(found)
