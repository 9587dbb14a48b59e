"""`LatencyRegression`: latency from measured whole networks, where the latencies of blocks do not add up."""

import dataclasses
import functools
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ofa_tf.common import InputError, RecordFormat, brief, read_json_lines
from ofa_tf.common.config import is_number
from ofa_tf.predictors.holdout_metrics import holdout_metrics
from ofa_tf.predictors.latency_correction import mean_absolute_percentage_error
from ofa_tf.spaces import Arch, Block, Space, from_config, operations
from ofa_tf.spaces.arch import FIELDS
from ofa_tf.spaces.population import (
    CostTable,
    active,
    active_columns,
    encode,
    evaluate,
    layout,
    variant_index,
    variants,
)

_QUANTITIES = 5


def _quantities(block: Block) -> list[float]:
    """Being there, and the elements written and the products in convolutions, depthwise ones apart."""
    counts = {"conv": np.zeros(2), "depthwise": np.zeros(2)}
    for operation in operations(block):
        if operation.kind in counts:
            counts[operation.kind] += operation.elements, operation.weights * operation.side**2
    return [1.0, *counts["conv"], *counts["depthwise"]]


@functools.lru_cache(maxsize=4)
def variant_features(space: Space) -> np.ndarray:
    """The regressors of every variant of every position: float64 (variants, features).

    An architecture's regressors are the sum over its blocks, so what is linear in them is a table over blocks. There
    are those of each position (one for each choice of each gene, times the pixels of the block's output), those of each
    stage (the sizes of tensors, shared by its positions: few pairs teach them well), and one for each resolution.
    """
    plan = layout(space)
    positions, stages = len(space.positions), []
    for position in space.positions:
        stage = position.name.partition("_")[0]
        if stage not in stages:
            stages.append(stage)
    resolutions = len(space.resolutions)
    own_starts = np.cumsum([0, *(1 + sum(len(g.choices) for g in p.genes) for p in space.positions)])
    columns = own_starts[-1] + _QUANTITIES * len(stages) + resolutions
    result = np.zeros((plan.size, columns))
    position_of = np.searchsorted(plan.offsets, np.arange(plan.size), side="right") - 1
    for number, block in variants(space):
        place = position_of[number]
        position = space.positions[place]
        *choices, size = np.unravel_index(number - plan.offsets[place], plan.shapes[place])
        pixels = block.output_size**2
        column = own_starts[place]
        result[number, column] = pixels
        column += 1
        for gene, choice in zip(position.genes, choices, strict=True):
            result[number, column + choice] = pixels
            column += len(gene.choices)
        shared = own_starts[-1] + _QUANTITIES * stages.index(position.name.partition("_")[0])
        result[number, shared : shared + _QUANTITIES] = _quantities(block)
        if place == positions - 1:
            result[number, columns - resolutions + size] = 1.0
    return result


def architecture_features(space: Space, rows: np.ndarray) -> np.ndarray:
    """The regressors of whole architectures, rows int (P, G + 1): float64 (P, features)."""
    table = variant_features(space)
    index, running = variant_index(space, rows), active(space, rows)
    total = np.zeros((len(rows), table.shape[1]))
    for place in range(index.shape[1]):
        total += table[index[:, place]] * running[:, place, None]
    return total


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
    if not is_number(found) or found <= 0:
        raise InputError(f"latency_ms is {found!r}, expected a number above 0")
    return float(found)


FORMAT = RecordFormat("ofa_tf latency regression", "fit one with tools.fit_latency_predictor")
MIN_PAIRS = 20

# Strengths of the penalty on standardized regressors, of which leave-one-out errors choose.
_PENALTIES = np.logspace(-2, 2.5, 10)


