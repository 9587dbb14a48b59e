"""The user's own photos: a MobileNetV3 space of half width, resolutions 96 to 160.

    python -m tools.train --run_dir=runs/photos --dataset=folder --data_dir=DIR

The default of `tools.train`, from fresh weights: the full network first, then all sub-networks at once, taught by its
answers and its maps; more epochs help. With 30 epochs, 16 and 14, it was ahead of the two recipes before it by 7 to 21
points (docs/results/imagenette.md). A space of several widths needs `--config.feature_ratio=0`.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The experiment."""
    return ConfigDict(
        {
            "space": "ofa_mbv3_d234_e346_k357_w0.5",
            "dataset": "folder",
            "data_dir": "",
            "validation": 0.1,
            "data_seed": 0,
            "batch_size": 32,
            "base_batch_size": 32,
            "precision": "float32",
            "jit_compile": False,
            "recompute": False,
            "seed": 0,
            "weight_decay": 1e-4,
            "evaluate_every": 4,
            "checkpoint_minutes": 10.0,
            "checkpoint_steps": 0,
            "augmentation": {"crop_scale": (0.35, 1.0)},
            "schedule": "delayed",
            "decay": "stage",
            "kd_ratio": 1.0,
            "feature_ratio": 1.0,
            "stages": {
                "full": {"epochs": 35.5, "warmup_epochs": 0.5, "learning_rate": 0.05, "subnets_per_step": 1},
                "all": {"epochs": 31, "warmup_epochs": 1, "learning_rate": 0.03, "subnets_per_step": 1},
            },
        }
    )
