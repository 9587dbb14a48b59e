"""`verify_table`: latency tables against whole networks that run on this machine."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats
from tqdm import tqdm

from mobile_bench import host, measure
from mobile_bench.block_models import model_bytes
from mobile_bench.reference import Reference
from mobile_bench.table_builder import middle, reference_ms
from ofa_tf.common import InputError, atomic_path
from ofa_tf.deploy import Runner
from ofa_tf.predictors.latency_correction import fit_correction, mean_absolute_percentage_error
from ofa_tf.predictors.latency_table import LatencyTable
from ofa_tf.spaces import Arch, Space
from ofa_tf.spaces.population import distinct_blocks

_BAR = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"


@dataclasses.dataclass(frozen=True)
class Verification:
    """Predicted against measured latencies of N networks, in milliseconds.

    Args:
        archs: the networks.
        predicted_ms: N predictions of the table, with its correction where it has one.
        measured_ms: N measured latencies.
        block_sums_ms: N plain sums of blocks.
        correction_networks: how many other networks the table's correction was fitted on, 0 without one.
        speed_ratio: the reference network's time in the measurement over that in the table's; 1 where the machine was
            as fast, None where the table does not say.
    """

    archs: tuple[Arch, ...]
    predicted_ms: tuple[float, ...]
    measured_ms: tuple[float, ...]
    block_sums_ms: tuple[float, ...]
    correction_networks: int
    speed_ratio: float | None

    @property
    def mape(self) -> float:
        """Mean absolute percentage error, in percent."""
        return mean_absolute_percentage_error(np.array(self.predicted_ms), np.array(self.measured_ms))

    @property
    def uncorrected_mape(self) -> float:
        """The same of the plain sums of blocks."""
        return mean_absolute_percentage_error(np.array(self.block_sums_ms), np.array(self.measured_ms))

    @property
    def spearman(self) -> float:
        """Rank correlation, -1..1."""
        return float(stats.spearmanr(self.predicted_ms, self.measured_ms).statistic)

    @property
    def worst(self) -> int:
        """Index of the network with the largest relative error."""
        return int(np.argmax(np.abs(self.errors)))

    @property
    def errors(self) -> np.ndarray:
        """Relative errors, signed, in percent: float64 (N,)."""
        return (np.array(self.predicted_ms) / np.array(self.measured_ms) - 1) * 100

    def summary(self) -> str:
        """One line for people."""
        worst = self.worst
        corrected = f"corrected on {self.correction_networks} others" if self.correction_networks else "no correction"
        return (
            f"{len(self.archs)} networks, {min(self.measured_ms):.3f} to {max(self.measured_ms):.3f} ms: mean "
            f"absolute percentage error {self.mape:.2f}% ({corrected}; plain sums {self.uncorrected_mape:.2f}%), "
            f"Spearman {self.spearman:.4f}, worst {self.errors[worst]:+.1f}% "
            f"(predicted {self.predicted_ms[worst]:.4f}, measured {self.measured_ms[worst]:.4f} ms)"
            + ("" if self.speed_ratio is None else f"; reference network at {self.speed_ratio:.3f} of the table's time")
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "unit": "ms",
            "mape": self.mape,
            "uncorrected_mape": self.uncorrected_mape,
            "spearman": self.spearman,
            "worst_error": float(self.errors[self.worst]),
            "worst_arch": self.archs[self.worst].to_dict(),
            **{name: list(getattr(self, name)) for name in ("predicted_ms", "measured_ms", "block_sums_ms")},
            "correction_networks": self.correction_networks,
            "speed_ratio": self.speed_ratio,
            "archs": [arch.to_dict() for arch in self.archs],
        }


def verify_table(
    table: LatencyTable,
    space: Space,
    *,
    networks: int = 30,
    correct: int = 0,
    rounds: int = measure.ROUNDS,
    seed: int = 0,
    progress: bool = True,
) -> tuple[Verification, LatencyTable]:
    """Measures random whole networks and compares them with what a table predicts.

    Args:
        table: measured on this machine.
        space: the space it was measured for; networks have those of its resolutions that the table covers.
        networks: how many are compared.
        correct: how many others the table's correction is fitted on anew; 0 takes the table as it is.
        rounds: see `measure.time_networks`.
        seed: of the networks that are drawn, their weights and inputs.
        progress: whether a bar is shown on stderr.

    Returns:
        What was found, and the table, with the new correction where one was fitted.

    Raises:
        InputError: the table is of another machine, or covers no resolution of the space.

    Example:
        verification, table = verify_table(table, space, correct=8)
        print(verification.summary())
    """
    _check(table, networks, correct)
    quiet_ms = reference_ms(table, space)
    rng = np.random.default_rng(seed)
    archs = _draw(space, _covered(table, space), networks + correct, rng)
    with tqdm(total=1 + len(archs) + rounds, desc="networks", bar_format=_BAR, disable=not progress) as bar:
        runners = []
        for arch in (middle(space), *archs):
            data = model_bytes(space.blocks(arch), table.precision, form=table.activation_form, seed=seed)
            runners.append(Runner(data, threads=table.threads))
            bar.update()
        reference = Reference(runners.pop(0), quiet_ms)

        def on_round() -> None:
            # Disturbed rounds are tried again.
            bar.total = max(bar.total, bar.n + 1)
            bar.update()

        measured_ms, level_ms = measure.time_networks(runners, reference, rounds=rounds, rng=rng, on_round=on_round)
    sums_ms = table.with_correction(None).predict(space, archs)
    if correct:
        table = table.with_correction(fit_correction(sums_ms[networks:], measured_ms[networks:]))
    verification = Verification(
        archs=tuple(archs[:networks]),
        predicted_ms=tuple(table.predict(space, archs[:networks]).tolist()),
        measured_ms=tuple(measured_ms[:networks]),
        block_sums_ms=tuple(sums_ms[:networks].tolist()),
        correction_networks=0 if table.correction is None else table.correction.networks,
        speed_ratio=level_ms / quiet_ms if quiet_ms else None,
    )
    return verification, table


def plot(verification: Verification, path: str | os.PathLike, title: str = "") -> None:
    """Draws predicted against measured latencies into a PNG or SVG file."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 5))
    ends = [0, 1.05 * max(*verification.measured_ms, *verification.predicted_ms)]
    axes.plot(ends, ends, color="0.7", linewidth=1)
    axes.scatter(verification.measured_ms, verification.predicted_ms, s=18)
    axes.set(xlabel="measured latency, ms", ylabel="predicted latency, ms", xlim=ends, ylim=ends, title=title)
    axes.text(0.05, 0.92, f"error {verification.mape:.1f}%, Spearman {verification.spearman:.3f}",
              transform=axes.transAxes)  # fmt: skip
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=pathlib.Path(path).suffix[1:] or "png", dpi=120, bbox_inches="tight")
    pyplot.close(figure)


