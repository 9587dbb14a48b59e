"""The flags of every binary that measures on phones, and the session that they ask for."""

import sys

from absl import flags

from mobile_bench.adb_flag import ADB
from ofa_tf.devices.benchmark_options import DELEGATES, BenchmarkOptions

_BINARY = flags.DEFINE_string(
    "benchmark_binary", None, "LiteRT's benchmark_model for the phone; unless given the published one, fetched once"
)
_VERSION = flags.DEFINE_string("litert_version", None, "version of the published one; a tried one unless given")
_DELEGATE = flags.DEFINE_enum("delegate", "xnnpack", DELEGATES, "what runs models on the phone")
_HOT_CELSIUS = flags.DEFINE_float("hot_celsius", 40.0, "a phone whose battery is so warm is waited for")
_COOLING_SECONDS = flags.DEFINE_integer("cooling_seconds", 300, "at most so long before each model", lower_bound=0)
_LOG_FOLDER = flags.DEFINE_string("log_folder", "benchmark_logs", "where output of the phone that is no result is kept")


def phone_session(serial: str | None, *, threads: int, runs: int, seconds: float, profile: bool = False):
    """A session on a phone, as the flags have it, to be entered; its notes go to stderr, above a bar that is there.

    Args:
        serial: adb's.
        threads: of the interpreter.
        runs: at least this many are timed,
        seconds: and for at least so long.
        profile: whether each operation is timed, too.

    Returns:
        A `Phone`.

    Raises:
        InputError: the phone, or what shall run on it, cannot be used.
    """
    from tqdm import tqdm

    from ofa_tf.devices.adb import Adb
    from ofa_tf.devices.benchmark_binary import VERSION, find_binary
    from ofa_tf.devices.phone import Phone
    from ofa_tf.devices.phone_facts import PhoneFacts

    device = Adb(ADB.value).device(serial)
    binary = find_binary(PhoneFacts.read(device).abi, _BINARY.value, version=_VERSION.value or VERSION)
    options = BenchmarkOptions(
        runs=runs,
        min_seconds=seconds,
        threads=threads,
        delegate=_DELEGATE.value,
        hot_celsius=_HOT_CELSIUS.value,
        cooling_seconds=_COOLING_SECONDS.value,
        profile=profile,
    )
    return Phone(
        device, binary, options, log_folder=_LOG_FOLDER.value, on_note=lambda note: tqdm.write(note, file=sys.stderr)
    )
