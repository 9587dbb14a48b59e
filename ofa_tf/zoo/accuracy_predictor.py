"""The accuracy predictors that ship."""

import pathlib

from ofa_tf.common import InputError
from ofa_tf.predictors import AccuracyPredictor

_FOLDER = pathlib.Path(__file__).parent / "accuracy_predictors"
# Published as PyTorch files: `interop.load_ofa_accuracy_predictor` reads them.
_PUBLISHED = {
    "ofa_mbv3_d234_e346_k357_w1.2": "acc_predictor.pth",
    "ofa_resnet50": "ofa_resnet50_acc_predictor.pth",
}


def accuracy_predictor_names() -> list[str]:
    """The names that `accuracy_predictor` knows."""
    return sorted(path.stem for path in _FOLDER.glob("*.npz"))


def accuracy_predictor(name: str) -> AccuracyPredictor:
    """An accuracy predictor that ships, by the name of its space.

    That of "ofa_mbv3_d234_e346_k357_w1.0" predicts the ImageNet top-1 of sub-networks of the published w1.0 supernet:
    it was fitted on 1,668 measured ones (`python -m benchmarks.shipped_predictor`). It answers at 224 pixels only, and
    warns where a prediction is outside the accuracies it saw (`AccuracyPredictor.trusted`).

    Args:
        name: one of `accuracy_predictor_names()`.

    Raises:
        InputError: none ships for that name; the message says which do.

    Example:
        predictor = zoo.accuracy_predictor("ofa_mbv3_d234_e346_k357_w1.0")
        evolutionary_search(predictor.space, predictor, Constraint("macs", 300e6))
    """
    if name not in accuracy_predictor_names():
        hint = "collect accuracies and fit one (tools.fit_accuracy_predictor)"
        if name in _PUBLISHED:
            hint = f"the authors publish {_PUBLISHED[name]}, which interop.load_ofa_accuracy_predictor reads"
        raise InputError(
            f"accuracy predictor {name!r} does not ship, there are {', '.join(accuracy_predictor_names())}; {hint}"
        )
    return AccuracyPredictor.load(_FOLDER / f"{name}.npz")
