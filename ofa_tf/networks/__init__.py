"""Supernets, and the plain Keras models extracted from them.

Example:
    from ofa_tf import networks, spaces
    net = networks.build(spaces.get("ofa_tiny"), num_classes=10)
    model = net.extract(net.space.smallest())
"""

from ofa_tf.layers import masks, recomputation
from ofa_tf.networks.embedding import embed
from ofa_tf.networks.packed_supernet import PackedSupernet
from ofa_tf.networks.plain import build_plain, formed_weights
from ofa_tf.networks.supernet import Supernet, build, set_plain_weights

__all__ = [
    "PackedSupernet",
    "Supernet",
    "build",
    "build_plain",
    "embed",
    "formed_weights",
    "masks",
    "recomputation",
    "set_plain_weights",
]
