"""Beginning with the weights of a supernet that is trained already."""

import hashlib

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.networks import PackedSupernet, Supernet

_CLASSIFIER = "head/classifier/"


def initialize(net: Supernet, initial: PackedSupernet, class_names: tuple[str, ...]) -> bool:
    """Gives a network the weights of another; its own fresh classifier stays where the classes differ.

    Args:
        net: changed in place.
        initial: a supernet of the same space but for the number of classes.
        class_names: what `net` is to tell apart.

    Returns:
        Whether the classifier was taken over, too.

    Raises:
        InputError: the spaces differ.
    """
    theirs = initial.net.space
    if not net.space.replace(num_classes=theirs.num_classes).same_weights(theirs):
        raise InputError(
            f"--init_from: its space is {theirs.name}, the run's {net.space.name}; leave the run's space to it"
        )
    same = net.space.num_classes == theirs.num_classes and initial.class_names in ((), tuple(class_names))
    own = net.state()
    state = initial.net.state()
    net.load_state(
        {name: own[name] if name.startswith(_CLASSIFIER) and not same else state[name] for name in own},
        source="--init_from",
    )
    return same


def weights_digest(net: Supernet) -> str:
    """Tells a supernet's weights from others, in 16 hexadecimal digits."""
    sha256 = hashlib.sha256()
    for name, value in sorted(net.state().items()):
        sha256.update(name.encode() + np.ascontiguousarray(value).tobytes())
    return sha256.hexdigest()[:16]
