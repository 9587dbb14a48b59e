"""Times of whole networks on the device that a latency table is of, for `verification`."""

import math
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from ofa_tf.common import InputError, OfaError
from ofa_tf.deploy import Runner
from ofa_tf.devices import host, measure
from ofa_tf.devices.block_models import model_bytes
from ofa_tf.devices.model_cache import ModelCache
from ofa_tf.devices.model_times import ROUNDS, phone_times
from ofa_tf.devices.phone import Phone
from ofa_tf.devices.phone_table import conditions
from ofa_tf.devices.reference import Reference
from ofa_tf.devices.table_builder import middle, reference_ms
from ofa_tf.devices.table_file import check_conditions
from ofa_tf.predictors.latency_table import PHONE_CONDITIONS, LatencyTable
from ofa_tf.spaces import Arch, Space

_BAR = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"


def check_host(table: LatencyTable) -> None:
    """Raises `InputError` for a table of another machine."""
    cpu = host.describe()["cpu"]
    if table.device != host.DEVICE or table.versions.get("cpu") != cpu:
        raise InputError(
            f"latency table: of {table.device} ({table.versions.get('cpu')}), but this machine is {host.DEVICE} "
            f"({cpu}); verify it there"
        )


def time_on_host(
    table: LatencyTable,
    space: Space,
    archs: Sequence[Arch],
    *,
    rounds: int = measure.ROUNDS,
    seed: int = 0,
    progress: bool = True,
) -> tuple[list[float], float]:
    """Measures networks on this machine under a table's conditions.

    Args:
        table: says precision, threads and form, and how fast the machine was.
        space: the architectures' space.
        archs: the networks.
        rounds: see `measure.time_networks`.
        seed: of weights, inputs and order.
        progress: whether a bar is shown on stderr.

    Returns:
        One time per network, and the reference network's in the worst round that was used, in milliseconds.
    """
    with tqdm(total=1 + len(archs) + rounds, desc="networks", bar_format=_BAR, disable=not progress) as bar:
        runners = []
        for arch in (middle(space), *archs):
            data = model_bytes(space.blocks(arch), table.precision, form=table.activation_form, seed=seed)
            runners.append(Runner(data, threads=table.threads))
            bar.update()
        reference = Reference(runners.pop(0), reference_ms(table, space))

        def on_round() -> None:
            # Disturbed rounds are tried again.
            bar.total = max(bar.total, bar.n + 1)
            bar.update()

        rng = np.random.default_rng(seed)
        return measure.time_networks(runners, reference, rounds=rounds, rng=rng, on_round=on_round)


def time_on_phone(
    table: LatencyTable,
    space: Space,
    archs: Sequence[Arch],
    *,
    phone: Phone,
    path: str,
    rounds: int = ROUNDS,
    seed: int = 0,
    cache: ModelCache | None = None,
) -> tuple[list[float], float]:
    """Measures networks on the phone that a table is of.

    Args:
        table: as for `time_on_host`,
        space: likewise,
        archs: likewise.
        phone: a session, with the table's threads and delegate.
        path: the table's, for messages.
        rounds: see `model_times.phone_times`.
        seed: of weights and order.
        cache: of converted models; the user's unless given.

    Returns:
        As `time_on_host`.

    Raises:
        InputError: the phone, or how it is measured on, is not the table's.
        OfaError: it cannot run a network.
    """
    check_conditions(path, table, conditions(phone, table.precision, table.activation_form), PHONE_CONDITIONS)
    cache = cache or ModelCache()
    networks = [middle(space), *archs]
    files = [
        cache.file(space.blocks(arch), table.precision, form=table.activation_form, seed=seed)
        for arch in tqdm(networks, desc="converting", bar_format=_BAR, disable=None)
    ]
    level_ms, *times_ms = phone_times(phone, files, rounds=rounds, seed=seed)
    for arch, time_ms in zip(networks, [level_ms, *times_ms], strict=True):
        if math.isinf(time_ms):
            raise OfaError(f"phone {phone.device.serial}: could not run the network {arch.to_json()}; see its log")
    return times_ms, level_ms