@dataclasses.dataclass(frozen=True, eq=False)
class LatencyRegression:
    """A ridge regression on what the blocks are, fitted on (architecture, latency) pairs; made by `fit`.

    Some devices (a GPU, a batch of 64) run networks whose latency is not the sum of their blocks'. Whole networks are
    measured there instead. What is fitted is again one number per block, so a search uses it like a `LatencyTable`.

    Args:
        device: what was measured, and under which conditions, in words.
        space: the architectures' space; `space.resolutions` are those it was fitted on, no others.
        values: float64 (variants,), milliseconds of each variant of each position; single ones mean little.
        offset_ms: in milliseconds.
        metrics: errors on pairs that it was not fitted on: those of `holdout_metrics`, and "mape" in percent.
        provenance: JSON-ready facts about the pairs.

    Raises:
        InputError: the values are not those of the space's blocks.

    Example:
        regression = LatencyRegression.fit(space, archs, latencies_ms, device="v100, batch 64")
        evolutionary_search(space, accuracy_predictor, Constraint("latency_ms", 20, predictor=regression))
    """

    device: str
    space: Space
    values: np.ndarray
    offset_ms: float
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        expected = (layout(self.space).size,)
        is_float = self.values.dtype.kind == "f"
        if (
            not is_float
            or self.values.shape != expected
            or not np.isfinite(self.values).all()
            or not np.isfinite(self.offset_ms)
        ):
            raise InputError(
                f"latency regression of {self.device}: values of shape {self.values.shape}, expected finite ones of "
                f"shape {expected} for space {self.space.name}"
            )

    @staticmethod
    def fit(
        space: Space,
        archs: Sequence[Arch],
        latencies_ms: Sequence[float],
        *,
        device: str,
        seed: int = 0,
        holdout: float = 0.2,
        provenance: Mapping[str, Any] | None = None,
    ) -> "LatencyRegression":
        """Fits relative errors, and measures on a random part left out how well such a fit does.

        Args:
            space: the architectures' space.
            archs: N architectures. The regression will answer for the resolutions that occur among them.
            latencies_ms: their measured latencies, in milliseconds.
            device: what was measured.
            seed: of the split.
            holdout: the share left out for `metrics`; the regression returned is then fitted on all. 0 for none.
            provenance: JSON-ready facts about the data.

        Raises:
            InputError: there are too few pairs, or a latency is not above 0.
        """
        measured = np.asarray(latencies_ms, np.float64)
        if measured.shape != (len(archs),):
            raise InputError(
                f"latency regression: {len(archs)} architectures and {measured.size} latencies, expected one for each"
            )
        archs = [space.canonical(arch) for arch in archs]
        # In their order; what was measured several times is one.
        network = {arch: index for index, arch in enumerate(dict.fromkeys(archs))}
        if len(network) < MIN_PAIRS:
            raise InputError(
                f"latency regression: pairs of {len(network)} different architectures, expected at least {MIN_PAIRS}; "
                f"measure more"
            )
        if not (np.isfinite(measured).all() and (measured > 0).all()):
            raise InputError("latency regression: a latency is not a number above 0; measure it again")
        if not 0 <= holdout <= 0.5:
            raise InputError(f"latency regression: holdout is {holdout!r}, expected a share from 0 to 0.5")
        space = space.replace(resolutions=tuple(sorted({arch.r for arch in archs})))
        rows = encode(space, archs)
        _tell_unseen(space, rows)
        drawn = np.random.default_rng(seed).permutation(len(network))[: round(holdout * len(network))]
        left_out = np.flatnonzero(np.isin([network[arch] for arch in archs], drawn))
        metrics = {}
        if len(left_out) > 1:
            rest = np.setdiff1d(np.arange(len(archs)), left_out)
            values, offset_ms = _fitted(space, rows[rest], measured[rest])
            predicted = evaluate(CostTable(space, values, offset=offset_ms), rows[left_out])
            error = mean_absolute_percentage_error(predicted, measured[left_out])
            metrics = {**holdout_metrics(predicted, measured[left_out]), "mape": error}
        values, offset_ms = _fitted(space, rows, measured)
        facts = {"pairs": len(archs), "seed": seed, **(provenance or {})}
        return LatencyRegression(device, space, values, offset_ms, metrics, facts)

    def predict(self, space: Space, archs: Sequence[Arch]) -> np.ndarray:
        """Latencies of whole networks.

        Args:
            space: the architectures' space.
            archs: N architectures, of resolutions that occurred among the pairs.

        Returns:
            float64 (N,), milliseconds.

        Raises:
            InputError: it was fitted on another space, or not on an architecture's resolution.
        """
        self._check(space, [arch.r for arch in archs])
        return evaluate(CostTable(self.space, self.values, offset=self.offset_ms), encode(self.space, archs))

    def compile(self, space: Space, resolutions: Sequence[int] | None = None) -> CostTable:
        """The same as a table over a space's blocks, in which whole populations are evaluated (milliseconds).

        Args:
            space: the space.
            resolutions: image sides in pixels to compile for, all of the space's unless given.

        Raises:
            InputError: it was fitted on another space, or not on one of the resolutions.
        """
        wanted = list(space.resolutions if resolutions is None else resolutions)
        self._check(space, wanted)
        mine, theirs = layout(self.space), layout(space)
        here = [self.space.resolutions.index(resolution) for resolution in wanted]
        there = [space.resolutions.index(resolution) for resolution in wanted]
        values = np.full(theirs.size, np.nan)
        for index, (start, offset) in enumerate(zip(mine.offsets, theirs.offsets, strict=True)):
            # The resolution comes last among a position's choices.
            count = int(np.prod(mine.shapes[index][:-1]))
            block = self.values[start : start + count * mine.counts[-1]].reshape(count, -1)
            view = values[offset : offset + count * theirs.counts[-1]].reshape(count, -1)
            view[:, there] = block[:, here]
        return CostTable(space, values, offset=self.offset_ms)

    def _check(self, space: Space, resolutions: Sequence[int]) -> None:
        if not self.space.same_weights(space):
            raise InputError(
                f"latency regression of {self.device}: fitted on space {self.space.name} ({self.space.num_classes} "
                f"classes), asked about {space.name} ({space.num_classes}); fit one on that space"
            )
        unknown = sorted(set(resolutions) - set(self.space.resolutions))
        if unknown:
            known = ", ".join(map(str, self.space.resolutions))
            raise InputError(
                f"latency regression of {self.device}: fitted on resolutions {known}, asked about {unknown[0]}; "
                f"leave it out, or measure networks of that resolution and fit again"
            )

    def save(self, path: str | os.PathLike) -> None:
        """Writes the regression as `.npz`, atomically."""
        fields = {
            "unit": "ms",
            "device": self.device,
            "space": self.space.to_config(),
            "offset_ms": self.offset_ms,
            "metrics": dict(self.metrics),
            "provenance": dict(self.provenance),
        }
        FORMAT.save_npz(path, fields, {"values": self.values})

    @staticmethod
    def load(path: str | os.PathLike) -> "LatencyRegression":
        """Reads what `save` wrote.

        Raises:
            InputError: the file is missing, truncated, of a newer format, or something else.
        """
        fields, arrays = FORMAT.load_npz(path)
        with FORMAT.reading(path):
            return LatencyRegression(
                fields["device"],
                from_config(fields["space"]),
                arrays["values"],
                float(fields["offset_ms"]),
                fields["metrics"],
                fields["provenance"],
            )


