"""`Opened`: a trained supernet with its images and an evaluator, from a run, a file, or by a name."""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ofa_tf import networks, zoo
from ofa_tf.common import InputError
from ofa_tf.common.resizing import CROP
from ofa_tf.data import PUBLISHED, Augmentation, ImageDataset, Preprocessing, load
from ofa_tf.data.names import label_facts
from ofa_tf.evaluation import Evaluation, Evaluator
from ofa_tf.interop import load_keras_network
from ofa_tf.networks import PackedSupernet, Supernet
from ofa_tf.spaces import Arch, native_arch
from ofa_tf.training import RunDirectory, initialize, weights_digest
from ofa_tf.training.checkpoint import keeps_classifier


@dataclasses.dataclass(frozen=True)
class Opened:
    """A trained supernet, ready to evaluate and to export from.

    Args:
        run: its run directory, None where it is a supernet in a file.
        dataset: its images.
        net: the supernet.
        evaluator: of the supernet on the images.
        provenance: where the supernet comes from, in single words and numbers.
        source: the arguments of `open_source` that open it in another process; None where it was put together by hand.
    """

    run: RunDirectory | None
    dataset: ImageDataset
    net: Supernet
    evaluator: Evaluator
    provenance: Mapping[str, Any]
    source: Mapping[str, Any] | None = None

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """The digests of weights and images, by which results of other ones are told apart."""
        return {"weights": weights_digest(self.net), "data": self.dataset.digest, **resizing(self.evaluator)}

    @functools.cached_property
    def names_digest(self) -> str:
        """Tells apart what the classes are called in files."""
        return hashlib.sha256(json.dumps(label_facts(self.dataset)["names"]).encode()).hexdigest()[:16]

    def statistics(self, arch: Arch) -> np.ndarray | None:
        """With which batch-norm statistics a sub-network runs: None, its own, where it is a published network as it
        was (`PackedSupernet.is_native`), else calibrated ones."""
        same = (self.net.space.largest(), native_arch(self.net.space)) if "network" in self.provenance else ()
        if any(each is not None and dataclasses.replace(each, r=arch.r) == arch for each in same):
            return None
        return self.evaluator.calibrate(arch)

    def evaluate(self, arch: Arch, *, split: str, limit: int | None = None) -> Evaluation:
        """A sub-network's accuracy with the batch-norm statistics that its file will have.

        Args:
            arch: the sub-network.
            split: "validation" for every decision; "test" only for the final report.
            limit: at most so many images, evenly spaced over the split.
        """
        statistics = self.statistics(arch)
        given = self.evaluator.moving_statistics() if statistics is None else statistics
        return self.evaluator.evaluate(
            arch, split=split, statistics=given, calibrate=statistics is not None, limit=limit
        )

    def facts(self, split: str) -> dict[str, Any]:
        """What an exported file says of its origin and of the split it is checked on."""
        return {
            **label_facts(self.dataset),
            "checked": {"split": split},
            "provenance": {**self.provenance, **self.digests},
        }


def open_source(
    run_dir: str | None = None,
    supernet: str | None = None,
    stage: str | None = None,
    dataset: str | None = None,
    data_dir: str | None = None,
    validation: float | None = None,
    resize: str | None = None,
    *,
    other_classes: bool = False,
) -> Opened:
    """Opens a supernet and its images.

    Args:
        run_dir: a run of tools.train.
        supernet: instead of a run, the name of a supernet that ships, or a packed file.
        stage: the run's stage whose weights are used, the last finished one unless given.
        dataset: "folder", "digits" or a TFDS name; the run's, of a supernet "folder", unless given.
        data_dir: the images' folder; the run's, of a supernet that ships the photos beside it, unless given.
        validation: how many training images are held out, as for `data.load`.
        resize: how images become squares, in calibration too: "crop" or "stretch"; as the supernet's were unless given.
        other_classes: whether the images may be of other classes; the supernet then gets a new classifier for them.

    Raises:
        InputError: something is missing, unknown, or does not belong together.

    Example:
        opened = open_source(supernet="ofa_imagenette_mbv3")
        print(opened.evaluator.evaluate(opened.net.space.smallest(), split="validation").top1)
    """
    given = {"dataset": dataset, "data_dir": data_dir, "validation": validation}
    source = {"run_dir": run_dir, "supernet": supernet, "stage": stage, **given, "resize": resize}
    if (run_dir is None) == (supernet is None):
        raise InputError("--run_dir and --supernet: give one of them, the run or the supernet to work on")
    if run_dir is not None:
        run = RunDirectory.open(run_dir)
        net, images = run.load_supernet(stage), run.load_dataset(**given, other_classes=other_classes)
        trained_on = tuple(run.dataset["class_names"])
        opened = of_run(run, _for_classes(PackedSupernet(net, class_names=trained_on), images), images, resize)
    elif stage is not None:
        raise InputError("--stage: only a run has stages; leave it out, or give --run_dir instead of --supernet")
    else:
        packed = read_supernet(supernet)
        if supernet in zoo.photos_names() and dataset is None and data_dir is None:
            images = load("folder", zoo.photos(supernet), validation, classes=packed.class_names)
        else:
            images = _images_of(packed, **given, other_classes=other_classes)
        opened = of_packed(packed, images, pathlib.Path(supernet).stem, resize)
    return dataclasses.replace(opened, source=source)


def evaluator_of(**source: Any) -> Evaluator:
    """The evaluator of what `open_source` opens, for a process of its own."""
    return open_source(**source).evaluator


