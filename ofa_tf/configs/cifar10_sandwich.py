"""CIFAR-10 in one stage by the sandwich rule: largest, smallest and two random ones in every step, taught in place.

As many image passes as `cifar10.py`: 4 sub-networks * 10 epochs = 40 times the training set. The gradients of a step's
four sub-networks are summed, hence half of the learning rate.

    python -m tools.train --config=ofa_tf/configs/cifar10_sandwich.py --data_dir=cifar10 --run_dir=runs/cifar10_sandwich
"""

from ml_collections import ConfigDict

from ofa_tf.configs import cifar10


def get_config() -> ConfigDict:
    """The experiment."""
    config = cifar10.get_config()
    config.schedule = "sandwich"
    config.stages = {"sandwich": {"epochs": 10, "warmup_epochs": 0, "learning_rate": 0.08}}
    return config
