"""A trained network's weights laid into a supernet, of which it is one sub-network."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from ofa_tf.layers import ElasticBatchNormalization
from ofa_tf.layers.activations import activate
from ofa_tf.networks.supernet import Supernet
from ofa_tf.spaces import Arch, Block, Operation, operations


def embed(net: Supernet, arch: Arch, weights: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Sets a supernet's weights so that the sub-network, and the largest one, compute what a trained network does.

    A smaller kernel lies in the centre of the largest one, and the matrices that transform kernels are the identity.
    Channels that the trained network lacks keep their weights, but what reads them begins at zero; a block that it
    lacks has a last batch norm that begins at zero. So they change nothing, and can learn. The most important channels
    of each block with elastic width are moved to the front, where smaller sub-networks find them.

    Args:
        net: a supernet that was just built: its random weights are those of what the trained network lacks.
        arch: the trained network in the supernet's space.
        weights: by the names of the plain model's layers, as `Supernet.plain_weights` gives them; of a batch norm
            gamma, beta, mean and variance.

    Raises:
        KeyError: a layer is missing.
        ValueError: an array does not have the shape that its block says.

    Source: Cai et al., section 3.3, turned around; Chen et al., "Net2Net" (ICLR 2016), for what preserves a function.

    Example:
        space, native = spaces.native_space("MobileNetV2")
        net = networks.build(space)
        networks.embed(net, native, weights)
    """
    state = net.state()
    present = {block.name: block for block in net.space.blocks(arch)}
    for block in net.blocks:
        if block.name not in present:
            last = [operation.name for operation in block.operations if operation.kind == "norm"][-1]
            state[f"{block.name}/{last}/gamma"][:] = 0
            continue
        _embed_block(state, present[block.name], weights)
    net.load_state(state)
    for position, block in zip(net.space.positions, net.blocks, strict=True):
        if any(gene.field == "e" for gene in position.genes):
            block.sort_channels([block.block.mid_channels], _reorder, _spread)


def _spread(norm: ElasticBatchNormalization, activation: str) -> np.ndarray:
    """The standard deviation of a channel behind its batch norm and activation, for inputs that are normal.

    What a channel adds on the average, the next batch norm takes away again: only what varies is lost with it. At two
    thirds of EfficientNet-Lite0's width, cut in this order, 14% of the answers are left without any training; cut by
    the weights alone, 3% (docs/results/photos.md).
    """
    normal = np.linspace(-4.0, 4.0, 401, dtype=np.float32)
    weights = np.exp(-(normal**2) / 2)
    weights /= weights.sum()
    gamma, beta = norm.gamma.numpy()[:, None], norm.beta.numpy()[:, None]
    values = np.asarray(activate(activation, tf.constant(beta + gamma * normal)))
    mean = (values * weights).sum(1)
    return np.sqrt(np.maximum((values**2 * weights).sum(1) - mean**2, 0.0))


def _reorder(variables: Sequence, order: np.ndarray, axis: int) -> None:
    for variable in variables:
        variable.assign(np.take(variable.numpy(), order, axis=axis))


def _embed_block(state: dict[str, np.ndarray], block: Block, weights: Mapping[str, Sequence[np.ndarray]]) -> None:
    """One block's arrays, in place."""
    for operation in operations(block):
        if not operation.name:
            continue
        layer, prefix = f"{block.name}_{operation.name}", f"{block.name}/{operation.name}"
        vectors = ["gamma", "beta", "moving_mean", "moving_variance"] if operation.kind == "norm" else []
        given = list(weights[layer])
        if operation.kind != "norm":
            _embed_kernel(state[f"{prefix}/kernel"], given.pop(0), operation, layer)
            vectors = ["bias"] * operation.bias
        for name, values in zip(vectors, given, strict=True):
            if values.shape != (operation.out_channels,):
                raise ValueError(f"{layer}: {name} has shape {values.shape}, expected {(operation.out_channels,)}")
            state[f"{prefix}/{name}"][: operation.out_channels] = values


def _embed_kernel(kernel: np.ndarray, given: np.ndarray, operation: Operation, layer: str) -> None:
    """A kernel in the centre of a larger one; its channels read nothing else."""
    inputs = 1 if operation.kind == "depthwise" else operation.in_channels
    outputs = operation.out_channels
    order = (outputs, inputs) if operation.kind == "depthwise" else (inputs, outputs)
    expected = (() if operation.kind == "dense" else operation.kernel) + order
    if given.shape != expected:
        raise ValueError(f"{layer}: kernel has shape {given.shape}, expected {expected}")
    inside = tuple(
        slice((whole - part) // 2, (whole + part) // 2)
        for whole, part in zip(kernel.shape[:-2], given.shape[:-2], strict=True)
    )
    if operation.kind == "depthwise":
        kernel[:, :, :outputs] = 0
    else:
        kernel[..., :outputs] = 0
    kernel[(*inside, *(slice(size) for size in order))] = given
