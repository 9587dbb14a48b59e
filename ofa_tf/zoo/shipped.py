"""What ships with the package, by name: supernets, their photos, accuracy predictors, specialized networks."""

import dataclasses
import functools
import pathlib
from typing import TYPE_CHECKING

from ofa_tf import spaces
from ofa_tf.common import InputError, read_json
from ofa_tf.predictors import AccuracyPredictor
from ofa_tf.spaces import Arch, Block, Space

if TYPE_CHECKING:
    import keras

    from ofa_tf.networks import PackedSupernet, Supernet


@dataclasses.dataclass(frozen=True)
class SpecializedNet:
    """A sub-network that the authors found for a device and fine-tuned.

    Args:
        name: as published.
        device: what it was found for.
        batch_size: images at once, to which the latency belongs (64 on the large GPUs).
        latency_ms: measured on the device, in milliseconds; None where it was found for its MACs (device "flops").
        top1: ImageNet top-1 after fine-tuning, 0..1.
        finetune_epochs: how long it was fine-tuned.
        space: the supernet's space.
        arch: the architecture.

    Example:
        net = zoo.specialized("note10_lat-22ms_top1-76.6_finetune-25")
        model = net.build()
        interop.load_specialized_checkpoint(model, net.blocks, interop.published_file(net.name))
    """

    name: str
    device: str
    batch_size: int
    latency_ms: float | None
    top1: float
    finetune_epochs: int
    space: Space
    arch: Arch

    @functools.cached_property
    def blocks(self) -> list[Block]:
        """The blocks that run."""
        return self.space.blocks(self.arch)

    @property
    def resolution(self) -> int:
        """Side of the input image, in pixels."""
        return self.arch.r

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return self.space.count_macs(self.arch)

    @property
    def params(self) -> int:
        """Parameters."""
        return self.space.count_params(self.arch)

    def build(self, num_classes: int | None = None) -> "keras.Model":
        """The plain Keras model with fresh weights, from normalized images to logits.

        Args:
            num_classes: outputs of the classifier, 1,000 as published unless given.
        """
        # Loads TensorFlow, which names and figures do without.
        import keras

        from ofa_tf.networks import build_plain

        space = self.space if num_classes is None else self.space.replace(num_classes=num_classes)
        return build_plain(space.blocks(self.arch), keras)


_FILE = pathlib.Path(__file__).parent / "specialized.json"


@functools.cache
def _networks() -> dict[str, SpecializedNet]:
    networks = {}
    for fields in read_json(_FILE, "list of specialized networks")["networks"]:
        space, arch = spaces.get(fields.pop("space")), Arch.from_json(fields.pop("arch"))
        networks[fields["name"]] = SpecializedNet(space=space, arch=space.canonical(arch), **fields)
    return networks


def names() -> list[str]:
    """The names of the 50 published specialized networks."""
    return list(_networks())


def specialized(name: str) -> SpecializedNet:
    """A published specialized network.

    Args:
        name: one of `names()`: device, latency, top-1 and epochs of fine-tuning, as its authors call it.

    Raises:
        InputError: there is none of that name.

    Example:
        net = zoo.specialized("note10_lat-22ms_top1-76.6_finetune-25")
        net.latency_ms, net.top1, net.macs
    """
    # The authors' own code writes @ in these names, and - in those of the files.
    name = name.replace("@", "-")
    if name not in _networks():
        close = [known for known in names() if known.split("_")[0] == name.split("_")[0]] or names()[:3]
        raise InputError(f"specialized network {name!r} is unknown; zoo.names() has 50, such as {', '.join(close)}")
    return _networks()[name]


_PREDICTORS = pathlib.Path(__file__).parent / "accuracy_predictors"
# Published as PyTorch files: `interop.load_ofa_accuracy_predictor` reads them.
_PUBLISHED = {
    "ofa_mbv3_d234_e346_k357_w1.2": "acc_predictor.pth",
    "ofa_resnet50": "ofa_resnet50_acc_predictor.pth",
}


