"""Blocks, and whole networks, as TFLite models with random weights: time does not depend on what was learned."""

from collections.abc import Sequence

import keras
import numpy as np

from ofa_tf.common.form import precision_of
from ofa_tf.deploy import convert
from ofa_tf.networks.plain import build_plain
from ofa_tf.spaces import Block

SAMPLES = 4
_SCALE, _OFFSET = np.float32([1 / 128] * 3), np.float32([-1] * 3)


def model_bytes(blocks: Sequence[Block], precision: str, *, form: str | None = None, seed: int = 0) -> bytes:
    """One block, or a network, as a TFLite file.

    It has the borders that the blocks have in exported networks: between blocks those pass on what they compute with,
    so nothing is converted there; a stem takes raw images, uint8, and what they cost belongs to it; a head gives the
    logits as an exported network does.

    Args:
        blocks: consecutive blocks.
        precision: one of `deploy.PRECISIONS`.
        form: how it is written, one of `common.form.FORMS`; the precision's default unless given.
        seed: of the weights.

    Example:
        data = model_bytes(space.blocks(arch)[3:4], "int8")
    """
    rng = np.random.default_rng(seed)
    model = build_plain(blocks, keras, form=form or precision_of(precision).form)
    images = rng.standard_normal((SAMPLES, *model.inputs[0].shape[1:]), np.float32)
    randomize(model, images, rng)
    takes_images, gives_logits = blocks[0].kind == "stem", blocks[-1].kind == "head"
    if not precision_of(precision).integer:
        return convert(model, precision, prepare=normalize if takes_images else None)
    return convert(
        model,
        precision,
        representative=images,
        input_type="uint8" if takes_images else "int8",
        output_type="uint8" if gives_logits else "int8",
    )


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
