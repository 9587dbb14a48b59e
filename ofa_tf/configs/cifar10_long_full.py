"""CIFAR-10 by progressive shrinking with a longer first stage: the second try, decided after the first one's result.

In `cifar10.py` the full network has ten epochs, ends at 64.7%, and then teaches all others, while the smallest
sub-network reaches 68.3% alone. Here it has eighteen. As many image passes as there, so that `cifar10_joint.py` and
`cifar10_sandwich.py` are what both are compared with: 18 + 2 + 2 * 1 + 2 * 1 + 4 * 1 + 4 * 3 = 40. Epochs, for
`cifar10_alone.py`: 18 + 2 + 1 + 1 + 1 + 3 = 26 (`--config.stages.full.epochs=26`).

    python -m tools.train --config=ofa_tf/configs/cifar10_long_full.py --data_dir=cifar10 --run_dir=runs/cifar10_long

Expected on 2 CPU cores: 22 minutes. Results: docs/results/cifar10.md.
"""

from ml_collections import ConfigDict

from ofa_tf.configs import cifar10


def get_config() -> ConfigDict:
    """The experiment."""
    config = cifar10.get_config()
    for stage, epochs in (("full", 18), ("depth2", 1), ("expand2", 3)):
        config.stages[stage].epochs = epochs
    return config
