"""A supernet that opens in a moment, targets for it, and a device whose time is counted."""

import numpy as np

from ofa_tf.data import SYMMETRIC, Augmentation, load
from ofa_tf.evaluation import Evaluator
from ofa_tf.spaces import Space, costs
from ofa_tf.spaces.population import CostTable, cost_table, decode
from ofa_tf.specialize import Opened, Target
from tests.micro import micro_net

MACS_PER_MS = 1e5


class MacsLatency:
    """A device whose every network takes a millisecond for so many MACs."""

    def compile(self, space: Space, resolutions=None) -> CostTable:
        return cost_table(space, lambda block: costs.macs(block) / MACS_PER_MS, resolutions=resolutions)


class MacsAccuracy:
    """An accuracy predictor that believes in MACs."""

    digest = "macs"

    def __init__(self, space: Space):
        self.space, self.resolutions = space, space.resolutions

    def predict(self, space: Space, archs) -> np.ndarray:
        return np.array([0.4 + 0.02 * np.log(space.count_macs(arch)) for arch in archs])

    def predict_rows(self, space: Space, rows: np.ndarray) -> np.ndarray:
        return self.predict(space, decode(space, rows))


def open_small() -> Opened:
    """Digits and a network that knows nothing of them."""
    net = micro_net()
    dataset = load("digits", validation=50)
    evaluator = Evaluator(
        net,
        dataset,
        preprocessing=SYMMETRIC,
        augmentation=Augmentation(flip=False),
        calibration_images=64,
        batch_size=32,
    )
    return Opened(None, dataset, net, evaluator, {"supernet": "micro"})


def small_target(name: str = "small", **fields) -> Target:
    """In float32, as an untrained network loses all in int8."""
    common = {
        "device": "host",
        "limits": {"macs": 1.2e5},
        "precision": "float32",
        "candidates": 2,
        "resolutions": (16,),
    }
    return Target(name, **{**common, **fields})
