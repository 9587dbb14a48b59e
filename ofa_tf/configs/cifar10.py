"""CIFAR-10 by progressive shrinking, on a space of 4 M MACs: the method's own claims, remade on two CPU cores.

45,000 training images to learn from, 5,000 held out by `data_seed`; the test set is not used.

    python -m tools.train --config=ofa_tf/configs/cifar10.py --data_dir=cifar10 --run_dir=runs/cifar10

The published schedule's shape, with its learning rate per image. `cifar10_joint.py` and `cifar10_sandwich.py` train the
same space with as many image passes (an image through one sub-network, forward and back; the teacher's are not
counted): 10 + 2 + 2 * 1 + 2 * 3 + 4 * 1 + 4 * 4 = 40 times the training set. `cifar10_alone.py` trains one sub-network
for as many epochs: 10 + 2 + 1 + 3 + 1 + 4 = 21.

Expected on 2 CPU cores: 30 minutes. Results: docs/results/cifar10.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The experiment."""
    return ConfigDict(
        {
            "space": "ofa_cifar",
            "dataset": "folder",
            "data_dir": "",
            "holdout": 5000,
            "data_seed": 0,
            "batch_size": 128,
            "base_batch_size": 128,
            "seed": 0,
            "weight_decay": 1e-4,
            "evaluate_every": 5,
            "checkpoint_minutes": 10.0,
            "checkpoint_steps": 0,
            "augmentation": {"crop_scale": (0.4, 1.0)},
            # Nothing is cut off an image that is small already.
            "preprocessing": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "crop_fraction": 1.0},
            "stages": {
                "full": {"epochs": 10, "warmup_epochs": 0, "learning_rate": 0.16},
                "kernel": {"epochs": 2, "warmup_epochs": 0, "learning_rate": 0.06},
                "depth1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.02},
                "depth2": {"epochs": 3, "warmup_epochs": 0, "learning_rate": 0.04},
                "expand1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.02},
                "expand2": {"epochs": 4, "warmup_epochs": 0, "learning_rate": 0.04},
            },
        }
    )
