"""Weights from files: a training state in one file, and a supernet that a run begins with."""

import hashlib
import os
import pathlib
from typing import Any

import keras
import numpy as np

from ofa_tf.common import InputError, OfaError, RecordFormat
from ofa_tf.networks import PackedSupernet, Supernet

# "net/..." and "optimizer/..." arrays.
FORMAT = RecordFormat("ofa_tf checkpoint", "give one from a run directory", former=(1,), header="position")


def save_checkpoint(
    path: str | os.PathLike,
    net: Supernet,
    position: dict[str, Any],
    optimizer: keras.optimizers.Optimizer | None = None,
) -> None:
    """Writes weights, where the run stands, and the optimizer's slots; raises `OfaError` where a weight is not finite.

    The slots are left out at the end of a stage, unless the next one goes on with them.
    """
    arrays = {f"net/{name}": value for name, value in net.state().items()}
    for name, value in arrays.items():
        if not np.isfinite(value).all():
            raise OfaError(
                f"{path}: not written, because {name} is not finite; what is there is kept: lower the learning rate"
            )
    if optimizer is not None:
        arrays |= {f"optimizer/{index}": variable.numpy() for index, variable in enumerate(optimizer.variables)}
    FORMAT.save_npz(path, {"space": net.space.to_config(), **position}, arrays)


def load_checkpoint(
    path: str | os.PathLike, net: Supernet, optimizer: keras.optimizers.Optimizer | None = None
) -> dict[str, Any]:
    """Reads a checkpoint into a network of its space and an optimizer that is built; returns its `position`."""
    path = pathlib.Path(path)
    position, arrays = FORMAT.load_npz(path)
    state = {name.removeprefix("net/"): value for name, value in arrays.items() if name.startswith("net/")}
    net.load_state(state, source=str(path))
    if optimizer is not None:
        for index, variable in enumerate(optimizer.variables):
            value = arrays.get(f"optimizer/{index}")
            if value is None or value.shape != tuple(variable.shape) or value.dtype != variable.dtype:
                raise InputError(
                    f"{path}: optimizer slot {index} is missing or misshapen; delete the file to redo the stage"
                )
            variable.assign(value)
    return position


_CLASSIFIER = "head/classifier/"


def began_with(initial: PackedSupernet | None) -> dict[str, str]:
    """What a run records of the supernet that it begins with; empty where it begins with random weights."""
    return {} if initial is None else {"space": initial.net.space.name, "digest": weights_digest(initial.net)}


def keeps_classifier(initial: PackedSupernet, num_classes: int, class_names: tuple[str, ...]) -> bool:
    """Whether the classes of a run are those of the supernet that it begins with."""
    return num_classes == initial.net.space.num_classes and initial.class_names in ((), tuple(class_names))


def initialize(net: Supernet, initial: PackedSupernet, class_names: tuple[str, ...]) -> None:
    """Gives a network the weights of another; its own fresh classifier stays where the classes differ.

    Args:
        net: changed in place.
        initial: a supernet of the same space but for the number of classes.
        class_names: what `net` is to tell apart.

    Raises:
        InputError: the spaces differ.
    """
    theirs = initial.net.space
    if not net.space.replace(num_classes=theirs.num_classes).same_weights(theirs):
        raise InputError(
            f"--init_from: its space is {theirs.name}, the run's {net.space.name}; leave the run's space to it"
        )
    same = keeps_classifier(initial, net.space.num_classes, class_names)
    own = net.state()
    state = initial.net.state()
    net.load_state(
        {name: own[name] if name.startswith(_CLASSIFIER) and not same else state[name] for name in own},
        source="--init_from",
    )


def weights_digest(net: Supernet) -> str:
    """Tells a supernet's weights from others, in 16 hexadecimal digits."""
    sha256 = hashlib.sha256()
    for name, value in sorted(net.state().items()):
        sha256.update(name.encode() + np.ascontiguousarray(value).tobytes())
    return sha256.hexdigest()[:16]
