"""The specialized networks that the authors publish, by name."""

import functools
import pathlib

from ofa_tf import spaces
from ofa_tf.common import InputError, read_json
from ofa_tf.spaces import Arch
from ofa_tf.zoo.specialized_net import SpecializedNet

_FILE = pathlib.Path(__file__).parent / "specialized.json"


@functools.cache
def _networks() -> dict[str, SpecializedNet]:
    networks = {}
    for fields in read_json(_FILE, "list of specialized networks")["networks"]:
        space, arch = spaces.get(fields.pop("space")), Arch.from_json(fields.pop("arch"))
        networks[fields["name"]] = SpecializedNet(space=space, arch=space.canonical(arch), **fields)
    return networks


def names() -> list[str]:
    """The names of the 50 published specialized networks."""
    return list(_networks())


def specialized(name: str) -> SpecializedNet:
    """A published specialized network.

    Args:
        name: one of `names()`: device, latency, top-1 and epochs of fine-tuning, as its authors call it.

    Raises:
        InputError: there is none of that name.

    Example:
        net = zoo.specialized("note10_lat-22ms_top1-76.6_finetune-25")
        net.latency_ms, net.top1, net.macs
    """
    if name not in _networks():
        close = [known for known in names() if known.split("_")[0] == name.split("_")[0]] or names()[:3]
        raise InputError(f"specialized network {name!r} is unknown; zoo.names() has 50, such as {', '.join(close)}")
    return _networks()[name]
