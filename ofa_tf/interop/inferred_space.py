"""Which space a published checkpoint is of."""

import os
from collections.abc import Sequence

import numpy as np

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.interop.ofa_checkpoint import CLASSIFIER, Key, class_count, keyed_tensors
from ofa_tf.spaces import Space

# Functions of `ofa_tf.spaces` that make a space of a family from width multipliers.
FAMILIES = ("mobilenet_v3", "proxyless", "resnet50")


def inferred_space(
    path: str | os.PathLike, space: str | None = None, width_mults: Sequence[float] | None = None
) -> Space:
    """The space that a supernet checkpoint is of, with the checkpoint's number of classes.

    Args:
        path: the checkpoint.
        space: a space by name, or a family (`FAMILIES`); found among the named spaces unless given.
        width_mults: of a family: one number, for "resnet50" its list.

    Raises:
        InputError: the checkpoint is of no known space; or the arguments do not name one.
    """
    classes = class_count(path)
    if space in FAMILIES:
        if not width_mults or (space != "resnet50" and len(width_mults) != 1):
            expected = "a list such as 0.65,0.8,1.0" if space == "resnet50" else "one number"
            raise InputError(f"--width_mult: space {space} needs {expected}; give it, or a space by name")
        widths = tuple(width_mults) if space == "resnet50" else width_mults[0]
        return getattr(spaces, space)(widths, num_classes=classes)
    if space is not None:
        if width_mults:
            raise InputError(f"--width_mult: only for --space={', '.join(FAMILIES)}; {space} has its own widths")
        return spaces.get(space, classes)
    signature = _signature({key: value for key, (_, value) in keyed_tensors(path).items()})
    for name in spaces.names():
        candidate = spaces.get(name, classes)
        if _space_signature(candidate) == signature:
            return candidate
    raise InputError(
        f"{path}: is of no space that has a name ({_words(signature)}); give --space={'|'.join(FAMILIES)} and "
        f"--width_mult"
    )


def _signature(tensors: dict[Key, np.ndarray]) -> tuple:
    """Family by what only one of them has, and the widths at both ends."""
    resnet, elastic = (any(key.module.startswith(start) for key in tensors) for start in ("input_stem", "blocks.9."))
    family = "resnet" if resnet else "se" if any(".se." in key.module for key in tensors) else "plain"
    stem = tensors.get(Key("input_stem.0" if resnet else "first_conv", False, "weight"))
    last = tensors[CLASSIFIER].shape[1]
    return family, stem.shape[0] if stem is not None and stem.ndim else 0, last, elastic


def _space_signature(space: Space) -> tuple:
    blocks = space.blocks(space.largest())
    head = blocks[-1]
    family = "resnet" if space.family == "resnet" else "se" if any(block.se_channels for block in blocks) else "plain"
    last = head.feature_channels or head.mid_channels or head.in_channels
    return family, blocks[0].out_channels, last, len(blocks) > 11


def _words(signature: tuple) -> str:
    family, stem, last, _ = signature
    words = {"resnet": "ResNet50", "se": "MobileNetV3", "plain": "ProxylessNAS"}
    return f"it looks like {words[family]} with a stem of {stem} and {last} features"
