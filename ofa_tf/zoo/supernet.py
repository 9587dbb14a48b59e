"""The supernets that ship."""

import pathlib
from typing import TYPE_CHECKING

from ofa_tf.common import InputError

if TYPE_CHECKING:
    from ofa_tf.networks import PackedSupernet, Supernet

_FOLDER = pathlib.Path(__file__).parent / "supernets"


def supernet_names() -> list[str]:
    """The names that `supernet` knows."""
    return sorted(path.stem for path in _FOLDER.glob("*.npz"))


def packed_supernet(name: str) -> "PackedSupernet":
    """A supernet that ships, with what evaluating and exporting it needs: class names, preprocessing, provenance.

    Args:
        name: one of `supernet_names()`.

    Raises:
        InputError: there is none of that name; the message lists those there are.
    """
    if name not in supernet_names():
        known = ", ".join(supernet_names()) or "none"
        raise InputError(f"supernet {name!r} does not ship, there are: {known}; give one of these, or a file's path")
    # Loads TensorFlow, which names do without.
    from ofa_tf.networks import PackedSupernet

    return PackedSupernet.load(_FOLDER / f"{name}.npz")


def supernet(name: str) -> "Supernet":
    """A supernet that ships.

    Args:
        name: one of `supernet_names()`.

    Raises:
        InputError: there is none of that name.

    Example:
        net = zoo.supernet("ofa_imagenette_mbv3")
        model = net.extract(net.space.smallest())
    """
    return packed_supernet(name).net
