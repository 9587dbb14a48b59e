"""`BenchmarkOptions`: how models are measured on a phone."""

import dataclasses
import math
from collections.abc import Collection

from ofa_tf.common import InputError

# What runs a model, by the options that ask the tool for it: the first whose names it knows.
_DELEGATES = {
    "xnnpack": (("use_xnnpack=true",), ("use_cpu=true",)),
    "none": (("use_xnnpack=false",),),
    "gpu": (("use_gpu=true",),),
    "nnapi": (("use_nnapi=true",),),
    "npu": (("use_npu=true",),),
}
DELEGATES = tuple(_DELEGATES)
# What tools of the first years do without.
_BOUNDS = ("max_secs", "warmup_min_secs")


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
        """The options for the tool, but for the model.

        Args:
            known: names of the options that this version of the tool has.

        Raises:
            InputError: it does not have one that is needed.
        """
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
