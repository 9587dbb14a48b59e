"""`AccuracyPredictor`: top-1 accuracy of an architecture from its one-hot choices and its size."""

import dataclasses
import functools
import hashlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import threadpoolctl
import tqdm

from ofa_tf.common import InputError, RecordFormat, brief
from ofa_tf.common.config import check_whole
from ofa_tf.predictors.holdout_metrics import holdout_metrics
from ofa_tf.spaces import Arch, Space, costs, from_config
from ofa_tf.spaces.population import CostTable, cost_table, encode, evaluate_all, feature_count, features

_COSTS = (costs.macs, costs.params)
# In units of their standard deviation, next to one-hot inputs: 1 to 4 are equally good.
_WEIGHT = 2.0


@functools.lru_cache(maxsize=8)
def _tables(space: Space) -> tuple[CostTable, ...]:
    return tuple(cost_table(space, cost) for cost in _COSTS)


@dataclasses.dataclass(frozen=True)
class CostScaling:
    """Centres and scales the logarithms of multiply-accumulates and of parameters: their means, and the factors."""

    means: tuple[float, ...]
    scales: tuple[float, ...]

    @property
    def count(self) -> int:
        """The number of inputs."""
        return len(_COSTS)

    @staticmethod
    def fit(space: Space, rows: np.ndarray) -> "CostScaling":
        """The scaling under which the rows, int (P, G + 1), have a mean of 0 and the wanted spread."""
        logarithms = np.log(evaluate_all(_tables(space), rows))
        spreads = np.maximum(logarithms.std(axis=0), 1e-6)
        return CostScaling(tuple(logarithms.mean(axis=0).tolist()), tuple((_WEIGHT / spreads).tolist()))

    def scaled(self, space: Space, rows: np.ndarray) -> np.ndarray:
        """The inputs for rows of a population: float32 (P, count)."""
        return np.float32((np.log(evaluate_all(_tables(space), rows)) - self.means) * self.scales)

    @staticmethod
    def from_header(fields: Mapping[str, Any] | None) -> "CostScaling | None":
        """Reads what `dataclasses.asdict` made of one; raises `KeyError`, `TypeError` or `ValueError` where
        something is missing."""
        if fields is None:
            return None
        scaling = CostScaling(*(tuple(map(float, fields[name])) for name in ("means", "scales")))
        if (
            not len(scaling.means) == len(scaling.scales) == scaling.count
            or not np.isfinite(dataclasses.astuple(scaling)).all()
        ):
            raise TypeError(f"{scaling.count} finite means and scales of costs")
        return scaling


MIN_PAIRS = 10

_BATCH = 32
# scikit-learn divides this by the batch. On the 1,668 published subnets 0.03 to 0.1 are best, for 100 pairs too;
# much less lets the gradients vanish into denormal numbers, which is slow.
_WEIGHT_DECAY = 0.1
_EXAMPLES_SEEN = 100_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 30, 150