def _check(table: LatencyTable, networks: int, correct: int) -> None:
    cpu = host.describe()["cpu"]
    if table.device != host.DEVICE or table.versions.get("cpu") != cpu:
        raise InputError(
            f"latency table: of {table.device} ({table.versions.get('cpu')}), but this machine is {host.DEVICE} "
            f"({cpu}); verify it there"
        )
    if networks < 2 or correct < 0:
        raise InputError(f"{networks} networks and {correct} for the correction: expected at least 2, and 0 or more")


def _covered(table: LatencyTable, space: Space) -> list[int]:
    covered = [size for size in space.resolutions if not table.missing(distinct_blocks(space, (size,)))]
    if not covered:
        raise InputError(
            f"latency table: covers no resolution of the space {space.name}; measure its blocks with python -m "
            f"mobile_bench.build_latency_table --space={space.name}"
        )
    return covered


def _draw(space: Space, resolutions: Sequence[int], count: int, rng: np.random.Generator) -> list[Arch]:
    """Different architectures, so that none that is compared was corrected on."""
    drawn: dict[Arch, None] = {}
    for _ in range(100 * count):
        drawn[space.sample(rng, r=tuple(resolutions))] = None
        if len(drawn) == count:
            return list(drawn)
    raise InputError(f"space {space.name}: has too few architectures to draw {count} different ones; ask for fewer")
