"""The user's own photos: a MobileNetV3 space of half width, resolutions 96 to 160.

    python -m tools.train --run_dir=runs/photos --dataset=folder --data_dir=DIR

The default of `tools.train`, from fresh weights: the full network first, then all sub-networks at once; more epochs
help. Rates are for batches of 64. In a comparison of 30 epochs the six stages of `imagenette.py` were better by 8 to 14
points, for a good half more computing; in pilots half of this rate was better, too (docs/results/imagenette.md).
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
            "batch_size": 64,
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
            "stages": {
                "full": {"epochs": 17.5, "warmup_epochs": 0.5, "learning_rate": 0.2, "subnets_per_step": 1},
                "all": {"epochs": 49, "warmup_epochs": 1, "learning_rate": 0.2, "subnets_per_step": 1},
            },
        }
    )
