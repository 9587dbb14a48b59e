"""`Network`: a trained network, ready to become checked `.tflite` files that take raw images."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ofa_tf.common import InputError
from ofa_tf.common.config import check_numbers, check_whole
from ofa_tf.common.form import OUTPUTS, form_of, precision_of
from ofa_tf.data.preprocessing import SYMMETRIC, Preprocessing
from ofa_tf.deploy.borders import with_image_input, with_probabilities
from ofa_tf.deploy.checked_file import ExportReport, check_output, joined, keep_checked
from ofa_tf.deploy.conversion import convert
from ofa_tf.deploy.quantization import quantize
from ofa_tf.networks.plain import build_plain, formed_weights
from ofa_tf.networks.supernet import Supernet, set_plain_weights
from ofa_tf.spaces import Arch, Block

_BATCH = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A trained network, ready to become files.

    Args:
        blocks: what it is built of.
        weights: by the names of the plain model's layers, in the layers' order (`layer.get_weights()`).
        preprocessing: what it was trained with.
        facts: JSON-ready data for its files: `labels` (ids of the classes), `names` (what people call them),
            `provenance`, `checked` (the `split`), and any other.

    Example:
        network = Network.of_subnet(net, arch, preprocessing, statistics)
        report = network.export("model.tflite", "int8", representative_images=images)
    """

    blocks: Sequence[Block]
    weights: Mapping[str, Sequence[np.ndarray]]
    preprocessing: Preprocessing
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @staticmethod
    def of_subnet(
        net: Supernet,
        arch: Arch,
        preprocessing: Preprocessing,
        statistics: np.ndarray | None = None,
        *,
        weights: Mapping[str, Sequence[np.ndarray]] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> "Network":
        """A sub-network of a supernet; space, architecture and counts are added to the facts.

        Args:
            net: the supernet.
            arch: the architecture.
            preprocessing: what the supernet was trained with.
            statistics: the sub-network's calibrated batch-norm statistics.
            weights: of a sub-network that was trained further, instead of the supernet's.
            facts: see `Network`.
        """
        space = net.space
        known = {
            "space": space.name,
            "arch": arch.to_dict(),
            "macs": space.count_macs(arch),
            "params": space.count_params(arch),
        }
        if weights is None:
            weights = net.plain_weights(arch, statistics)
        return Network(space.blocks(arch), weights, preprocessing, {**known, **(facts or {})})

    def export(
        self,
        path: str | os.PathLike,
        precision: str = "int8",
        *,
        representative_images: np.ndarray | None = None,
        check_images: np.ndarray | None = None,
        check_labels: np.ndarray | None = None,
        form: str | None = None,
        input_type: str = "uint8",
        output_type: str | None = None,
        outputs: str = OUTPUTS[0],
        batch_size: int = 1,
        max_drop: float | None = None,
        threads: int = 1,
    ) -> ExportReport:
        """Writes a TFLite file, runs it, and keeps it only if it agrees with the Keras model.

        Every file takes raw images, (1, r, r, 3), RGB: the preprocessing's mean and std are inside. In "int8" all
        values are integers: the input has scale 1/128 and zero point 128 (that is (x - 128) / 128, to which another
        preprocessing is brought by the stem's weights), the output is uint8: probabilities in 256ths, or logits whose
        scale and zero point stand in the file. The other precisions give float32. Signature, facts, TFLite's standard
        metadata with the classes' names, and the check's figures are put into the file, and a model card is written
        beside it (`.md`).

        Args:
            path: where the file goes; a name that ends with ".tflite".
            precision: one of `PRECISIONS`.
            representative_images: uint8 (N, r, r, 3) from the training split, needed for "int8" and "int16x8": the
                ranges of the activations are those on these images.
            check_images: uint8 (M, r, r, 3), on which the file is compared; the representative ones unless given.
            check_labels: int (M,), the classes of `check_images`.
            form: how it is written, one of `common.form.FORMS`; the precision's default unless given.
            input_type: "uint8": pixels as they are; "float32": (pixel - 128) / 128; in "int8" also "int8": pixel - 128.
            output_type: in "int8" one of `INPUT_OUTPUT_TYPES`, "uint8" unless given; else "float32".
            outputs: "probabilities", which sum to 1; "logits"; or "features", a backbone: float32 maps at strides 4, 8,
                16 and 32, as `Supernet.extract` gives them, compared with Keras's on some of the images.
            batch_size: images that the file takes at once.
            max_drop: by how much top-1 may be below the Keras model's (without labels: the share of images whose top-1
                class may differ), 0..1; unless given the precision's, and what chance explains on so many images (at
                most a twentieth of them, or one). None for "features".
            threads: the interpreter's threads for the check.

        Returns:
            What was found.

        Raises:
            InputError: images are missing or do not fit, there are no such types, names do not fit the classes,
                `max_drop` is none, or the file could not be written.
            OfaError: the conversion failed, or the file does not agree; nothing is left under `path` then.
        """
        known, form = precision_of(precision), form_of(precision, form)
        output_type = check_export(
            path, precision, outputs=outputs, input_type=input_type, output_type=output_type, batch_size=batch_size,
            max_drop=max_drop,
        )  # fmt: skip
        check_names(self)
        if check_images is None:
            check_images, check_labels = representative_images, None
        if known.integer and representative_images is None:
            raise InputError(f"export to {precision}: no representative images; give some of the training split")
        check_images_fit(self, representative_images, check_images, check_labels)
        if known.integer:
            data = self._quantized(
                precision, form, representative_images,
                input_type=input_type, output_type=output_type, outputs=outputs, batch_size=batch_size,
            )  # fmt: skip
        else:
            # What brings float32 inputs back to pixels, too, is folded into the stem.
            prepare = self._from_centred if input_type == "float32" else self.preprocessing.normalize
            model = self.model(form, outputs)
            data = convert(model, precision, prepare=prepare, input_type=input_type, batch_size=batch_size)
            data = with_probabilities(data) if outputs == "probabilities" else data
        if outputs == "features":
            # They take much memory.
            check_images, check_labels = check_images[:: math.ceil(len(check_images) / _BATCH)], None
        return keep_checked(
            path,
            data,
            check_images,
            self.logits(check_images, form, outputs),
            check_labels,
            precision=precision,
            form=form,
            outputs=outputs,
            max_drop=max_drop,
            description=self.description(),
            threads=threads,
        )

    def model(self, form: str = "fused", outputs: str = "logits") -> keras.Model:
        """The plain Keras model, from normalized images to logits or "features", in a form."""
        return _built(self.blocks, self.weights, form, outputs)

    def logits(self, images: np.ndarray, form: str = "fused", outputs: str = "logits") -> np.ndarray:
        """The Keras model's logits on raw images: float32 (N, classes) for uint8 (N, r, r, 3).

        Of "features" all values of an image, one map after the other.
        """
        model, normalize = self.model(form, outputs), self.preprocessing.normalize
        batches = np.array_split(images, math.ceil(len(images) / _BATCH))
        return np.concatenate([joined(model(normalize(batch), training=False)) for batch in batches])

    def description(self) -> dict[str, Any]:
        """What its files say of it."""
        return {"preprocessing": self.preprocessing.to_config(), **self.facts}

    def weights_for_symmetric_inputs(self) -> dict[str, Sequence[np.ndarray]]:
        """Weights with which it does for (x - 128) / 128 what it did for the preprocessing's inputs.

        At the image's border, where the padding's zeros now mean grey and not the mean colour, it is not quite that.
        """
        stem, preprocessing = self.blocks[0].name, self.preprocessing
        if preprocessing.mean == SYMMETRIC.mean and preprocessing.std == SYMMETRIC.std:
            return dict(self.weights)
        mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
        scale, offset = 128 / (255 * std), (128 / 255 - mean) / std
        (kernel,) = self.weights[f"{stem}_conv"]
        gamma, beta, moving_mean, moving_variance = self.weights[f"{stem}_norm"]
        moving_mean = moving_mean - np.einsum("hwio,i->o", kernel, offset)
        return {
            **self.weights,
            f"{stem}_conv": [(kernel * scale[:, None]).astype(np.float32)],
            f"{stem}_norm": [gamma, beta, moving_mean.astype(np.float32), moving_variance],
        }

    def _from_centred(self, images):
        return self.preprocessing.normalize(images * 128 + 128)

    def _quantized(
        self, precision: str, form: str, images: np.ndarray, *,
        input_type: str, output_type: str, outputs: str, batch_size: int,
    ) -> bytes:  # fmt: skip
        model = _built(self.blocks, self.weights_for_symmetric_inputs(), form, outputs)
        images = images.copy()
        # Both ends of the range must occur; two pixels leave the ranges inside the network as they are.
        images[0, 0, 0], images[0, -1, -1] = 0, 255
        representative = (images.astype(np.float32) - 128) / 128
        if precision == "int8":
            return quantize(
                model, representative,
                input_type=input_type, output_type=output_type, outputs=outputs, batch_size=batch_size,
            )  # fmt: skip
        data = convert(model, precision, representative=representative, batch_size=batch_size)
        data = with_probabilities(data) if outputs == "probabilities" else data
        return with_image_input(data) if input_type == "uint8" else data


def check_images_fit(network: Network, representative_images, check_images, check_labels) -> None:
    """Raises `InputError` unless images are raw ones of the network's side, and labels as many as images."""
    if check_images is None:
        raise InputError("export: no images to check the file on; give check_images or representative_images")
    side = network.blocks[0].input_size
    for name, images in (("representative_images", representative_images), ("check_images", check_images)):
        if images is not None and (images.dtype != np.uint8 or images.shape[1:] != (side, side, 3) or len(images) == 0):
            raise InputError(
                f"export: {name} are {images.dtype} {images.shape}, expected uint8 (at least 1, {side}, {side}, 3)"
            )
    if check_labels is not None and np.shape(check_labels) != (len(check_images),):
        raise InputError(f"export: {np.shape(check_labels)} check_labels for {len(check_images)} check_images")


def check_names(network: Network) -> None:
    """Raises `InputError` unless there are names for all classes, or none."""
    classes = network.blocks[-1].out_channels
    for name in ("labels", "names"):
        found = network.facts.get(name)
        if found and len(found) != classes:
            raise InputError(f"export: {len(found)} {name} for {classes} classes; give one for each, or none")


def check_export(
    path: str | os.PathLike,
    precision: str,
    *,
    outputs: str = OUTPUTS[0],
    input_type: str = "uint8",
    output_type: str | None = None,
    batch_size: int = 1,
    max_drop: float | None = None,
) -> str:
    """Raises `InputError` where no file can be written so, whatever the network: asked before work that would be lost.

    Returns:
        The output's type, where none is given that of the precision.
    """
    check_output(path)
    known = precision_of(precision)
    if outputs not in OUTPUTS:
        raise InputError(f"export: outputs is {outputs!r}, expected one of {', '.join(OUTPUTS)}")
    if max_drop is not None:
        # 2 (percent) would allow all.
        check_numbers("export: max_drop", max_drop, 1, 0, 1)
    if outputs == "features":
        if output_type not in (None, "float32"):
            raise InputError(f"export: features as {output_type}, expected float32, as they are in every such file")
        if max_drop is not None:
            raise InputError("export: max_drop is a limit of top-1, and features have none; leave it out")
    output_type = output_type or ("float32" if outputs == "features" else known.output_types[0])
    for name, found, types in (
        ("input_type", input_type, known.input_types),
        ("output_type", output_type, known.output_types),
    ):
        if found not in types:
            raise InputError(f"export to {precision}: {name} is {found!r}, expected one of {', '.join(types)}")
    check_whole("export: batch_size", batch_size, 1)
    return output_type


def _built(
    blocks: Sequence[Block], weights: Mapping[str, Sequence[np.ndarray]], form: str, outputs: str
) -> keras.Model:
    model = build_plain(blocks, keras, form=form, outputs="features" if outputs == "features" else "logits")
    set_plain_weights(model, formed_weights(blocks, weights, form))
    return model
