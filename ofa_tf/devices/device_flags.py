"""The flags of every binary that measures on devices, and the settings that they ask for."""

import sys

from absl import flags

from ofa_tf import devices
from ofa_tf.devices import DELEGATES, BenchmarkOptions, Settings

ADB = flags.DEFINE_string("adb", None, "the adb program; unless given the one that the package adbutils brings")
_BINARY = flags.DEFINE_string(
    "benchmark_binary", None, "LiteRT's benchmark_model for the phone; unless given the published one, fetched once"
)
_VERSION = flags.DEFINE_string("litert_version", None, "version of the published one; the tested one unless given")
_DELEGATE = flags.DEFINE_enum("delegate", "xnnpack", DELEGATES, "what runs models on the phone")
_HOT_CELSIUS = flags.DEFINE_float("hot_celsius", 40.0, "wait while a phone's battery is at least this warm")
_COOLING_SECONDS = flags.DEFINE_integer(
    "cooling_seconds", 300, "the longest wait for a hot phone before each model", lower_bound=0
)
_SSH_CONFIG = flags.DEFINE_string(
    "ssh_config", None, "configuration of OpenSSH's client, for --device=ssh:...; ~/.ssh/config unless given"
)
_LOG_FOLDER = flags.DEFINE_string("log_folder", "benchmark_logs", "the folder for the phone's output beside results")


def settings(rounds: int | None = None) -> Settings:
    """The settings of the flags; notes go to stderr, above a bar that is there."""

    def note(text: str) -> None:
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)

    return Settings(
        adb=ADB.value,
        benchmark_binary=_BINARY.value,
        litert_version=_VERSION.value,
        ssh_config=_SSH_CONFIG.value,
        log_folder=_LOG_FOLDER.value,
        rounds=rounds,
        on_note=note,
    )


def options(*, threads: int, runs: int, seconds: float, profile: bool = False) -> BenchmarkOptions:
    """How the flags have models measured: with so many threads, at least so many runs, and for at least so long."""
    return BenchmarkOptions(
        runs=runs,
        min_seconds=seconds,
        threads=threads,
        delegate=_DELEGATE.value,
        hot_celsius=_HOT_CELSIUS.value,
        cooling_seconds=_COOLING_SECONDS.value,
        profile=profile,
    )


def open_device(name: str, **measured: float) -> "devices.Device":
    """The device of a name, as the flags have it, to be entered; see `options`."""
    return devices.open(name, options(**measured), settings())
