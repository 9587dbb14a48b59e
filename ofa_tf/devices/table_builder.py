"""`build_table`: the latency table of a space's blocks on this machine."""

import math
import os
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from ofa_tf.common.form import Form, precision_of
from ofa_tf.deploy import Runner
from ofa_tf.devices import HOST, host, measure
from ofa_tf.devices.block_models import model_bytes
from ofa_tf.devices.measure import TOLERANCE, Reference
from ofa_tf.devices.table_file import extended, start_table
from ofa_tf.predictors.latency_table import HOST_CONDITIONS, LatencyTable
from ofa_tf.spaces import Arch, Block, Space
from ofa_tf.spaces.population import distinct_blocks

# Rows that are measured together: the more, the longer until the table is written.
_ROWS_PER_GROUP = 2
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} blocks [{elapsed}<{remaining}]"
_NETWORKS_BAR = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"


def build_table(
    space: Space,
    resolutions: Sequence[int] | None,
    precision: str,
    threads: int,
    output: str | os.PathLike | None,
    *,
    form: str | None = None,
    rounds: int = measure.ROUNDS,
    seed: int = 0,
    progress: bool = True,
) -> LatencyTable:
    """Measures the blocks of a space that the table at `output` does not hold yet.

    Args:
        space: the space, with its number of classes.
        resolutions: image sides in pixels, all of the space's unless given.
        precision: one of `deploy.PRECISIONS`.
        threads: of the interpreter.
        output: the table's file, written every few seconds; None keeps the table in memory.
        form: how it is written, one of `common.form.FORMS`; the precision's default unless given.
        rounds: see `measure.time_blocks`; fewer are faster and noisier.
        seed: of weights, inputs and order.
        progress: whether a bar is shown on stderr.

    Returns:
        The table; its `versions` say what measured, and how ("method").

    Raises:
        InputError: a choice is unknown, or the file at `output` was measured under other conditions.

    Example:
        table = build_table(spaces.get("ofa_tiny"), None, "int8", 1, "host_int8.json")
    """
    form = form or precision_of(precision).form
    Form.parse(form)
    resolutions = space.resolutions if resolutions is None else resolutions
    blocks = distinct_blocks(space, resolutions)
    network_length = len(space.blocks(space.largest()))
    # With several threads blocks are timed alone, see `measure`.
    row_length = network_length if threads == 1 else 1
    rng = np.random.default_rng(seed)
    new = LatencyTable(HOST, precision, threads, form, versions=host.describe())
    table = start_table(output, new, HOST_CONDITIONS, resolutions)
    missing = table.missing(blocks)
    if not missing:
        return table

    def runner(*blocks: Block) -> Runner:
        return Runner(model_bytes(blocks, precision, form=form, seed=seed), threads=threads)

    empty = Runner(measure.empty_model(precision), threads=threads)
    reference = Reference(runner(*space.blocks(middle(space))), reference_ms(table, space))
    groups = _groups(missing, network_length, rng)
    done = len(blocks) - len(missing)
    with tqdm(total=len(blocks), initial=done, bar_format=_BAR, desc=precision, disable=not progress) as bar:

        def measure_group(group: Sequence[Block], worst_ms: float = math.inf) -> float:
            nonlocal table
            runners = []
            # Of a block's time, converting it takes about half.
            for block in group:
                runners.append(runner(block))
                bar.update(0.5)
            runners += [runner(block) for block in _row_fillers(group, blocks, row_length, rng)]
            latencies, empty_ms, level_ms = measure.time_blocks(
                runners, empty, reference, row_length=row_length, rounds=rounds, rng=rng
            )
            bar.update(0.5 * len(group))
            if level_ms <= worst_ms:
                versions = {
                    "method": _method(row_length, rounds, empty_ms),
                    reference_key(space): f"{reference.quiet_ms:.6f}",
                }
                table = extended(table, group, latencies[: len(group)], {**host.describe(), **versions})
                if output is not None:
                    table.save(output)
            return level_ms

        levels_ms = [measure_group(group) for group in groups]
        disturbed = [
            (group, level_ms)
            for group, level_ms in zip(groups, levels_ms, strict=True)
            if not reference.is_quiet(level_ms)
        ]
        bar.total += sum(len(group) for group, _ in disturbed)
        for group, level_ms in disturbed:
            measure_group(group, level_ms)
    return table


def middle(space: Space, **given: Sequence) -> Arch:
    """The architecture of all middle choices but for those given, by field; without any, the reference network."""
    choices = {field: [gene.choices[len(gene.choices) // 2] for gene in genes] for field, genes in space.fields.items()}
    return space.arch(**{**choices, **given}, r=space.resolutions[len(space.resolutions) // 2])


def reference_ms(table: LatencyTable, space: Space) -> float | None:
    """The time of the space's reference network when the table was measured, in milliseconds."""
    return version_number(table, reference_key(space))


def version_number(table: LatencyTable, name: str) -> float | None:
    """What a table keeps as a number under a name of its versions, if it does."""
    try:
        return float(table.versions[name])
    except (KeyError, TypeError, ValueError):
        return None


def reference_key(space: Space) -> str:
    """Under what name a table keeps the time of the space's reference network."""
    return f"reference_ms of {space.name}"


def _groups(missing: Sequence[Block], network_length: int, rng: np.random.Generator) -> list[list[Block]]:
    """The blocks in random order, in groups of equal size: rows of one kind only would not be like networks."""
    count = max(1, round(len(missing) / (_ROWS_PER_GROUP * network_length)))
    parts = np.array_split(rng.permutation(len(missing)), count)
    return [[missing[index] for index in part] for part in parts if len(part)]


def _row_fillers(group: Sequence[Block], blocks: Sequence[Block], row_length: int, rng) -> list[Block]:
    """Measured blocks that fill up the row where fewer than a network has are left."""
    others = [block for block in blocks if block not in set(group)]
    count = min(max(row_length - len(group), 0), len(others))
    return [others[index] for index in rng.permutation(len(others))[:count]]


def _method(row_length: int, rounds: int, empty_ms: float) -> str:
    place = f"in rows of {row_length} different blocks with fresh inputs" if row_length > 1 else "alone"
    return (
        f"each block {place}: lower quartile of {rounds} rounds' medians, less an empty model's "
        f"{empty_ms * 1e3:.1f} us; rounds in which the reference network took more than {TOLERANCE:g} of its time were "
        f"tried again"
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
    with tqdm(total=1 + len(archs) + rounds, desc="networks", bar_format=_NETWORKS_BAR, disable=not progress) as bar:
        runners = []
        for arch in (middle(space), *archs):
            data = model_bytes(space.blocks(arch), table.precision, form=table.form, seed=seed)
            runners.append(Runner(data, threads=table.threads))
            bar.update()
        reference = Reference(runners.pop(0), reference_ms(table, space))

        def on_round() -> None:
            # Disturbed rounds are tried again.
            bar.total = max(bar.total, bar.n + 1)
            bar.update()

        rng = np.random.default_rng(seed)
        return measure.time_networks(runners, reference, rounds=rounds, rng=rng, on_round=on_round)
