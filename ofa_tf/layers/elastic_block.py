"""`ElasticBlock`: the layer of a supernet that computes a block's operations at the sizes of the active sub-network."""

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from ofa_tf.layers.activations import activate
from ofa_tf.layers.convolution import ElasticConv2D, ElasticDense, ElasticDepthwiseConv2D
from ofa_tf.layers.normalization import BATCH, TRAIN, ElasticBatchNormalization, NormalizationPass
from ofa_tf.layers.pointwise import normalized, widened
from ofa_tf.layers.recomputation import recomputed, recomputing
from ofa_tf.spaces import ACTIVE, IN, KERNEL, MID, OUT, SE, TENSOR_COLUMNS, Block, Operation, operations

_COLUMNS = {"in_channels": IN, "mid_channels": MID, "out_channels": OUT, "se_channels": SE}


class ElasticBlock(keras.layers.Layer):
    """A block that reads the sizes to run at from its row of `Space.to_array`, and that may be skipped.

    It has an elastic layer for every operation with weights, under the operation's name. From a global pooling on it
    computes in float32.

    Args:
        block: the block at its maximum.
        optional: whether some architectures skip it; then it runs under `tf.cond`, and skipping costs nothing.
        kernel_sizes: that the block can have, ascending; its own unless given.
        seed: `keras.random.SeedGenerator` for the initialisation.

    Example:
        layer = ElasticBlock(space.blocks(space.largest())[2], optional=False, kernel_sizes=(3, 5, 7))
        layer(features, sizes=space.to_array(arch)[2], norms=NormalizationPass(MOVING))
    """

    def __init__(
        self, block: Block, *, optional: bool, kernel_sizes: tuple[int, ...] | None = None, seed=None, **kwargs
    ):
        super().__init__(name=block.name, autocast=False, **kwargs)
        self.block = block
        self.optional = optional
        # Weights are made in the constructor: their shapes depend on the block alone. A shortcut's come last, as in the
        # checkpoints that there are: an optimizer knows variables by their order.
        for operation in sorted(self.operations, key=lambda operation: operation.name.startswith("shortcut")):
            layer = _layer_of(operation, block, kernel_sizes or (block.kernel_size,), seed)
            if layer is not None:
                setattr(self, operation.name, layer)
        # Every batch norm inside, in the order in which they run.
        self.norms = [getattr(self, operation.name) for operation in self.operations if operation.kind == "norm"]
        self.built = True

    def call(self, inputs, *, sizes, norms: NormalizationPass, dropout=None):
        """Runs or skips the block.

        Args:
            inputs: float32 or bfloat16 (batch, height, width, channels).
            sizes: int32 (6,), this block's row of `Space.to_array`.
            norms: the pass that this call is part of.
            dropout: for heads, None, or a rate (float32 scalar tensor) and a seed (int32 (2,) tensor).
        """
        if norms.mode == TRAIN and dropout is None and recomputing():
            return recomputed(
                lambda inputs, again: self._run(inputs, sizes, NormalizationPass(TRAIN, moves=not again), None),
                inputs,
                self.trainable_variables,
            )
        return self._run(inputs, sizes, norms, dropout)

    def _run(self, inputs, sizes, norms, dropout):
        if not self.optional:
            return self._compute(inputs, tf.unstack(sizes, num=TENSOR_COLUMNS), norms, dropout)

        def run():
            branch = norms.branch()
            return self._compute(inputs, tf.unstack(sizes, num=TENSOR_COLUMNS), branch, dropout), branch.collected

        def skip():
            collecting = self.norms if norms.mode == BATCH else []
            return tf.identity(inputs), [tf.zeros((2, norm.channels)) for norm in collecting]

        outputs, collected = tf.cond(sizes[ACTIVE] > 0, run, skip)
        norms.collected.extend(collected)
        return outputs

    # Cached, and no attributes: Keras and TensorFlow would wrap the tuples.

    @functools.cached_property
    def operations(self) -> list[Operation]:
        """What the block computes, at its maximum."""
        return operations(self.block)

    @functools.cached_property
    def _steps(self) -> list[list[Operation]]:
        """The operations, each convolution with its batch norm and the activation behind that, as one step."""
        steps: list[list[Operation]] = []
        for operation in self.operations:
            last = [step.kind for step in steps[-1]] if steps else []
            joins = (operation.kind == "norm" and last in (["conv"], ["depthwise"])) or (
                operation.kind == "activation" and last[1:] == ["norm"]
            )
            if joins:
                steps[-1].append(operation)
            else:
                steps.append([operation])
        return steps

    def _compute(self, inputs, sizes: Sequence, norms: NormalizationPass, dropout) -> tf.Tensor:
        """One step after the other; `sizes` are the scalars of the block's row."""
        tensors = [inputs]
        for step in self._steps:
            read = [tensors[number] for number in step[0].reads]
            if len(step) == 1:
                outputs = self._computed(*step, sizes, dropout, *read)
            else:
                outputs = self._convolved(step, sizes, norms, *read)
            # What lies inside a step, nothing else reads.
            tensors += [None] * (len(step) - 1) + [outputs]
        return tensors[-1]

    def active_weights(self, sizes, statistics) -> dict[str, list]:
        """The weights in use, for each plain layer by the last part of its name (see `networks.plain`).

        Args:
            sizes: int32 (6,), this block's row of `Space.to_array`.
            statistics: calibrated statistics of the whole network, or None for the moving ones.
        """
        weights = {}
        for operation in self.operations:
            if operation.kind in ("conv", "depthwise"):
                weights[operation.name] = [getattr(self, operation.name).active_kernel(**self._sizes(operation, sizes))]
            elif operation.kind == "dense":
                weights[operation.name] = getattr(self, operation.name).active_weights(**self._sizes(operation, sizes))
            elif operation.kind == "norm":
                norm = getattr(self, operation.name)
                weights[operation.name] = norm.active_weights(self._channels(operation.out_width, sizes), statistics)
        return weights

    def _channels(self, width: str, sizes: Sequence):
        return sizes[_COLUMNS[width]] if width in _COLUMNS else getattr(self.block, width)

    def _sizes(self, operation: Operation, sizes: Sequence) -> dict:
        """The arguments with which the layer of an operation is called."""
        before, after = (self._channels(width, sizes) for width in (operation.in_width, operation.out_width))
        if operation.kind == "dense":
            return {"in_features": before, "out_features": after}
        channels = (
            {"channels": after} if operation.kind == "depthwise" else {"in_channels": before, "out_channels": after}
        )
        return channels | {"kernel_index": sizes[KERNEL] if operation.elastic else 0}

    def _convolved(self, step: list[Operation], sizes: Sequence, norms: NormalizationPass, inputs) -> tf.Tensor:
        """A convolution, its batch norm and, where there is one, the activation behind that."""
        operation, norm, *activations = step
        layer, norm = getattr(self, operation.name), getattr(self, norm.name)
        arguments, channels = self._sizes(operation, sizes), self._channels(operation.out_width, sizes)
        widens = operation.kernel == (1, 1) and operation.out_channels > operation.in_channels
        if activations and operation.kind == "conv" and widens:
            return widened(
                inputs, layer, norm, in_channels=arguments["in_channels"], out_channels=channels,
                activation=activations[0].activation, norms=norms,
            )  # fmt: skip
        outputs = normalized(inputs, functools.partial(layer, **arguments), norm, channels=channels, norms=norms)
        return activate(activations[0].activation, outputs) if activations else outputs

    def _computed(self, operation: Operation, sizes: Sequence, dropout, inputs, *others):
        """Any other operation."""
        match operation.kind:
            case "activation":
                return activate(operation.activation, inputs)
            case "add":
                return inputs + others[0]
            case "multiply":
                return inputs * tf.cast(others[0], inputs.dtype)[:, tf.newaxis, tf.newaxis, :]
            case "dense":
                return getattr(self, operation.name)(inputs, **self._sizes(operation, sizes))
            case "global_pool":
                return tf.reduce_mean(tf.cast(inputs, tf.float32), [1, 2])
            case "average_pool":
                return tf.nn.avg_pool2d(inputs, operation.kernel, operation.stride, "SAME")
            case "max_pool":
                # Framed by an operation of its own: XLA knows no pooling with explicit padding.
                pad = operation.kernel[0] // 2
                framed = tf.pad(inputs, [[0, 0], [pad, pad], [pad, pad], [0, 0]], constant_values=inputs.dtype.min)
                return tf.nn.max_pool2d(framed, operation.kernel, operation.stride, "VALID")
            case "dropout":
                return inputs if dropout is None else tf.nn.experimental.stateless_dropout(inputs, *dropout)
        raise ValueError(f"unknown kind of operation: {operation.kind!r}")

    def sort_channels(self, bounds: list[int], reorder: Callable, spread: Callable | None = None) -> None:
        """Puts the most important inner channels first, those of the block's inner width within given groups.

        A channel is as important as the last convolution or dense layer that reads it makes it, by the sum of its
        absolute weights. The channels of the block's input and output are not this block's to order.

        Args:
            bounds: ascending channel counts, the ends of the groups.
            reorder: called as `reorder(variables, order, axis)`; permutes one axis of each variable at once.
            spread: called as `spread(norm, activation)` with the last batch norm that writes the channels; gives the
                standard deviation of each. Then a channel's importance is that, times the length of its weights.

        Source: Cai et al., section 3.3 ("Elastic Width").
        """
        for writers, readers in self._inner_channels():
            kernel = getattr(self, readers[-1].name).kernel.numpy()
            axes = tuple(axis for axis in range(kernel.ndim) if axis != kernel.ndim - 2)
            # The hidden units of squeeze-and-excite are sorted over their whole length, as published.
            is_inner = readers[-1].in_width == "mid_channels"
            importance = np.abs(kernel).sum(axes)
            norms = [getattr(self, writer.name) for writer in writers if writer.kind == "norm"]
            if spread is not None and norms:
                importance = np.sqrt((kernel**2).sum(axes)) * spread(norms[-1], self.block.activation)
            order = descending(importance, bounds if is_inner else None)
            for writer in writers:
                layer = getattr(self, writer.name)
                if writer.kind == "norm":
                    reorder(layer.variables, order, axis=0)
                    continue
                reorder([layer.kernel], order, axis=len(layer.kernel.shape) - (2 if writer.kind == "depthwise" else 1))
                if writer.bias:
                    reorder([layer.bias], order, axis=0)
            for reader in readers:
                kernel = getattr(self, reader.name).kernel
                reorder([kernel], order, axis=len(kernel.shape) - 2)

    def _inner_channels(self) -> list[tuple[list[Operation], list[Operation]]]:
        """Each set of channels inside: the operations whose weights give and read them, last readers first.

        In that order, what is sorted later finds the sums that it found before, if in another order.
        """
        # Of each tensor the number of its set: convolutions and dense layers begin a new one, others keep theirs.
        sets = [0]
        for number, operation in enumerate(self.operations, start=1):
            mixes = operation.kind in ("conv", "dense")
            kept = number if mixes else sets[operation.reads[0]]
            joined = {sets[tensor] for tensor in operation.reads} if not mixes else set()
            sets = [kept if each in joined else each for each in sets] + [kept]
        found = []
        for each in set(sets) - {sets[0], sets[-1]}:
            given = [operation for operation, own in zip(self.operations, sets[1:], strict=True) if own == each]
            writers = [operation for operation in given if operation.name]
            readers = [
                operation
                for operation in self.operations
                if operation.kind in ("conv", "dense") and sets[operation.reads[0]] == each
            ]
            found.append((writers, readers))
        return sorted(found, key=lambda pair: self.operations.index(pair[1][-1]), reverse=True)


