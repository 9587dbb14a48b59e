"""Trained networks that teach a run: a supernet at its largest, or a Keras model."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from ofa_tf.common import InputError, brief
from ofa_tf.data import PUBLISHED, ImageDataset, Preprocessing, calibration_batches, evaluation_batches
from ofa_tf.evaluation import Evaluator
from ofa_tf.networks import PackedSupernet, Supernet
from ofa_tf.spaces import Space
from ofa_tf.training.checkpoint import weights_digest
from ofa_tf.training.recipe import PRECISIONS, Recipe

# uint8 (batch, r, r, 3), the images of a step, to float32 (batch, classes), probabilities.
Answers = Callable[[tf.Tensor], tf.Tensor]

# What the inputs of a Keras model can be.
INPUTS = ("pixels", "normalized")


@dataclasses.dataclass(frozen=True, eq=False)
class SupernetTeacher:
    """The largest network of a trained supernet, with batch-norm statistics of its own.

    Those of a published network (`PackedSupernet.is_native`) are what it was published with; of any other supernet,
    whose moving statistics are a mixture of sub-networks, they are calibrated on the run's images.

    Args:
        packed: the supernet; its own preprocessing normalizes what it is asked.
        resolution: image side in pixels at which it is asked; None for that of the step.

    Example:
        Trainer(run, dataset, teacher=SupernetTeacher(PackedSupernet.load("big.npz"))).train()
    """

    packed: PackedSupernet
    resolution: int | None = None

    @property
    def identity(self) -> dict[str, str]:
        """What a run records of it."""
        net = self.packed.net
        resolution = {} if self.resolution is None else {"resolution": str(self.resolution)}
        return {"kind": "supernet", "space": net.space.name, "digest": weights_digest(net), **resolution}

    @property
    def _preprocessing(self) -> Preprocessing:
        own = dict(self.packed.preprocessing)
        return Preprocessing.from_config(own) if own else PUBLISHED

    def check(self, dataset: ImageDataset, recipe: Recipe, resolutions: Sequence[int]) -> None:
        """Raises `InputError` unless its classes are those of the images, and they can be resized for it."""
        del resolutions
        if self.resolution is not None and recipe.jit_compile:
            raise InputError("--teacher_resolution: XLA cannot resize images; leave jit_compile out")
        names, classes = self.packed.class_names, self.packed.net.space.num_classes
        if classes != dataset.num_classes or names not in ((), dataset.class_names):
            raise _other_classes(classes, names, dataset)

    def of_features(self, space: Space, recipe: Recipe) -> Supernet:
        """The network whose maps sub-networks of a space learn; raises `InputError` where they have other ones."""
        own = self._preprocessing
        if not self.packed.net.space.same_weights(space):
            name = self.packed.net.space.name
            other = "with other choices than the run's" if name == space.name else "not the run's"
            raise InputError(
                f"--teacher: of space {name}, {other}, so that its maps may be others; give one of the run's space, or "
                f"set the config's feature_ratio to 0"
            )
        if (own.mean, own.std) != (recipe.preprocessing.mean, recipe.preprocessing.std):
            raise InputError(
                "--teacher: its images are normalized otherwise than the run's, so that its maps are others; give one "
                "of the same preprocessing, or set the config's feature_ratio to 0"
            )
        return self.packed.net

    def answers(self, dataset: ImageDataset, recipe: Recipe, resolutions: Sequence[int]) -> Answers:
        """Where needed, calibrates it at each image size at which it is asked; returns what a step asks."""
        if self.resolution is not None:
            resolutions = (self.resolution,)
        net, largest = self.packed.net, self.packed.net.space.largest()
        # It is asked about the run's images.
        preprocessing = dataclasses.replace(self._preprocessing, resize=recipe.preprocessing.resize)
        statistics = None
        if not self.packed.is_native:
            evaluator = Evaluator(
                net,
                dataset,
                preprocessing=preprocessing,
                augmentation=recipe.augmentation,
                calibration_images=recipe.calibration_images,
                batch_size=min(200, recipe.calibration_images),
            )
            statistics = np.stack([evaluator.calibrate(dataclasses.replace(largest, r=r)) for r in resolutions])
        sizes = net.space.to_array(largest)

        def answers(images: tf.Tensor) -> tf.Tensor:
            images = images if self.resolution is None else _resized(images, self.resolution)
            of_size = None
            if statistics is not None:
                nearest = tf.argmin(tf.abs(tf.constant(list(resolutions)) - tf.shape(images)[1]))
                of_size = tf.gather(tf.constant(statistics), nearest)
            inputs = tf.cast(preprocessing.normalize(images), PRECISIONS[recipe.precision])
            return tf.nn.softmax(net(inputs, arch=tf.constant(sizes), statistics=of_size))

        return answers


@dataclasses.dataclass(frozen=True, eq=False)
class KerasTeacher:
    """A Keras model with an input of images and an output of logits or, where it ends with a softmax, probabilities.

    Args:
        model: run as in inference. Where its input has a fixed size, the images of a step are resized to that.
        digest: of its file.
        inputs: "pixels", it takes 0..255; "normalized", it takes what the run's preprocessing makes of them.

    Example:
        KerasTeacher.load("efficientnet.keras")
    """

    model: keras.Model
    digest: str
    inputs: str

    @staticmethod
    def load(path: str | os.PathLike, inputs: str | None = None) -> "KerasTeacher":
        """Reads a `.keras` file.

        Args:
            path: the file; one whose layers are code (`Lambda`) is refused.
            inputs: one of `INPUTS`; may be left out where the model itself begins with a rescaling of pixels.

        Raises:
            InputError: the file cannot be read, is no image classifier, or does not say what its inputs are.
        """
        path = pathlib.Path(path)
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            model = keras.models.load_model(path, compile=False)
            shape, outputs = model.input_shape, model.output_shape
        # Whatever a file's own layers do when they are made.
        except Exception as error:
            reason = brief(error, 160)
            raise InputError(f"{path}: cannot be read as a Keras model ({type(error).__name__}: {reason})") from error
        square = isinstance(shape, tuple) and len(shape) == 4 and shape[3] == 3 and shape[1] == shape[2]
        if not square or not isinstance(outputs, tuple) or len(outputs) != 2:
            raise InputError(
                f"{path}: its input is {shape} and its output {outputs}, expected square RGB images (batch, side, "
                f"side, 3) and classes (batch, classes)"
            )
        if inputs is None and any(isinstance(layer, _RESCALING) for layer in _first_layers(model)):
            inputs = "pixels"
        if inputs not in INPUTS:
            raise InputError(
                f"{path}: does not say what its inputs are, it begins with no Rescaling or Normalization layer; give "
                f"--teacher_inputs=normalized, as tools.finetune writes them, or pixels, 0 to 255"
            )
        return KerasTeacher(model, digest, inputs)

    @property
    def identity(self) -> dict[str, str]:
        """What a run records of it."""
        return {"kind": "keras", "inputs": self.inputs, "digest": self.digest}

    def check(self, dataset: ImageDataset, recipe: Recipe, resolutions: Sequence[int]) -> None:
        """Raises `InputError` unless it has as many classes as the images, or where XLA had to resize these."""
        side = self.model.input_shape[1]
        if recipe.jit_compile and side is not None and set(resolutions) != {side}:
            raise InputError(
                f"--teacher: its input has {side} pixels a side, the run's images {sorted(set(resolutions))}, and XLA "
                f"cannot resize them; leave jit_compile out, or give the run the resolutions ({side},)"
            )
        if self.model.output_shape[1] != dataset.num_classes:
            raise _other_classes(self.model.output_shape[1], (), dataset)

    def of_features(self, space: Space, recipe: Recipe) -> Supernet:
        """Raises `InputError`: its maps are others."""
        del recipe
        raise InputError(
            f"--teacher: a Keras model, whose maps are others; give a supernet of the space {space.name}, or set the "
            "config's feature_ratio to 0"
        )

    def answers(self, dataset: ImageDataset, recipe: Recipe, resolutions: Sequence[int]) -> Answers:
        """What a step asks."""
        del dataset
        side = self.model.input_shape[1]

        def outputs_of(images: tf.Tensor) -> tf.Tensor:
            images = tf.cast(images, tf.float32)
            if side is not None and images.shape[1] != side:
                images = _resized(images, side)
            if self.inputs == "normalized":
                images = recipe.preprocessing.normalize(images)
            return tf.cast(self.model(images, training=False), tf.float32)

        # Whatever its last layer is: of some images, no logits are all positive with a sum of 1.
        some = np.random.default_rng(0).integers(0, 256, (4, resolutions[0], resolutions[0], 3), np.uint8)
        outputs = outputs_of(tf.constant(some)).numpy()
        if (outputs >= 0).all() and np.allclose(outputs.sum(1), 1, atol=0.01):
            return outputs_of
        return lambda images: tf.nn.softmax(outputs_of(images))


Teacher = SupernetTeacher | KerasTeacher

_RESCALING = (keras.layers.Rescaling, keras.layers.Normalization)


def top1_on_training_images(answers: Answers, dataset: ImageDataset, recipe: Recipe, resolution: int) -> float:
    """Share of some augmented training images that a teacher knows: far too low where it is asked wrongly."""
    asked = tf.function(answers, autograph=False, input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    right = [
        tf.equal(tf.argmax(asked(images), 1, tf.int32), labels)
        for images, labels in calibration_batches(
            dataset,
            resolution=resolution,
            augmentation=recipe.augmentation,
            images=500,
            batch_size=100,
            resize=recipe.preprocessing.resize,
        )
    ]
    return float(tf.reduce_mean(tf.cast(tf.concat(right, 0), tf.float32)))


def _resized(images: tf.Tensor, side: int) -> tf.Tensor:
    """Images (batch, r, r, 3) as float32 (batch, side, side, 3)."""
    images = tf.cast(images, tf.float32)
    resized = tf.cond(
        tf.equal(tf.shape(images)[1], side),
        lambda: images,
        lambda: tf.image.resize(images, (side, side), antialias=True),
    )
    return tf.ensure_shape(resized, (None, side, side, 3))


def labelled_by(teacher: SupernetTeacher, dataset: ImageDataset, recipe: Recipe, resolution: int) -> ImageDataset:
    """The images with the teacher's classes: its answers are validation's labels; of the others none are known."""
    space, splits = teacher.packed.net.space, {}
    for name, split in dataset.splits.items():
        splits[name] = dataclasses.replace(split, labels=np.zeros_like(split.labels))
    names = teacher.packed.class_names or tuple(map(str, range(space.num_classes)))
    dataset = dataclasses.replace(dataset, class_names=names, splits=splits)
    asked = tf.function(
        teacher.answers(dataset, recipe, [resolution]),
        autograph=False,
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
    )
    batches = evaluation_batches(
        dataset,
        "validation",
        resolution=resolution,
        batch_size=100,
        crop_fraction=recipe.preprocessing.crop_fraction,
        resize=recipe.preprocessing.resize,
    )
    answers = np.concatenate([tf.argmax(asked(images), 1, tf.int32).numpy() for images, _ in batches])
    split = splits["validation"]
    labels = np.zeros_like(split.labels)
    # Damaged images, which reading them may just have shown, are not among the answers.
    labels[~np.isin(split.indices, list(split.damaged))] = answers
    splits["validation"] = dataclasses.replace(split, labels=labels)
    return dataclasses.replace(dataset, splits=splits)


def _first_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that read the model's input, those inside a nested model's beginning too."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)][:1]
    return _first_layers(layers[0]) if layers and isinstance(layers[0], keras.Model) else layers


def _other_classes(classes: int, names: tuple[str, ...], dataset: ImageDataset) -> InputError:
    return InputError(
        f"--teacher: it knows {classes} classes ({', '.join(names[:3]) or 'names unknown'}, ...), the images have "
        f"{dataset.num_classes} ({', '.join(dataset.class_names[:3])}, ...); give a teacher of these classes, in this "
        f"order"
    )
