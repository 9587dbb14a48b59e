"""`Workshop`: what one process needs to specialize any target."""

import dataclasses
from collections.abc import Callable

from ofa_tf.predictors import AccuracyPredictor
from ofa_tf.specialize.opened import Opened
from ofa_tf.specialize.target import Target


@dataclasses.dataclass(frozen=True)
class Workshop:
    """Opened once in each process.

    Args:
        opened: the supernet and its images, None where there is none.
        predictor: gives the accuracy predictor of a target; raises `InputError` where there is none.
    """

    opened: Opened | None
    predictor: Callable[[Target], AccuracyPredictor]
