"""`Opened`: what a specialization works on."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ofa_tf.data import ImageDataset
from ofa_tf.evaluation import Evaluator
from ofa_tf.networks import Supernet
from ofa_tf.training import RunDirectory, weights_digest


@dataclasses.dataclass(frozen=True)
class Opened:
    """A trained supernet, ready to evaluate and to export from.

    Args:
        run: its run directory, None where it is a supernet in a file.
        dataset: its images.
        net: the supernet.
        evaluator: of the supernet on the images.
        provenance: where the supernet comes from, in single words and numbers.
    """

    run: RunDirectory | None
    dataset: ImageDataset
    net: Supernet
    evaluator: Evaluator
    provenance: Mapping[str, Any]

    def facts(self, split: str) -> dict[str, Any]:
        """What an exported file says of its origin and of the split it is checked on, see `deploy.Network`."""
        return {
            "labels": list(self.dataset.class_names),
            "checked": {"split": split},
            "provenance": {**self.provenance, "weights": weights_digest(self.net), "data": self.dataset.digest},
        }
