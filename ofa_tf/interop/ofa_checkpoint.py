"""The authors' PyTorch checkpoints: reading them, which space they are of, which tensor is which of our variables."""

import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ofa_tf import spaces
from ofa_tf.common import InputError, brief
from ofa_tf.spaces import Block, Space

# Where programs keep the tensors in a checkpoint.
_STATES = ("state_dict", "model", "model_state_dict", "net")


def _numpy_values() -> list[Any]:
    """What numbers and arrays of NumPy in a checkpoint, such as its best accuracy, are made of: data alone."""
    scalar, array = np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]
    named = [(scalar, "scalar"), (array, "_reconstruct")]
    kinds = {type(np.dtype(name)) for name in ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")}
    # NumPy 2 calls the same module by another name.
    known = [(it, f"numpy.{core}.multiarray.{name}") for it, name in named for core in ("core", "_core")]
    return [*known, np.ndarray, np.dtype, *kinds]


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch file, in either of its formats, by name; nothing that is in it is run."""
    try:
        import torch
    except ImportError:
        raise InputError(
            "reading PyTorch checkpoints needs torch, which is not installed; install it with: pip install torch"
        ) from None
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a PyTorch checkpoint; check the path")
    try:
        with torch.serialization.safe_globals(_numpy_values()):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError on a damaged file
        if match := re.search(r"GLOBAL (\S+) was not an allowed global", str(error)):
            raise InputError(
                f"{path}: holds {match[1]} beside its tensors, which is not read here, as it may run code; where you "
                f"trust the file, save its tensors alone with the program that made it: "
                f"torch.save(model.state_dict(), 'weights.pth')"
            ) from error
        reason = brief(str(error).split("\n")[0])
        raise InputError(f"{path}: cannot be read as a PyTorch checkpoint ({reason}); fetch it anew") from error
    if isinstance(content, dict):
        content = next((content[key] for key in _STATES if isinstance(content.get(key), dict)), content)
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    ):
        keys = f" (its keys are {brief(', '.join(map(str, content)))})" if isinstance(content, dict) else ""
        raise InputError(f"{path}: holds no state_dict of tensors{keys}; give a checkpoint of the authors' code")
    for name, value in content.items():
        dense = value.layout == torch.strided and value.device.type == "cpu"
        if not dense or value.is_quantized or value.is_complex():
            raise InputError(
                f"{path}: tensor {name} is {value.dtype}, {value.layout}, expected plain numbers; save it as float32"
            )
        if not bool(value.isfinite().all()):
            raise InputError(f"{path}: tensor {name} holds NaN or infinity; use an older checkpoint")
    # NumPy has no bfloat16, and nothing here needs more than float32.
    return {
        name: (value.float() if value.is_floating_point() else value).detach().numpy()
        for name, value in content.items()
    }


if TYPE_CHECKING:
    import keras

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


CLASSIFIER = Key("classifier", False, "weight")

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


def load_ofa_checkpoint(net: "Supernet", path: str | os.PathLike) -> list[MappedTensor]:
    """Reads a published supernet checkpoint into a supernet of the same space.

    Args:
        net: the supernet; changed only if every tensor fits.
        path: a `.pth` file as the authors' code saves it, in either of PyTorch's formats; torch must be installed.

    Returns:
        Every tensor with the variable it went to.

    Raises:
        InputError: torch is missing, the file cannot be read, or a tensor is missing, left over or of another shape.

    Source: docs/method.md, "Checkpoints"; the names are those of the authors' code.

    Example:
        net = networks.build(spaces.get("ofa_mbv3_d234_e346_k357_w1.0"))
        load_ofa_checkpoint(net, "ofa_mbv3_d234_e346_k357_w1.0")
    """
    shapes = {name: tuple(variable.shape) for name, variable in net.named_variables().items()}
    blocks = [layer.block for layer in net.blocks]
    state, report = _matched(str(path), keyed_tensors(path), blocks, shapes, f"space {net.space.name}")
    net.load_state(state, source=str(path))
    return report


def load_specialized_checkpoint(
    model: "keras.Model", blocks: Sequence[Block], path: str | os.PathLike
) -> list[MappedTensor]:
    """Reads the published checkpoint of a specialized network into its plain Keras model.

    Args:
        model: of `networks.build_plain(blocks, keras)`; changed only if every tensor fits.
        blocks: the network's blocks, `zoo.specialized(name).blocks`.
        path: a `.pth` file as the authors' code saves it; torch must be installed.

    Returns:
        Every tensor with the variable it went to.

    Raises:
        InputError: as for `load_ofa_checkpoint`.

    Example:
        net = zoo.specialized("note10_lat-22ms_top1-76.6_finetune-25")
        model = net.build(class_count("init"))
        load_specialized_checkpoint(model, net.blocks, "init")
    """
    # Loads TensorFlow, which the other readers of this package do without.
    from ofa_tf.networks import set_plain_weights

    layers = {}
    for layer in model.layers:
        for weight in layer.weights:
            block = next(block for block in blocks if layer.name.startswith(f"{block.name}_"))
            part = layer.name.removeprefix(f"{block.name}_")
            layers.setdefault(layer.name, []).append((f"{block.name}/{part}/{weight.name}", tuple(weight.shape)))
    shapes = {target: shape for targets in layers.values() for target, shape in targets}
    state, report = _matched(str(path), keyed_tensors(path), blocks, shapes, "this network")
    set_plain_weights(model, {name: [state[target] for target, _ in targets] for name, targets in layers.items()})
    return report


def class_count(path: str | os.PathLike) -> int:
    """How many classes a published checkpoint tells apart: the outputs of its classifier.

    Args:
        path: of a supernet or a specialized network; torch must be installed.

    Raises:
        InputError: torch is missing, the file cannot be read, or it has no classifier.
    """
    _, weight = keyed_tensors(path).get(CLASSIFIER, (None, None))
    if weight is None or weight.ndim != 2:
        raise InputError(f"{path}: has no tensor for the classifier; give a checkpoint of the authors' code")
    if weight.shape[0] < 2:
        raise InputError(
            f"{path}: its classifier has {weight.shape[0]} outputs, expected at least 2; give another checkpoint"
        )
    return weight.shape[0]


def keyed_tensors(path: str | os.PathLike) -> dict[Key, tuple[str, np.ndarray]]:
    """A checkpoint's tensors, each with its name in the file, by names that are the same in all versions."""
    tensors: dict[Key, tuple[str, np.ndarray]] = {}
    for name, value in _without_shared_prefix(read_state_dict(path)).items():
        if name.endswith("num_batches_tracked"):
            continue
        key = canonical_key(name)
        if key in tensors:
            raise InputError(f"{path}: {name} and {tensors[key][0]} name the same tensor; give a published checkpoint")
        tensors[key] = (name, value)
    return tensors


def _without_shared_prefix(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names without the levels that all of them have in front, as "module." of a network that several GPUs shared."""
    while len(tensors) > 1 and len({name.partition(".")[:2] for name in tensors}) == 1 and "." in next(iter(tensors)):
        tensors = {name.partition(".")[2]: value for name, value in tensors.items()}
    return tensors


def _matched(
    source: str,
    tensors: dict[Key, tuple[str, np.ndarray]],
    blocks: Sequence[Block],
    shapes: Mapping[str, tuple[int, ...]],
    whose: str,
) -> tuple[dict[str, np.ndarray], list[MappedTensor]]:
    """Every target's array, laid out as ours are, and the report; nothing is missing or left over."""
    state, report = {}, []
    for target, shape in shapes.items():
        key = expected_key(blocks, target)
        if key not in tensors:
            raise InputError(
                f"{source}: has no tensor for {target} (expected {key.module} {key.name}); it is not of {whose}"
            )
        name, value = tensors.pop(key)
        state[target] = _laid_out(name, value, target, source)
        if state[target].shape != shape:
            raise InputError(
                f"{source}: tensor {name} has shape {value.shape}, which becomes {state[target].shape}; {target} of "
                f"{whose} has {shape}"
            )
        report.append(MappedTensor(name, target, shape))
    if tensors:
        left = ", ".join(sorted(name for name, _ in tensors.values())[:3])
        raise InputError(
            f"{source}: {len(tensors)} tensors have no place in {whose} ({left}); give the checkpoint that belongs here"
        )
    return state, report


def canonical_key(name: str) -> Key:
    """A checkpoint's name, whichever version of the code wrote it."""
    *modules, last = name.split(".")
    norm = "bn" in modules or last.startswith("running_")
    return Key(".".join(module for module in modules if module not in _WRAPPERS), norm, last)


def expected_key(blocks: Sequence[Block], target: str) -> Key:
    """The checkpoint's name of "block/layer/variable"; the authors number blocks that are neither stem nor head."""
    block_name, layer, variable = target.split("/")
    norm = layer.endswith("norm")
    part = layer.removesuffix("norm").removesuffix("_")
    name = _NAMES.get(variable, variable)
    if variable.startswith("transform_"):
        name = f"{variable.removeprefix('transform_')}_matrix"
    if block_name in _STEM_MODULES:
        return Key(_STEM_MODULES[block_name], norm, name)
    if block_name == "head":
        return Key(_head_module(blocks[-1], part), norm, name)
    numbered = [block for block in blocks if block.kind not in ("stem", "head")]
    index = [block.name for block in numbered].index(block_name)
    modules = _BOTTLENECK_MODULES if numbered[index].kind == "bottleneck" else _MODULES
    return Key(f"blocks.{index}.{modules[part]}", norm, name)


def _head_module(head: Block, part: str) -> str:
    if part == "classifier":
        return "classifier"
    # ProxylessNAS calls its only 1x1 convolution what MobileNetV3 calls its second.
    mixes = part == "feature" or not head.feature_channels
    return "feature_mix_layer" if mixes else "final_expand_layer"


def _laid_out(name: str, value: np.ndarray, target: str, source: str) -> np.ndarray:
    """From PyTorch's order of axes to TensorFlow's."""
    _, layer, variable = target.split("/")
    if variable != "kernel":
        return value
    dense = layer in ("classifier", "feature", "se_expand", "se_reduce")
    if value.ndim not in ((2, 4) if dense else (4,)):
        raise InputError(f"{source}: tensor {name} has shape {value.shape}, expected a kernel for {target}")
    if layer == "depthwise":
        return value.transpose(2, 3, 0, 1)
    return value.reshape(value.shape[:2]).T if dense else value.transpose(2, 3, 1, 0)


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
        f"{path}: is of no space that has a name ({_described(signature)}); give --space={'|'.join(FAMILIES)} and "
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


def _described(signature: tuple) -> str:
    family, stem, last, _ = signature
    families = {"resnet": "ResNet50", "se": "MobileNetV3", "plain": "ProxylessNAS"}
    return f"it looks like {families[family]} with a stem of {stem} and {last} features"
