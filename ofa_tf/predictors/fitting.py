"""Training of the accuracy predictor's perceptron, by scikit-learn."""

from collections.abc import Sequence

import numpy as np
import threadpoolctl
import tqdm

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
    """Fits a ReLU perceptron by Adam at 1e-3 on targets that are centred and scaled.

    Args:
        inputs: float32 (N, features).
        targets: float (N,).
        seed: of the initial weights and the order of training.
        hidden: widths of the hidden layers.
        epochs: passes over the data; chosen from N where None.

    Returns:
        (weights float32 (inputs, outputs), bias float32 (outputs,)) per layer; the last one undoes the scaling.
    """
    # Takes more than a second to import, and only fitting needs it.
    from sklearn.neural_network import MLPRegressor

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
