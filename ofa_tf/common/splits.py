"""The splits of a data set, and the names that flags, configs, files and folders had for them before.

"train" is trained on; batch norms are calibrated and integers get their ranges on it. "validation" decides: which
sub-network is chosen, whether a file is kept, what an accuracy predictor is fitted on. "test" is reported at the end
and decides nothing. docs/training.md, "Data", says where each comes from.
"""

from collections.abc import Mapping
from typing import Any

from ofa_tf.common.errors import InputError

# "val" was the test split, "holdout" the validation split and what says how large it is.
FORMER_SPLITS = {"holdout": "validation", "val": "test"}


def split_name(name: str) -> str:
    """The name of a split by either of its names; any other name as it is."""
    return FORMER_SPLITS.get(name, name)


def with_validation(fields: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Fields of a config or a file, in which what was called "holdout" is "validation"."""
    if "holdout" in fields and "validation" in fields:
        raise InputError(f"{what}: has validation and holdout, its former name; leave holdout out")
    return {("validation" if name == "holdout" else name): value for name, value in fields.items()}
