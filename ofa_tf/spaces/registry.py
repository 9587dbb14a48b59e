"""Spaces by name."""

from collections.abc import Callable
from typing import Any

from ofa_tf.common import InputError, read_json
from ofa_tf.spaces.mobilenet import MobileNetSpace, Stage
from ofa_tf.spaces.mobilenet_families import mobilenet_v3, proxyless
from ofa_tf.spaces.native import efficientnet_lite
from ofa_tf.spaces.resnet import resnet50
from ofa_tf.spaces.space import Space


def _published(width_mult: float) -> MobileNetSpace:
    return mobilenet_v3(width_mult, name=f"ofa_mbv3_d234_e346_k357_w{width_mult}")


def _half() -> MobileNetSpace:
    """For a user's own photos: a quarter of the MACs of w1.0, and smaller images."""
    name = "ofa_mbv3_d234_e346_k357_w0.5"
    return mobilenet_v3(0.5, resolutions=tuple(range(96, 161, 16)), name=name)


def _cifar(name: str, d: tuple[int, ...], base_widths: tuple[int, ...], strides: tuple[int, ...], head: int):
    """For 32 x 32 images: few stages, and most blocks where the maps still have 8 x 8 positions and more."""
    return mobilenet_v3(
        num_classes=10,
        ks=(3, 5),
        d=d,
        resolutions=(32,),
        stem_stride=2,
        base_widths=base_widths,
        strides=strides,
        head_widths=(head, 256),
        name=name,
    )


def _tiny() -> MobileNetSpace:
    """For the demo and the tests: three stages, every elastic dimension, blocks enough to trade accuracy for time."""
    return mobilenet_v3(
        num_classes=10,
        ks=(3, 5, 7),
        e=(2, 3, 4),
        d=(1, 2, 3),
        resolutions=(24, 32, 40),
        base_widths=(16, 16, 16, 32, 48),
        strides=(2, 2, 1),
        head_widths=(128, 192),
        name="ofa_tiny",
    )


def _half_relu6() -> MobileNetSpace:
    """As `_half`, where int8 has no question of form: for runtimes and accelerators that know no hard-swish."""
    name = "ofa_mbv3_d234_e346_k357_w0.5_relu6"
    return mobilenet_v3(0.5, resolutions=tuple(range(96, 161, 16)), activation="relu6", name=name)


def _micro() -> MobileNetSpace:
    """For boards of 256 KB SRAM and 1 MB flash, int8, up to 96 x 96 pixels: every sub-network fits.

    A stem that halves the image and few channels until it is halved again keep the peak low; neither squeeze-and-excite
    nor hard-swish, whose tensors stand beside those that they change.
    """
    return mobilenet_v3(
        num_classes=10,
        d=(1, 2, 3),
        resolutions=(64, 80, 96),
        base_widths=(16, 8, 16, 24, 32, 48, 64),
        head_widths=(192, 256),
        activation="relu6",
        squeeze_excite=False,
        name="ofa_micro",
    )


_FACTORIES: dict[str, Callable[[], Space]] = {
    "ofa_mbv3_d234_e346_k357_w1.0": lambda: _published(1.0),
    "ofa_mbv3_d234_e346_k357_w1.2": lambda: _published(1.2),
    "ofa_proxyless_d234_e346_k357_w1.3": lambda: proxyless(1.3, name="ofa_proxyless_d234_e346_k357_w1.3"),
    "ofa_resnet50": lambda: resnet50(name="ofa_resnet50"),
    "ofa_mbv3_d234_e346_k357_w0.5": _half,
    "ofa_mbv3_d234_e346_k357_w0.5_relu6": _half_relu6,
    "ofa_micro": _micro,
    # 0.9 to 3.7, and 4.4 to 20 million MACs.
    "ofa_cifar_s": lambda: _cifar("ofa_cifar_s", (1, 2, 3), (16, 16, 24, 40), (2, 2), 192),
    "ofa_cifar_m": lambda: _cifar("ofa_cifar_m", (2, 3, 4), (16, 16, 24, 40, 64), (1, 2, 2), 256),
    "ofa_efficientnet_lite": efficientnet_lite,
    "ofa_tiny": _tiny,
}


def names() -> list[str]:
    """The names that `get` knows."""
    return sorted(_FACTORIES)


def get(name: str, num_classes: int | None = None) -> Space:
    """A space by name, or from a file.

    Args:
        name: one of `names()`, or the path of a `.json` file with what `Space.to_config` gives; a run's `run.json`
            holds it, too.
        num_classes: outputs of the classifier, as published or stored unless given.

    Raises:
        InputError: there is no such space; the message lists those there are. Or the file is none of a space.

    Example:
        spaces.get("ofa_tiny").num_architectures
    """
    if name in _FACTORIES:
        space = _FACTORIES[name]()
    elif str(name).endswith(".json"):
        space = _read(name)
    else:
        raise InputError(
            f"space {name!r} is unknown; known are {', '.join(names())}, and .json files of what Space.to_config gives"
        )
    return space if num_classes is None else space.replace(num_classes=num_classes)


def _read(path: str) -> Space:
    config = read_json(path, "space description")
    if isinstance(config, dict) and isinstance(config.get("space"), dict):
        config = config["space"]
    try:
        return from_config(config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def from_config(config: dict[str, Any]) -> Space:
    """Reads what `Space.to_config` wrote.

    Raises:
        InputError: a field is missing, unknown or unusable.
    """
    try:
        fields = dict(config)
        families = {family.family: family for family in Space.__subclasses__()}
        family = families[fields.pop("family")]
        values = {key: _tuples(value) for key, value in fields.items()}
        if "stages" in values:
            values["stages"] = tuple(
                Stage(**{key: _tuples(value) for key, value in stage.items()}) for stage in values["stages"]
            )
        return family(**values)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"space description: cannot be read ({error!r}); expected what Space.to_config() gives"
        ) from error


def _tuples(value: Any) -> Any:
    """Lists of JSON, and those inside them, as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
