"""`verify_table`: latency tables against whole networks that run on the device."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from ofa_tf.common import InputError, atomic_path
from ofa_tf.devices.device import Device
from ofa_tf.devices.table_file import reference_ms
from ofa_tf.predictors.latency_correction import MIN_NETWORKS, fit_correction, mean_absolute_percentage_error
from ofa_tf.predictors.latency_table import LatencyTable
from ofa_tf.spaces import Arch, Space
from ofa_tf.spaces.population import distinct_blocks

# A device whose reference network takes this much more or less of its time is not as it was measured.
_OTHER_SPEED = 1.2


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
        hot_networks: how many of all that were measured were hot, those of the correction and the reference network
            among them; None where the device does not tell.
    """

    archs: tuple[Arch, ...]
    predicted_ms: tuple[float, ...]
    measured_ms: tuple[float, ...]
    block_sums_ms: tuple[float, ...]
    correction_networks: int
    speed_ratio: float | None
    hot_networks: int | None = None

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
        """Rank correlation, -1..1; NaN where all predictions, or all measurements, are equal."""
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
            + ("" if self.hot_networks is None else f"; {self.hot_networks} measured hot")
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "unit": "ms",
            "mape": self.mape,
            "uncorrected_mape": self.uncorrected_mape,
            # JSON has no NaN.
            "spearman": None if math.isnan(self.spearman) else self.spearman,
            "worst_error": float(self.errors[self.worst]),
            "worst_arch": self.archs[self.worst].to_dict(),
            **{name: list(getattr(self, name)) for name in ("predicted_ms", "measured_ms", "block_sums_ms")},
            "correction_networks": self.correction_networks,
            "speed_ratio": self.speed_ratio,
            "hot_networks": self.hot_networks,
            "archs": [arch.to_dict() for arch in self.archs],
        }


def verify_table(
    table: LatencyTable,
    space: Space,
    device: Device,
    *,
    networks: int = 30,
    correct: int = 0,
    archs: Sequence[Arch] = (),
    path: str = "latency table",
    seed: int = 0,
) -> tuple[Verification, LatencyTable]:
    """Measures random whole networks, and given ones, and compares them with what a table predicts.

    Args:
        table: measured on this device.
        space: the space it was measured for; networks have those of its resolutions that the table covers.
        device: opened.
        networks: how many random ones are compared.
        correct: how many others the table's correction is fitted on anew; 0 takes the table as it is.
        archs: compared too, before the random ones: those that a search found.
        path: the table's, for messages.
        seed: of the networks that are drawn, their weights and inputs.

    Returns:
        What was found, and the table, with the new correction where one was fitted.

    Raises:
        InputError: the table is of another device, or covers no resolution of the space.

    Example:
        verification, table = verify_table(table, space, device, correct=8)
        print(verification.summary())
    """
    archs = list(dict.fromkeys(map(space.canonical, archs)))
    if networks + len(archs) < 2 or not (correct == 0 or correct >= MIN_NETWORKS):
        raise InputError(
            f"verification: {networks + len(archs)} different networks to compare and {correct} for the correction, "
            f"expected at least 2, and 0 or at least {MIN_NETWORKS}; give more"
        )
    # Before hours of measuring: whether the table has their blocks.
    table.predict(space, archs)
    drawn = _draw(space, _covered(table, space), networks + correct, np.random.default_rng(seed), archs)
    archs = [*archs, *drawn]
    compared = len(archs) - correct
    hot: list[int] = []
    measured_ms, reference_now_ms = device.time_networks(table, space, archs, path=path, seed=seed, on_hot=hot.append)
    sums_ms = table.with_correction(None).predict(space, archs)
    if correct:
        table = table.with_correction(fit_correction(sums_ms[compared:], measured_ms[compared:]))
    quiet_ms = reference_ms(table, space)
    verification = Verification(
        archs=tuple(archs[:compared]),
        predicted_ms=tuple(table.predict(space, archs[:compared]).tolist()),
        measured_ms=tuple(measured_ms[:compared]),
        block_sums_ms=tuple(sums_ms[:compared].tolist()),
        correction_networks=0 if table.correction is None else table.correction.networks,
        speed_ratio=reference_now_ms / quiet_ms if quiet_ms else None,
        hot_networks=len(hot) if device.tells_heat else None,
    )
    return verification, table


def verified_table(
    device: Device,
    space: Space,
    precision: str,
    path: str | os.PathLike,
    *,
    networks: int,
    correct: int,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> tuple[Verification, LatencyTable]:
    """Builds a table, or goes on with the one at a path, corrects it by whole networks, and writes it.

    A device that has become much slower or faster since its table was measured gets a new one, once: a line fitted on a
    few networks does not bring all blocks to another speed.

    Args:
        device: opened.
        space: the space, with its number of classes.
        precision: one of `common.form.PRECISIONS`.
        path: the table's file.
        networks: how many random networks are compared,
        correct: and how many others the correction is fitted on.
        seed: of weights, networks and order.
        say: called with a line where the table is measured anew.
        options: of `Device.build_table`.

    Returns:
        As `verify_table`.
    """
    for again in (False, True):
        table = device.build_table(space, precision, path, seed=seed, **options)
        found, table = verify_table(table, space, device, networks=networks, correct=correct, path=str(path), seed=seed)
        speed = found.speed_ratio
        if again or speed is None or 1 / _OTHER_SPEED < speed < _OTHER_SPEED:
            break
        say(f"{device} takes {speed:.2f} of the time it took when {path} was measured: measuring it anew")
        pathlib.Path(path).unlink()
    table.save(path)
    return found, table


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


def _covered(table: LatencyTable, space: Space) -> list[int]:
    covered = [size for size in space.resolutions if not table.missing(distinct_blocks(space, (size,)))]
    if not covered:
        raise InputError(
            f"latency table: covers no resolution of the space {space.name}; measure its blocks with python -m "
            f"mobile_bench.build_latency_table --space={space.name}"
        )
    return covered


def _draw(
    space: Space, resolutions: Sequence[int], count: int, rng: np.random.Generator, others: Sequence[Arch]
) -> list[Arch]:
    """Different architectures, so that none that is compared was corrected on."""
    drawn: dict[Arch, None] = {}
    for _ in range(100 * count):
        if len(drawn) == count:
            break
        arch = space.sample(rng, r=tuple(resolutions))
        if arch not in others:
            drawn[arch] = None
    if len(drawn) < count:
        raise InputError(f"space {space.name}: has too few architectures to draw {count} different ones; ask for fewer")
    return list(drawn)