def names_run(name: str | os.PathLike) -> bool:
    """Whether a name is a run directory's; a supernet that ships comes before a folder that is called like it."""
    return os.fspath(name) not in zoo.supernet_names() and pathlib.Path(name).is_dir()


def read_supernet(name: str | os.PathLike) -> PackedSupernet:
    """A packed supernet: one that ships, or a file; what is neither is answered with the names that ship."""
    name = os.fspath(name)
    if _of_keras(name):
        raise InputError(
            f"--supernet={name}: is a network of Keras, not a supernet yet; train one that begins with it: "
            f"tools.train --init_from={name}, then give its run as --run_dir"
        )
    if name in zoo.supernet_names() or not pathlib.Path(name).exists():
        return zoo.packed_supernet(name)
    return PackedSupernet.load(name)


# Before the name of a network of keras.applications.
_KERAS = "keras:"


def _of_keras(name: str) -> bool:
    return name.startswith(_KERAS) or pathlib.Path(name).suffix == ".keras"


def read_initial(name: str | os.PathLike) -> PackedSupernet:
    """The supernet that a training begins with or learns from.

    Args:
        name: of one that ships, a file, a run directory, or "keras:" and the name of a network of `keras.applications`
            (or a `.keras` file of one), around which a supernet is made.
    """
    name = os.fspath(name)
    if _of_keras(name):
        packed = load_keras_network(name)
        try:
            Preprocessing.from_config(dict(packed.preprocessing))
        except InputError as error:
            raise InputError(f"{name}: its layers that scale pixels cannot be used here ({error})") from error
        return packed
    if not names_run(name):
        return read_supernet(name)
    run = RunDirectory.open(name)
    return PackedSupernet(
        run.load_supernet(),
        preprocessing=run.recipe.preprocessing.to_config(),
        class_names=tuple(run.dataset["class_names"]),
    )


def of_run(run: RunDirectory, net: Supernet, images: ImageDataset, resize: str | None = None) -> Opened:
    """A run's supernet and images that are open already."""
    source = {"run_dir": str(run.path)}
    return Opened(run, images, net, evaluator_for(net, run, images, resize), {"supernet": run.path.name}, source)


def evaluator_for(net: Supernet, run: RunDirectory, dataset: ImageDataset, resize: str | None = None) -> Evaluator:
    """An evaluator with the run's preprocessing, augmentation and number of calibration images."""
    recipe = run.recipe
    return Evaluator(
        net,
        dataset,
        preprocessing=_resized(recipe.preprocessing, resize),
        augmentation=recipe.augmentation,
        **_calibration(recipe.calibration_images),
    )


def resizing(evaluator: Evaluator) -> dict[str, str]:
    """What tells accuracies on stretched images from others; nothing for cropped ones, as in files of before."""
    resize = evaluator.preprocessing.resize
    return {} if resize == CROP else {"resize": resize}


def _resized(preprocessing: Preprocessing, resize: str | None) -> Preprocessing:
    return preprocessing if resize is None else dataclasses.replace(preprocessing, resize=resize)


def _calibration(images: int) -> dict[str, int]:
    """As many images as in the training, in batches of at most 200."""
    return {"calibration_images": images, "batch_size": min(200, images)}


def _for_classes(packed: PackedSupernet, images: ImageDataset) -> Supernet:
    """The supernet, with a new classifier where the images are of other classes."""
    if keeps_classifier(packed, images.num_classes, images.class_names):
        return packed.net
    net = networks.build(packed.net.space, images.num_classes)
    initialize(net, packed, images.class_names)
    return net


def _images_of(
    packed: PackedSupernet, dataset: str | None, data_dir: str | None, validation: float | None, other_classes: bool
) -> ImageDataset:
    """Images of a packed supernet's classes; a warning where they are others than it was trained on."""
    known = packed.dataset
    classes = None if other_classes else packed.class_names
    images = load(dataset or "folder", data_dir, validation, known.get("seed", 0), known=known, classes=classes)
    space = packed.net.space
    if not keeps_classifier(packed, images.num_classes, images.class_names):
        if other_classes:
            return images
        raise InputError(
            f"{data_dir or images.name}: has {images.num_classes} classes ({', '.join(images.class_names[:3])}, ...), "
            f"the supernet was trained on {space.num_classes} ({', '.join(packed.class_names[:3]) or 'names unknown'}, "
            f"...); give images of these classes"
        )
    if known and images.digest != known.get("digest"):
        warnings.warn(
            f"{data_dir or images.name}: not the images that the supernet was trained on; its validation split may "
            f"hold images of its training",
            stacklevel=4,
        )
    return images


def of_packed(packed: PackedSupernet, images: ImageDataset, name: str, resize: str | None = None) -> Opened:
    """A packed supernet and images that are open already; of other classes, it gets a new classifier for them."""
    net = _for_classes(packed, images)
    preprocessing = Preprocessing.from_config(dict(packed.preprocessing)) if packed.preprocessing else PUBLISHED
    recipe, augmentation = packed.provenance.get("recipe", {}), Augmentation.from_config(dict(packed.augmentation))
    if recipe.get("labels") == "teacher":
        # Images were mixed for a teacher's answers to be many; what learns labels here has not asked for that.
        augmentation = dataclasses.replace(augmentation, mixup=0.0, cutmix=0.0)
    evaluator = Evaluator(
        net,
        images,
        preprocessing=_resized(preprocessing, resize),
        augmentation=augmentation,
        **_calibration(recipe.get("calibration_images", 2000)),
    )
    known = {key: value for key, value in packed.provenance.items() if isinstance(value, (str, int, float))}
    return Opened(None, images, net, evaluator, {"supernet": name, **known})