def _layer_of(operation: Operation, block: Block, kernel_sizes: tuple[int, ...], seed) -> keras.layers.Layer | None:
    """The elastic layer of an operation, None for one without weights."""
    before, after, name = operation.in_channels, operation.out_channels, operation.name
    sizes = kernel_sizes if operation.elastic else operation.kernel[:1]
    window = {"stride": operation.stride, "padding": operation.padding or "symmetric"}
    match operation.kind:
        case "conv":
            return ElasticConv2D(before, after, sizes, **window, seed=seed, name=name)
        case "depthwise":
            return ElasticDepthwiseConv2D(after, sizes, **window, seed=seed, name=name)
        case "norm":
            return ElasticBatchNormalization(after, epsilon=block.norm_epsilon, name=name)
        case "dense":
            # All but the classifier begin as the 1x1 convolutions that they are in the published networks.
            return ElasticDense(
                before, after, use_bias=operation.bias, he_fan_out=name != "classifier", seed=seed, name=name
            )
    return None


def descending(importance: np.ndarray, bounds: list[int] | None = None) -> np.ndarray:
    """The order that sorts channels by falling importance, never across a bound; equal ones keep their order.

    Args:
        importance: one value per channel.
        bounds: ascending ends of the groups, the last being the number of channels; None for one group.

    Source: Cai et al., section 3.3 ("Elastic Width").
    """
    bounds = [len(importance)] if bounds is None else bounds
    starts = [0, *bounds[:-1]]
    return np.concatenate(
        [start + np.argsort(-importance[start:end], kind="stable") for start, end in zip(starts, bounds, strict=True)]
    )
