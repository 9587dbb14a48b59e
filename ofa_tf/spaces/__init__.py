"""What an architecture is: choices, sampling, costs. NumPy only.

Example:
    from ofa_tf import spaces
    space = spaces.get("ofa_mbv3_d234_e346_k357_w1.0")
    space.count_macs(space.smallest())
"""

from ofa_tf.spaces import costs
from ofa_tf.spaces.arch import Arch
from ofa_tf.spaces.block import PADDINGS, Block, make_divisible
from ofa_tf.spaces.block_operations import Operation, operations
from ofa_tf.spaces.mobilenet import MobileNetSpace, Stage
from ofa_tf.spaces.mobilenet_families import efficientnet_v2, mobilenet_v3, proxyless
from ofa_tf.spaces.native import NATIVE_NETWORKS, efficientnet_lite, native_arch, native_space
from ofa_tf.spaces.registry import from_config, get, names
from ofa_tf.spaces.resnet import ResNetSpace, resnet50
from ofa_tf.spaces.space import ACTIVE, IN, KERNEL, MID, OUT, SE, TENSOR_COLUMNS, Gene, Position, Space

__all__ = [
    "ACTIVE",
    "IN",
    "KERNEL",
    "MID",
    "NATIVE_NETWORKS",
    "OUT",
    "PADDINGS",
    "SE",
    "TENSOR_COLUMNS",
    "Arch",
    "Block",
    "Gene",
    "MobileNetSpace",
    "Operation",
    "Position",
    "ResNetSpace",
    "Space",
    "Stage",
    "costs",
    "efficientnet_lite",
    "efficientnet_v2",
    "from_config",
    "get",
    "make_divisible",
    "mobilenet_v3",
    "names",
    "native_arch",
    "native_space",
    "operations",
    "proxyless",
    "resnet50",
]