def _tell_unseen(space: Space, rows: np.ndarray) -> None:
    """Warns of choices that no pair has: a search would go to them, and what is answered of them is a guess."""
    running = active_columns(space, rows)
    unseen = []
    for column, gene in enumerate(space.genes):
        seen = set(rows[running[:, column], column].tolist())
        unseen += [f"{gene.field}[{gene.index}]={choice}" for at, choice in enumerate(gene.choices) if at not in seen]
    if unseen:
        warnings.warn(
            f"latency regression: {len(unseen)} choices occur in no pair ({brief(', '.join(unseen), 80)}); what it "
            f"says of networks with them is a guess: measure some",
            stacklevel=3,
        )


def _fitted(space: Space, rows: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, float]:
    """The values of all variants and the offset, in milliseconds."""
    # Takes more than a second to import, and only fitting needs it.
    from sklearn.linear_model import RidgeCV

    inputs = architecture_features(space, rows)
    deviation = inputs.std(axis=0)
    # What does not vary among the pairs cannot be told from the offset.
    scale = np.where(deviation > 1e-9 * np.abs(inputs).max(axis=0), 1 / np.maximum(deviation, 1e-12), 0.0)
    # Weights of 1 / latency^2 make it the relative error that is least; the mean of the weights is 1, so that the
    # penalties mean the same for every device.
    weights = measured**-2.0
    model = RidgeCV(_PENALTIES).fit(inputs * scale, measured, weights / weights.mean())
    return variant_features(space) @ (model.coef_ * scale), float(model.intercept_)
