"""The authors' PyTorch checkpoints: which tensor is which of our variables, and how it is laid out."""

import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.networks import Supernet


class Key(NamedTuple):
    """A tensor's name without the levels that differ between versions of the authors' code."""

    module: str
    norm: bool
    name: str


class MappedTensor(NamedTuple):
    """One line of an import's report: the checkpoint's name, ours, and our shape."""

    source: str
    target: str
    shape: tuple[int, ...]


# Levels that older and newer checkpoints add, drop or repeat.
_WRAPPERS = {"bn", "conv", "fc", "linear", "mobile_inverted_conv"}
_MODULES = {
    "depthwise": "depth_conv",
    "expand": "inverted_bottleneck",
    "project": "point_linear",
    "se_expand": "depth_conv.se.expand",
    "se_reduce": "depth_conv.se.reduce",
}
_BOTTLENECK_MODULES = {"expand": "conv3", "reduce": "conv1", "shortcut": "downsample", "spatial": "conv2"}
_STEM_MODULES = {
    "stem": "first_conv",
    "stem_first": "input_stem.0",
    "stem_last": "input_stem.2",
    "stem_residual": "input_stem.1",
}
_NAMES = {
    "beta": "bias",
    "gamma": "weight",
    "kernel": "weight",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load_ofa_checkpoint(net: Supernet, path: str | os.PathLike) -> list[MappedTensor]:
    """Reads a published supernet checkpoint into a supernet of the same space.

    Args:
        net: the supernet; changed only if every tensor fits.
        path: a `.pth` file as the authors' code saves it, in either of PyTorch's formats; torch must be installed.

    Returns:
        Every tensor with the variable it went to.

    Raises:
        InputError: torch is missing, the file cannot be read, or a tensor is missing, left over or of another shape.

    Source: reference facts, "Files here"; the names are those of the authors' code.

    Example:
        net = networks.build(spaces.get("ofa_mbv3_d234_e346_k357_w1.0"))
        load_ofa_checkpoint(net, "ofa_mbv3_d234_e346_k357_w1.0")
    """
    source = str(path)
    tensors: dict[Key, tuple[str, np.ndarray]] = {}
    for name, value in read_state_dict(path).items():
        if name.endswith("num_batches_tracked"):
            continue
        key = canonical_key(name)
        if key in tensors:
            raise InputError(
                f"{source}: {name} and {tensors[key][0]} name the same tensor; give a published checkpoint"
            )
        tensors[key] = (name, value)
    state, report = {}, []
    for target, variable in net.named_variables().items():
        key = expected_key(net, target)
        if key not in tensors:
            raise InputError(
                f"{source}: has no tensor for {target} (expected {key.module} {key.name}); it is of another space than "
                f"{net.space.name}"
            )
        name, value = tensors.pop(key)
        state[target] = _laid_out(value, target)
        if state[target].shape != tuple(variable.shape):
            raise InputError(
                f"{source}: tensor {name} has shape {value.shape}, which becomes {state[target].shape}; {target} of "
                f"space {net.space.name} has {tuple(variable.shape)}"
            )
        report.append(MappedTensor(name, target, state[target].shape))
    if tensors:
        left = ", ".join(sorted(name for name, _ in tensors.values())[:3])
        raise InputError(
            f"{source}: {len(tensors)} tensors have no place in space {net.space.name} ({left}); give the checkpoint "
            f"of this space"
        )
    net.load_state(state, source=source)
    return report


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch file, read without running anything that is in it."""
    try:
        import torch
    except ImportError:
        raise InputError(
            "reading PyTorch checkpoints needs torch; install it with: pip install ofa_tf[torch]"
        ) from None
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a PyTorch checkpoint; check the path")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError on a damaged file
        reason = str(error).split("\n")[0]
        raise InputError(f"{path}: cannot be read as a PyTorch checkpoint ({reason}); fetch it anew") from error
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise InputError(f"{path}: holds no state_dict of tensors; give a checkpoint of the authors' code")
    return {name: value.numpy() for name, value in content.items()}


def canonical_key(name: str) -> Key:
    """A checkpoint's name, whichever version of the code wrote it."""
    *modules, last = name.split(".")
    norm = "bn" in modules or last.startswith("running_")
    return Key(".".join(module for module in modules if module not in _WRAPPERS), norm, last)


def expected_key(net: Supernet, target: str) -> Key:
    """The checkpoint's name of one of our variables, given as "block/layer/variable"."""
    block, layer, variable = target.split("/")
    norm = layer.endswith("norm")
    part = layer.removesuffix("norm").removesuffix("_")
    name = _NAMES.get(variable, variable)
    if variable.startswith("transform_"):
        name = f"{variable.removeprefix('transform_')}_matrix"
    if block in _STEM_MODULES:
        return Key(_STEM_MODULES[block], norm, name)
    if block == "head":
        return Key(_head_module(net, part), norm, name)
    numbered = [position.name for position in net.space.positions if position.name not in (*_STEM_MODULES, "head")]
    index = numbered.index(block)
    kind = net.blocks[[position.name for position in net.space.positions].index(block)].block.kind
    modules = _BOTTLENECK_MODULES if kind == "bottleneck" else _MODULES
    return Key(f"blocks.{index}.{modules[part]}", norm, name)


def _head_module(net: Supernet, part: str) -> str:
    if part == "classifier":
        return "classifier"
    # ProxylessNAS calls its only 1x1 convolution what MobileNetV3 calls its second.
    mixes = part == "feature" or not net.blocks[-1].block.feature_channels
    return "feature_mix_layer" if mixes else "final_expand_layer"


def _laid_out(value: np.ndarray, target: str) -> np.ndarray:
    """From PyTorch's order of axes to TensorFlow's."""
    _, layer, variable = target.split("/")
    if variable != "kernel":
        return value
    if layer == "depthwise":
        return value.transpose(2, 3, 0, 1)
    if layer in ("classifier", "feature", "se_expand", "se_reduce"):
        return value.reshape(value.shape[:2]).T
    return value.transpose(2, 3, 1, 0)
