"""The predictors that the binaries open, by a name or from a file. No TensorFlow: a search answers at once."""

import pathlib

from ofa_tf import interop, zoo
from ofa_tf.predictors import AccuracyPredictor, LatencyRegression, LatencyTable
from ofa_tf.search.constraint import LatencyPredictor


def open_accuracy_predictor(text: str) -> AccuracyPredictor:
    """What `--predictor` names: one that ships, our `.npz`, or a published `.pth`."""
    if text in zoo.accuracy_predictor_names():
        return zoo.accuracy_predictor(text)
    if pathlib.Path(text).suffix == ".pth":
        return interop.load_ofa_accuracy_predictor(text)
    return AccuracyPredictor.load(text)


def open_latency_predictor(text: str) -> LatencyPredictor:
    """What `--latency_table` names: a table, a regression's `.npz`, or published tables (YAML, JSON, a folder)."""
    path = pathlib.Path(text)
    if interop.is_ofa_latency_table(path):
        return interop.load_ofa_latency_table(path)
    return LatencyRegression.load(path) if path.suffix == ".npz" else LatencyTable.load(path)
