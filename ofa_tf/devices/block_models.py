"""Blocks, and whole networks, as TFLite models with random weights: time does not depend on what was learned.

They are kept on the disk, because converting takes longer than measuring.
"""

import dataclasses
import fcntl
import functools
import hashlib
import importlib.metadata
import inspect
import json
import os
import pathlib
import sys
import types
from collections.abc import Sequence

import keras
import numpy as np

from ofa_tf.common import InputError, OfaError, atomic_path
from ofa_tf.common import form as form_module
from ofa_tf.common.download import cache_folder
from ofa_tf.common.form import FORMS, form_of, precision_of
from ofa_tf.deploy import borders, convert
from ofa_tf.deploy.borders import with_borders, with_probabilities
from ofa_tf.deploy.runner import IDENTIFIER
from ofa_tf.devices.device import Device
from ofa_tf.networks import plain
from ofa_tf.networks.plain import build_plain
from ofa_tf.spaces import Arch, Block, Space, operations

SAMPLES = 4
# What models that were kept depend on.
_CODE = (
    sys.modules[__name__],
    inspect.getmodule(convert),
    borders,
    inspect.getmodule(Block),
    inspect.getmodule(operations),
    plain,
    form_module,
)
_PACKAGES = ("tensorflow", "keras")
# Less than that may be chance: the form that is known to be good stays.
_CLEARLY = 0.98
_SCALE, _OFFSET = np.float32([1 / 128] * 3), np.float32([-1] * 3)


def model_bytes(blocks: Sequence[Block], precision: str, *, form: str | None = None, seed: int = 0) -> bytes:
    """One block, or consecutive ones, as a TFLite file with random weights.

    It has the borders that the blocks have in exported networks: between blocks those pass on what they compute with,
    so nothing is converted there; a stem takes raw images, uint8, and what they cost belongs to it; a head gives
    probabilities as an exported network does.
    """
    rng = np.random.default_rng(seed)
    model = build_plain(blocks, keras, form=form_of(precision, form))
    images = rng.standard_normal((SAMPLES, *model.inputs[0].shape[1:]), np.float32)
    randomize(model, images, rng)
    takes_images, gives_logits = blocks[0].kind == "stem", blocks[-1].kind == "head"
    if not precision_of(precision).integer:
        data = convert(model, precision, prepare=normalize if takes_images else None)
        return with_probabilities(data) if gives_logits else data
    data = convert(
        model,
        precision,
        representative=images,
        input_type="uint8" if takes_images else "int8",
        output_type="float32" if gives_logits else "int8",
    )
    return with_borders(data, "float32", "uint8", "probabilities") if gives_logits else data


def normalize(images):
    """The operations of every preprocessing, whatever its constants."""
    return keras.ops.cast(images, "float32") * _SCALE + _OFFSET


def randomize(model: keras.Model, images: np.ndarray, rng: np.random.Generator) -> None:
    """Sets random weights under which every batch norm's output is of about unit variance.

    Activations that grow from block to block have scales so far apart that XNNPACK refuses some int8 additions: such a
    network is not the one that a trained one would be.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # Then one pass in training mode makes the moving statistics those of the images.
            layer.momentum = 0.0
        elif layer.weights:
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            layer.set_weights([_random(weight.shape, depthwise, rng) for weight in layer.weights])
    model(images, training=True)


def _random(shape: Sequence[int], depthwise: bool, rng: np.random.Generator) -> np.ndarray:
    inputs = int(np.prod(shape[:2] if depthwise else shape[:-1]))
    return rng.standard_normal(shape, np.float32) * np.float32(inputs**-0.5)


def empty_model(precision: str) -> bytes:
    """A model that does next to nothing: its time is the cost of a call."""
    inputs = keras.Input((1, 1, 8))
    model = keras.Model(inputs, keras.layers.ReLU()(inputs), name="empty")
    ones = [np.ones((1, 1, 8), np.float32)]
    return convert(model, precision, representative=ones if precision_of(precision).integer else None)


def middle(space: Space, **given: Sequence) -> Arch:
    """The architecture of all middle choices but for those given, by field; without any, the reference network."""
    choices = {field: [gene.choices[len(gene.choices) // 2] for gene in genes] for field, genes in space.fields.items()}
    return space.arch(**{**choices, **given}, r=space.resolutions[len(space.resolutions) // 2])


class ModelCache:
    """Files of `model_bytes`, each converted once, in the user's cache folder unless another is given.

    What is kept belongs to the versions of the libraries and of the code that made it; others are made anew. Several
    processes may ask at once: one converts, the others wait for its file.
    """

    def __init__(self, folder: str | os.PathLike | None = None):
        self.folder = cache_folder() / "models" if folder is None else pathlib.Path(folder)

    def file(self, blocks: Sequence[Block], precision: str, *, form: str, seed: int = 0) -> pathlib.Path:
        """The `.tflite` file that `model_bytes` makes of the same arguments."""
        # A block's name says where it stands, not what it is.
        fields = [{**dataclasses.asdict(block), "name": ""} for block in blocks]
        words = [fields, precision, form, seed, made_by()]
        name = hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()
        path = self.folder / name[:2] / f"{name}.tflite"
        if _is_kept(path):
            return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise InputError(
                f"{self.folder}: cannot be written ({error.strerror}), where converted models are kept; set "
                f"OFA_TF_CACHE to a folder that is writable"
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_kept(path):
                data = model_bytes(blocks, precision, form=form, seed=seed)
                with atomic_path(path) as temporary:
                    temporary.write_bytes(data)
        return path


def _is_kept(path: pathlib.Path) -> bool:
    try:
        with path.open("rb") as opened:
            return opened.read(8)[4:] == IDENTIFIER
    except (FileNotFoundError, NotADirectoryError):
        return False


@functools.cache
def made_by(*others: types.ModuleType) -> list[str]:
    """What kept files belong to: the versions of the libraries, the hashes of the code here, and of other modules."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    return [
        *versions,
        *(hashlib.sha256(inspect.getsource(module).encode()).hexdigest() for module in (*_CODE, *others)),
    ]


def fastest_form(
    space: Space,
    precision: str,
    device: Device,
    *,
    forms: Sequence[str] = tuple(FORMS),
    seed: int = 0,
) -> tuple[str, dict[str, float]]:
    """Measures one network, of the space's middle choices with its largest kernels, in every form.

    Some forms are the same file for a space without hard-swish or large kernels: each different file is measured once.
    Gives the precision's default form, or the fastest where that is clearly (2%) faster; and the times of all in
    milliseconds, the fastest first. Raises `OfaError` where the device cannot run the network in any form.
    """
    # Forms differ in how kernels of 7x7 are written, too.
    kernels = [max(gene.choices) for gene in space.fields.get("ks", ())]
    blocks = space.blocks(middle(space, **({"ks": kernels} if kernels else {})))
    files = {form: model_bytes(blocks, precision, form=form, seed=seed) for form in forms}
    different = list(dict.fromkeys(files.values()))
    measured_ms = dict(zip(different, device.compare(different), strict=True))
    times_ms = dict(sorted(((form, measured_ms[data]) for form, data in files.items()), key=lambda pair: pair[1]))
    fastest, least_ms = next(iter(times_ms.items()))
    if least_ms == float("inf"):
        raise OfaError(
            f"--form=auto: the device ran the network of {space.name} in none of the forms {', '.join(forms)}"
        )
    usual = form_of(precision)
    keeps = usual in times_ms and least_ms > _CLEARLY * times_ms[usual]
    return (usual if keeps else fastest), times_ms