def fit_layers(
    inputs: np.ndarray, targets: np.ndarray, seed: int, hidden: Sequence[int], epochs: int | None
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Fits a ReLU perceptron by Adam at 1e-3 on targets that are centred and scaled; the last layer undoes that."""
    # Takes more than a second to import, and only fitting needs it.
    from sklearn.neural_network import MLPRegressor

    check_whole("seed", seed, 0, 2**32 - 1)
    if epochs is None:
        epochs = int(np.clip(_EXAMPLES_SEEN / len(inputs), _FEWEST_EPOCHS, _MOST_EPOCHS))
    mean, scale = targets.mean(), max(targets.std(), 1e-6)
    model = MLPRegressor(
        hidden_layer_sizes=tuple(hidden),
        alpha=_WEIGHT_DECAY,
        batch_size=min(_BATCH, len(inputs)),
        learning_rate_init=1e-3,
        random_state=np.random.RandomState(seed),
    )
    scaled = ((targets - mean) / scale).astype(np.float32)
    # The products of a small batch are small: more threads than one wait for each other longer than they work.
    with threadpoolctl.threadpool_limits(1, "blas"):
        # One pass at a time, so that progress shows.
        for _ in tqdm.trange(epochs, desc="accuracy predictor", unit="epoch", leave=False, disable=None):
            model.partial_fit(inputs, scaled)
    weights, biases = list(model.coefs_), list(model.intercepts_)
    weights[-1], biases[-1] = weights[-1] * scale, biases[-1] * scale + mean
    return tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in zip(weights, biases, strict=True))


FORMAT = RecordFormat("ofa_tf accuracy predictor", "fit one with tools.fit_accuracy_predictor")

# Below it a float32 is subnormal.
_TINY = np.finfo(np.float32).tiny

Layers = tuple[tuple[np.ndarray, np.ndarray], ...]


def forward(layers: Layers, inputs: np.ndarray) -> np.ndarray:
    """The perceptron's output: float32 (N,) for float32 inputs (N, features)."""
    values = inputs
    for weights, bias in layers[:-1]:
        values = values @ weights
        values += bias
        np.maximum(values, 0, out=values)
    weights, bias = layers[-1]
    return (values @ weights + bias)[:, 0]


def _inputs(space: Space, rows: np.ndarray, costs: CostScaling | None) -> np.ndarray:
    """What the perceptron sees of each row: float32 (P, inputs)."""
    choices = features(space, rows)
    return choices if costs is None else np.concatenate([choices, costs.scaled(space, rows)], axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class AccuracyPredictor:
    """A multi-layer perceptron with ReLU, run in NumPy; made by `AccuracyPredictor.fit`.

    Its inputs are one-hot choices, as in the published one, and the logarithms of MACs and parameters, which say most
    about an accuracy: with 100 of the 1,668 published sub-networks they lower the error on others from 0.31 to 0.19
    points, with 300 from 0.13 to 0.12, and with all they change little.

    Args:
        space: the space it was fitted on; `space.resolutions` are the resolutions it was fitted on, no others.
        layers: (weights float32 (inputs, outputs), bias float32 (outputs,)) per layer, from `features(space, ...)` to
            one output, top-1 in 0..1.
        metrics: how well it predicts architectures it was not fitted on (`holdout_metrics`).
        provenance: where the training data came from, and how it was fitted.
        trusted: the least and the greatest top-1 (0..1) for which it is known to be right; a prediction outside warns.
            None where nothing is known of such limits.
        trusted_resolutions: the resolutions for which it is known to be right, where it has inputs for more; a
            prediction at another one warns, and a search leaves those out unless told otherwise.
        costs: how MACs and parameters are scaled, None for a perceptron on one-hot choices alone (a published one).

    Raises:
        InputError: the shapes of the layers do not fit each other or the space.

    Source: docs/method.md, "Accuracy predictor"; Cai et al., section 3.4.

    Example:
        predictor = AccuracyPredictor.load("accuracy_predictor.npz")
        predictor.predict(space, [space.smallest(), space.largest()])
    """

    space: Space
    layers: Layers
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    trusted: tuple[float, float] | None = None
    trusted_resolutions: tuple[int, ...] | None = None
    costs: CostScaling | None = None

    def __post_init__(self):
        width = feature_count(self.space) + (self.costs.count if self.costs else 0)
        for weights, bias in self.layers:
            if not all(array.dtype.kind == "f" and np.isfinite(array).all() for array in (weights, bias)):
                raise InputError(f"accuracy predictor of space {self.space.name}: a weight is no finite number")
            if weights.ndim != 2 or weights.shape[0] != width or bias.shape != weights.shape[1:]:
                raise InputError(
                    f"accuracy predictor of space {self.space.name}: a layer has shapes {weights.shape} and "
                    f"{bias.shape}, expected {width} inputs"
                )
            width = weights.shape[1]
        unknown = set(self.trusted_resolutions or ()) - set(self.space.resolutions)
        if unknown:
            raise InputError(
                f"accuracy predictor of space {self.space.name}: trusted_resolutions has {brief(str(min(unknown)))}, "
                f"expected some of {', '.join(map(str, self.space.resolutions))}"
            )
        if not self.layers or width != 1:
            raise InputError(f"accuracy predictor of space {self.space.name}: {width} outputs, expected one")
        # Weight decay leaves subnormal weights, with which Intel's processors multiply up to fifty times as slowly.
        layers = tuple((np.where(np.abs(weights) < _TINY, 0, weights), bias) for weights, bias in self.layers)
        object.__setattr__(self, "layers", layers)

    @staticmethod
    def fit(
        space: Space,
        archs: Sequence[Arch],
        accuracies: Sequence[float],
        seed: int = 0,
        *,
        hidden: Sequence[int] = (400, 400, 400),
        epochs: int | None = None,
        holdout: float = 0.2,
        costs: bool = True,
        provenance: Mapping[str, Any] | None = None,
        measured: Sequence[float] | None = None,
    ) -> "AccuracyPredictor":
        """Fits a predictor, and measures on a random part left out how well such a predictor does.

        The metrics are those of a predictor fitted without the held-out part; the one returned is then fitted on all.

        Args:
            space: the architectures' space.
            archs: N architectures. The predictor will answer for the resolutions that occur among them.
            accuracies: their top-1 accuracies, 0..1.
            seed: of the split, the initial weights and the order of training.
            hidden: widths of the hidden layers.
            epochs: passes over the data; chosen from N unless given.
            holdout: the share left out for `metrics`; 0 for none.
            costs: whether MACs and parameters are inputs too; from a thousand pairs on, they are no longer needed.
            provenance: JSON-ready facts about the data, kept with the predictor.
            measured: (N,) what the metrics are against, where `accuracies` were put in an order
                (`PairsFile.ordered_accuracies`); no metrics where all of them are equal.

        Raises:
            InputError: there are too few pairs, or an accuracy is not in 0..1.

        Example:
            archs, accuracies = PairsFile("accuracy_pairs.jsonl").accuracies()
            predictor = AccuracyPredictor.fit(space, archs, accuracies)
        """
        targets = np.asarray(accuracies, np.float64)
        if targets.shape != (len(archs),) or len(archs) < MIN_PAIRS:
            raise InputError(
                f"accuracy predictor: {len(archs)} architectures and {targets.size} accuracies, expected the same "
                f"number, at least {MIN_PAIRS}; collect more"
            )
        if not ((targets >= 0) & (targets <= 1)).all():
            raise InputError("accuracy predictor: an accuracy is not in 0..1; percentages must be divided by 100")
        if not 0 <= holdout <= 0.5:
            raise InputError(f"accuracy predictor: holdout is {holdout!r}, expected a share from 0 to 0.5")
        fitted_space = space.replace(resolutions=tuple(sorted({arch.r for arch in archs})))
        rows = encode(fitted_space, archs)
        scaling = CostScaling.fit(fitted_space, rows) if costs else None
        inputs = _inputs(fitted_space, rows, scaling)
        left_out = np.random.default_rng(seed).permutation(len(archs))[: round(holdout * len(archs))]
        metrics, judged = {}, targets if measured is None else np.asarray(measured, np.float64)
        if len(left_out) > 1 and (measured is None or len(set(judged)) > 1):
            rest = np.setdiff1d(np.arange(len(archs)), left_out)
            layers = fit_layers(inputs[rest], targets[rest], seed, hidden, epochs)
            metrics = holdout_metrics(forward(layers, inputs[left_out]), judged[left_out])
        layers = fit_layers(inputs, targets, seed, hidden, epochs)
        facts = {"pairs": len(archs), "seed": seed, "hidden": list(hidden), **(provenance or {})}
        return AccuracyPredictor(fitted_space, layers, metrics, facts, costs=scaling)

    @property
    def resolutions(self) -> tuple[int, ...]:
        """The resolutions it predicts well, which a search takes unless told otherwise."""
        return self.trusted_resolutions or self.space.resolutions

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of all that decides what it answers and where it is asked, in hexadecimal."""
        costs = self.costs and dataclasses.asdict(self.costs)
        facts = [self.space.to_config(), self.resolutions, costs, [weights.shape for weights, _ in self.layers]]
        found = hashlib.sha256(json.dumps(facts).encode())
        for weights, bias in self.layers:
            found.update(np.ascontiguousarray(weights, np.float32).tobytes())
            found.update(np.ascontiguousarray(bias, np.float32).tobytes())
        return found.hexdigest()

    def predict(self, space: Space, archs: Sequence[Arch]) -> np.ndarray:
        """Top-1 accuracies.

        Args:
            space: the architectures' space.
            archs: N architectures, of resolutions that the predictor was fitted on.

        Returns:
            float32 (N,), 0..1 on a sensible architecture (the network's output is not clipped).

        Raises:
            InputError: the predictor is of another space, or was not fitted on an architecture's resolution.
        """
        self._check_space(space)
        asked = {arch.r for arch in archs}
        if asked - set(self.space.resolutions):
            self._refuse_resolution(min(asked - set(self.space.resolutions)))
        if asked - set(self.resolutions):
            warnings.warn(
                f"accuracy predictor of space {self.space.name}: asked about {min(asked - set(self.resolutions))} "
                f"pixels, known to be right for {', '.join(map(str, self.resolutions))}: do not rely on that",
                stacklevel=2,
            )
        accuracies = forward(self.layers, _inputs(self.space, encode(self.space, archs), self.costs))
        self._warn_outside(accuracies)
        return accuracies

    def predict_rows(self, space: Space, rows: np.ndarray) -> np.ndarray:
        """The same for rows of a population, int (N, G + 1), as a search asks it many times."""
        if space is not self.space:
            self._check_space(space)
            if space.resolutions != self.space.resolutions:
                index_of = {r: index for index, r in enumerate(self.space.resolutions)}
                translated = np.array([index_of.get(r, -1) for r in space.resolutions])[rows[:, -1]]
                if (translated < 0).any():
                    self._refuse_resolution(space.resolutions[rows[translated < 0][0, -1]])
                rows = np.concatenate([rows[:, :-1], translated[:, None]], axis=1)
        return forward(self.layers, _inputs(self.space, rows, self.costs))

    def _check_space(self, space: Space) -> None:
        if not self.space.same_weights(space):
            raise InputError(
                f"accuracy predictor: fitted on space {self.space.name} ({self.space.num_classes} classes), asked "
                f"about space {space.name} ({space.num_classes} classes); fit one on that space"
            )

    def _warn_outside(self, accuracies: np.ndarray) -> None:
        low, high = self.trusted or (-np.inf, np.inf)
        outside = accuracies[(accuracies < low) | (accuracies > high)]
        if len(outside):
            warnings.warn(
                f"accuracy predictor of space {self.space.name}: {len(outside)} of {len(accuracies)} predictions are "
                f"outside the top-1 it was fitted on, {low:.4f} to {high:.4f} (for example {outside[0]:.4f}): do not "
                f"rely on them",
                stacklevel=3,
            )

    def _refuse_resolution(self, resolution: int) -> None:
        known = ", ".join(map(str, self.space.resolutions))
        raise InputError(
            f"accuracy predictor of space {self.space.name}: fitted on resolutions {known}, asked about "
            f"{resolution}; use one of those, or collect accuracies at {resolution} and fit again"
        )

    def save(self, path: str | os.PathLike) -> None:
        """Writes the predictor as `.npz`, atomically; nothing in it is pickled."""
        fields = {
            "space": self.space.to_config(),
            "metrics": dict(self.metrics),
            "provenance": dict(self.provenance),
            "trusted": self.trusted,
            "trusted_resolutions": self.trusted_resolutions,
            "costs": self.costs and dataclasses.asdict(self.costs),
            "layers": len(self.layers),
        }
        arrays = {}
        for index, (weights, bias) in enumerate(self.layers):
            arrays |= {f"layer{index}_weights": weights, f"layer{index}_bias": bias}
        FORMAT.save_npz(path, fields, arrays)

    @staticmethod
    def load(path: str | os.PathLike) -> "AccuracyPredictor":
        """Reads what `save` wrote.

        Raises:
            InputError: the file is missing, truncated, of a newer format, or something else.
        """
        fields, arrays = FORMAT.load_npz(path)
        with FORMAT.reading(path):
            layers = tuple(
                (arrays[f"layer{index}_weights"], arrays[f"layer{index}_bias"]) for index in range(fields["layers"])
            )
            trusted = fields.get("trusted") and (float(fields["trusted"][0]), float(fields["trusted"][1]))
            if trusted and not 0 <= trusted[0] < trusted[1] <= 1:
                raise InputError(f"trusted is {list(trusted)}, expected a least and a greatest top-1 from 0 to 1")
            resolutions = fields.get("trusted_resolutions") and tuple(map(int, fields["trusted_resolutions"]))
            costs = CostScaling.from_header(fields.get("costs"))
            facts = fields["metrics"], fields["provenance"], trusted, resolutions, costs
            return AccuracyPredictor(from_config(fields["space"]), layers, *facts)
