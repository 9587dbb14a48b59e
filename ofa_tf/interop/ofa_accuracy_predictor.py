"""The published accuracy predictors, read into ours."""

import os
import re

import numpy as np

from ofa_tf import spaces
from ofa_tf.common import InputError, file_sha256
from ofa_tf.interop.ofa_checkpoint import read_state_dict
from ofa_tf.predictors import AccuracyPredictor
from ofa_tf.spaces import Space
from ofa_tf.spaces.population import feature_count

# By the number of inputs: the space, and the resolutions that the last, respectively the first inputs stand for.
_MOBILENET = ("ofa_mbv3_d234_e346_k357_w1.2", tuple(range(112, 225, 16)))
# Its means over random architectures rise with the resolution from 160 to 224, but are higher at 112 to 144 than at
# 160: those inputs were never trained. The published tables begin at 160, too.
_MOBILENET_TRUSTED = (160, 176, 192, 208, 224)
_RESNET = ("ofa_resnet50", (128, 144, 160, 176, 192, 224, 240, 256))

# The ResNet50 predictor's inputs in its own order: resolution, stem, widths, expand ratios. Ours: expand ratios,
# widths, stem, resolution.
_RESNET_PARTS = (8, 2, 18, 54)


def load_ofa_accuracy_predictor(path: str | os.PathLike) -> AccuracyPredictor:
    """Reads a published accuracy predictor; which one it is shows in the number of its inputs.

    Args:
        path: `acc_predictor.pth` (MobileNetV3 w1.2) or `ofa_resnet50_acc_predictor.pth`; torch must be installed.

    Returns:
        A predictor for the published space, at the resolutions that its inputs know; `save` writes our format. That of
        MobileNetV3 is relied on from 160 to 224 only: at 112, 128 and 144 its inputs were not trained, and it warns.

    Raises:
        InputError: torch is missing, or the file is not such a predictor.

    Source: docs/method.md, "Accuracy predictor".

    Example:
        predictor = load_ofa_accuracy_predictor("acc_predictor.pth")
        predictor.predict(predictor.space, [predictor.space.smallest()])
    """
    tensors = read_state_dict(path)
    base = tensors.pop("base_acc", np.zeros(1, np.float32))
    weights = sorted((name for name in tensors if name.endswith(".weight")), key=_number)
    layers = []
    for name in weights:
        weight = tensors.pop(name)
        bias = tensors.pop(name.removesuffix("weight") + "bias", np.zeros(weight.shape[0], np.float32))
        layers.append([weight.T.astype(np.float32), bias.astype(np.float32)])
    if tensors or not layers or layers[-1][1].shape != (1,) or base.shape != (1,):
        what = f"left-over tensors {', '.join(sorted(tensors)[:3])}" if tensors else f"{len(layers)} layers"
        raise InputError(f"{path}: found {what}, expected a published accuracy predictor; give acc_predictor.pth")
    layers[-1][1] = layers[-1][1] + base
    space = _space(path, layers[0][0].shape[0])
    if space.family == "resnet":
        ends = np.cumsum(_RESNET_PARTS)[:-1]
        layers[0][0] = np.concatenate(np.split(layers[0][0], ends)[::-1])
    provenance = {"source": os.path.basename(path), "sha256": file_sha256(path)}
    trusted = None if space.family == "resnet" else _MOBILENET_TRUSTED
    try:
        return AccuracyPredictor(space, tuple(map(tuple, layers)), provenance=provenance, trusted_resolutions=trusted)
    except InputError as error:
        raise InputError(f"{path}: {error}; give a published accuracy predictor") from error


def _space(path: str | os.PathLike, inputs: int) -> Space:
    known = []
    for name, resolutions in (_MOBILENET, _RESNET):
        space = spaces.get(name).replace(resolutions=resolutions)
        known.append(feature_count(space))
        if inputs == known[-1]:
            return space
    raise InputError(
        f"{path}: a predictor with {inputs} inputs, expected {' or '.join(map(str, known))}; give a published one"
    )


def _number(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", name)]
