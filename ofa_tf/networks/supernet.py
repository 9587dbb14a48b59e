"""`Supernet`: the network whose weights contain every architecture of a space."""

import keras
import numpy as np
import tensorflow as tf

from ofa_tf.common import InputError
from ofa_tf.layers import BATCH, GIVEN, MOVING, TRAIN, ElasticBlock, NormalizationPass
from ofa_tf.networks.plain import build_plain, formed_weights
from ofa_tf.spaces import Arch, Space

# Ten times the largest published one; what a damaged description asks for would fill the memory.
MAX_PARAMS = 500_000_000


class Supernet(keras.Model):
    """A once-for-all network: one elastic layer per position of the space.

    Inputs are normalized images (batch, height, width, 3) of any size; what normalizes them is
    `ofa_tf.data.Preprocessing`. In bfloat16 they make the convolutions compute so; weights, batch-norm statistics and
    all that follows the last pooling are float32 always.

    Args:
        space: the space, with its number of classes.
        seed: of the initial weights.

    Source: Cai et al., section 3.

    Example:
        net = networks.build(spaces.get("ofa_tiny"), num_classes=10)
        logits = net(images, arch=net.space.smallest())
        model = net.extract(net.space.smallest())  # a plain keras.Model
    """

    def __init__(self, space: Space, *, seed: int = 0, **kwargs):
        if space.supernet_params > MAX_PARAMS:
            raise InputError(
                f"space {space.name}: its supernet has {space.supernet_params} parameters, expected at most "
                f"{MAX_PARAMS}; check the widths"
            )
        super().__init__(name="supernet", autocast=False, **kwargs)
        self.space = space
        generator = keras.random.SeedGenerator(seed)
        maxima = space.blocks(space.largest())
        self.blocks = [
            ElasticBlock(block, optional=position.optional, kernel_sizes=space.kernel_sizes(position), seed=generator)
            for position, block in zip(space.positions, maxima, strict=True)
        ]
        first = next((row for row, position in enumerate(space.positions) if position.genes), len(self.blocks))
        self.feature_rows = [
            row for row, following in enumerate(space.positions[1:]) if row >= first and not following.optional
        ]
        self.statistics_channels = 0
        for norm in (norm for block in self.blocks for norm in block.norms):
            norm.offset = self.statistics_channels
            self.statistics_channels += norm.channels
        self.built = True

    def call(self, images, *, arch, training=False, statistics=None, dropout=None):
        """The logits of one sub-network.

        Args:
            images: normalized float32 or bfloat16 (batch, height, width, 3).
            arch: an `Arch`, or its int32 (positions, 6) form from `Space.to_array`. In a `tf.function` pass the
                latter as an argument, so that one trace serves all architectures.
            training: True normalizes by the batch and updates the moving statistics.
            statistics: calibrated statistics, float32 (2, statistics_channels); the moving ones serve without.
            dropout: None, or a rate and a stateless seed, for the dropout before the classifier.

        Returns:
            float32 (batch, num_classes).
        """
        mode = TRAIN if training else MOVING if statistics is None else GIVEN
        return self._run(images, arch, NormalizationPass(mode, statistics), dropout)

    def batch_statistics(self, images, arch) -> tuple[tf.Tensor, tf.Tensor]:
        """The logits under the batch's own statistics, and those statistics; nothing is changed.

        Returns:
            Logits float32 (batch, num_classes), and float32 (2, statistics_channels): means and biased variances of
            every batch norm, zero for inactive channels.
        """
        norms = NormalizationPass(BATCH)
        logits = self._run(images, arch, norms, None)
        return logits, tf.concat(norms.collected, axis=1)

    def features(self, images, arch, *, training: bool, dropout=None) -> tuple[list[tf.Tensor], tf.Tensor]:
        """What a sub-network makes of images on its way to the logits, by the batch's own statistics.

        Every sub-network of the space has these maps, of the same sizes, wherever no width multiplier is elastic.

        Args:
            images: as in `call`.
            arch: as in `call`.
            training: True updates the moving statistics; else nothing is changed.
            dropout: as in `call`.

        Returns:
            Maps (batch, height, width, channels), from the first elastic block on one before each block that every
            sub-network has; and the logits, float32 (batch, num_classes).

        Example:
            maps, logits = net.features(images, net.space.to_array(net.space.largest()), training=False)
        """
        maps = []
        logits = self._run(images, arch, NormalizationPass(TRAIN if training else BATCH), dropout, maps)
        return maps, logits

    def _run(self, images, arch, norms, dropout, maps: list | None = None):
        sizes = tf.unstack(self.space.to_array(arch) if isinstance(arch, Arch) else arch, num=len(self.blocks))
        outputs = images if images.dtype == tf.bfloat16 else tf.cast(images, tf.float32)
        for row, block in enumerate(self.blocks[:-1]):
            outputs = block(outputs, sizes=sizes[row], norms=norms)
            if maps is not None and row in self.feature_rows:
                maps.append(outputs)
        return self.blocks[-1](outputs, sizes=sizes[-1], norms=norms, dropout=dropout)

    def extract(
        self, arch: Arch, statistics: np.ndarray | None = None, *, form: str = "fused", outputs: str = "logits"
    ) -> keras.Model:
        """A plain Keras model of one sub-network, with copies of its weights; it needs nothing from here to be used.

        Args:
            arch: the architecture; its resolution becomes the input's.
            statistics: calibrated statistics for the batch norms; without them the model is as poor as an uncalibrated
                subnet.
            form: how it is written, one of `common.form.FORMS`.
            outputs: "logits", or "features": a backbone for segmentation or detection, which gives a dict of feature
                maps at strides 4, 8, 16 and 32, "P2" to "P5", those that the space has.
        """
        blocks = self.space.blocks(arch)
        model = build_plain(blocks, keras, form=form, outputs=outputs)
        set_plain_weights(model, formed_weights(blocks, self.plain_weights(arch, statistics), form))
        return model

    def plain_weights(self, arch: Arch, statistics: np.ndarray | None = None) -> dict[str, list[np.ndarray]]:
        """The weights of a sub-network, by the names of the plain model's layers."""
        if statistics is not None:
            if np.shape(statistics) != (2, self.statistics_channels):
                raise InputError(
                    f"statistics are of shape {np.shape(statistics)}, expected {(2, self.statistics_channels)}; give "
                    f"those of this supernet (Evaluator.calibrate)"
                )
            statistics = tf.convert_to_tensor(statistics, tf.float32)
        weights = {}
        for sizes, block in zip(self.space.to_array(arch), self.blocks, strict=True):
            if sizes[0]:
                for part, values in block.active_weights(sizes, statistics).items():
                    weights[f"{block.name}_{part}"] = [np.asarray(value) for value in values]
        return weights

    def state(self) -> dict[str, np.ndarray]:
        """Every variable by its path, for files."""
        return {name: variable.numpy() for name, variable in self.named_variables().items()}

    def named_variables(self) -> dict:
        """Every variable by its name, "block/layer/variable"."""
        return {f"{block.name}/{variable.path}": variable for block in self.blocks for variable in block.variables}

    def load_state(self, state: dict[str, np.ndarray], source: str = "weights") -> None:
        """Sets every variable; a missing, left-over or misshapen one raises `InputError` and changes nothing."""
        own = self.named_variables()
        for name in [*sorted(own.keys() - state.keys()), *sorted(state.keys() - own.keys())]:
            what = "is missing" if name in own else "is unknown"
            raise InputError(f"{source}: tensor {name} {what}; the file belongs to another space or version")
        for name, variable in own.items():
            if state[name].dtype.kind != "f":
                raise InputError(f"{source}: tensor {name} is of {state[name].dtype}, expected float numbers")
            if tuple(variable.shape) != state[name].shape:
                raise InputError(
                    f"{source}: tensor {name} has shape {state[name].shape}, space {self.space.name} expects "
                    f"{tuple(variable.shape)}; the file belongs to another space"
                )
            if not np.isfinite(state[name]).all():
                raise InputError(f"{source}: tensor {name} holds NaN or infinity; use an older file or make it anew")
        for name, variable in own.items():
            variable.assign(state[name])


def set_plain_weights(model: keras.Model, weights: dict[str, list[np.ndarray]]) -> None:
    """Sets a plain model's weights by layer name; every layer that has weights must be named."""
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(weights[layer.name])


def build(space: Space, num_classes: int | None = None, *, seed: int = 0) -> Supernet:
    """The supernet of a space.

    Args:
        space: from `ofa_tf.spaces`.
        num_classes: outputs of the classifier; the space's own unless given.
        seed: of the initial weights.
    """
    if num_classes is not None:
        space = space.replace(num_classes=num_classes)
    return Supernet(space, seed=seed)