def accuracy_predictor_names() -> list[str]:
    """The names that `accuracy_predictor` knows."""
    return sorted(path.stem for path in _PREDICTORS.glob("*.npz"))


def accuracy_predictor(name: str) -> AccuracyPredictor:
    """An accuracy predictor that ships, by the name of its space.

    That of "ofa_mbv3_d234_e346_k357_w1.0" predicts the ImageNet top-1 of sub-networks of the published w1.0 supernet:
    it was fitted on 1,668 measured ones (`python -m benchmarks.shipped_predictor`). It answers at 224 pixels only, and
    warns where a prediction is outside the accuracies it saw (`AccuracyPredictor.trusted`).

    Args:
        name: one of `accuracy_predictor_names()`.

    Raises:
        InputError: none ships for that name; the message says which do.

    Example:
        predictor = zoo.accuracy_predictor("ofa_mbv3_d234_e346_k357_w1.0")
        evolutionary_search(predictor.space, predictor, Constraint("macs", 300e6))
    """
    if name not in accuracy_predictor_names():
        hint = "collect accuracies and fit one (tools.fit_accuracy_predictor)"
        if name in _PUBLISHED:
            hint = f"the authors publish {_PUBLISHED[name]}, which interop.load_ofa_accuracy_predictor reads"
        raise InputError(
            f"accuracy predictor {name!r} does not ship, there are {', '.join(accuracy_predictor_names())}; {hint}"
        )
    return AccuracyPredictor.load(_PREDICTORS / f"{name}.npz")


_PHOTOS = pathlib.Path(__file__).parent / "photos"


def photos_names() -> list[str]:
    """The supernets that ship with photos."""
    return sorted(path.name for path in _PHOTOS.iterdir() if path.is_dir())


def photos(name: str) -> pathlib.Path:
    """A folder with a few photos of a supernet's classes: enough to calibrate, quantize and check it.

    Args:
        name: one of `photos_names()`.

    Returns:
        A data set's folder. Of "ofa_imagenette_mbv3", `train/<class>/` has photos that it was trained on,
        `validation/<class>/` others, and `names.json` says what the classes are called. Of "ofa_efficientnet_lite",
        each has one photo of 200 of ImageNet's classes, which it was not trained on, but perhaps the published network
        that it was made of.

    Raises:
        InputError: none ship with that supernet.

    Example:
        data.load("folder", zoo.photos("ofa_imagenette_mbv3"))
    """
    if name not in photos_names():
        raise InputError(f"supernet {name!r} ships without photos; give --data_dir")
    return _PHOTOS / name


_SUPERNETS = pathlib.Path(__file__).parent / "supernets"


def supernet_names() -> list[str]:
    """The names that `supernet` knows."""
    return sorted(path.stem for path in _SUPERNETS.glob("*.npz"))


def packed_supernet(name: str) -> "PackedSupernet":
    """A supernet that ships, with what evaluating and exporting it needs: class names, preprocessing, provenance.

    Args:
        name: one of `supernet_names()`.

    Raises:
        InputError: there is none of that name; the message lists those there are.
    """
    if name not in supernet_names():
        known = ", ".join(supernet_names()) or "none"
        raise InputError(f"supernet {name!r} does not ship, there are: {known}; give one of these, or a file's path")
    # Loads TensorFlow, which names do without.
    from ofa_tf.networks import PackedSupernet

    return PackedSupernet.load(_SUPERNETS / f"{name}.npz")


def supernet(name: str) -> "Supernet":
    """A supernet that ships.

    Args:
        name: one of `supernet_names()`.

    Raises:
        InputError: there is none of that name.

    Example:
        net = zoo.supernet("ofa_imagenette_mbv3")
        model = net.extract(net.space.smallest())
    """
    return packed_supernet(name).net
