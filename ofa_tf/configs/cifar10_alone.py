"""CIFAR-10, one uniform sub-network of the space of `cifar10.py` alone, at 32 pixels, for as many epochs (21).

    python -m tools.train --config=ofa_tf/configs/cifar10_alone.py:d4_e6_k7 --data_dir=cifar10 --run_dir=runs/alone

The comparison takes d4_e6_k7, d4_e3_k3, d2_e6_k7 and d2_e3_k3.
"""

import re

from ml_collections import ConfigDict

from ofa_tf.configs import cifar10


def get_config(subnet: str = "d4_e6_k7") -> ConfigDict:
    """The experiment.

    Args:
        subnet: d, e and ks of all stages, written as "d2_e3_k5".
    """
    match = re.fullmatch(r"d([234])_e([346])_k([357])", subnet)
    if match is None:
        raise ValueError(f"--config=...:{subnet}: expected a sub-network such as d2_e3_k5")
    config = cifar10.get_config()
    config.choices = {name: (int(value),) for name, value in zip(("d", "e", "ks"), match.groups(), strict=True)}
    config.resolutions = (32,)
    config.stages = {"full": {"epochs": 21, "warmup_epochs": 0, "learning_rate": 0.16}}
    return config
