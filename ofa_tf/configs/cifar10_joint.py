"""CIFAR-10 without progressive shrinking: one random sub-network in every step, from the start, without a teacher.

What `cifar10.py` is compared with: the same space, data and number of image passes (40 times the training set).

    python -m tools.train --config=ofa_tf/configs/cifar10_joint.py --data_dir=cifar10 --run_dir=runs/cifar10_joint
"""

from ml_collections import ConfigDict

from ofa_tf.configs import cifar10


def get_config() -> ConfigDict:
    """The experiment."""
    config = cifar10.get_config()
    config.schedule = "joint"
    config.stages = {"joint": {"epochs": 40, "warmup_epochs": 0, "learning_rate": 0.16}}
    return config
