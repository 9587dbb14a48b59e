"""A few hundred photos of your own: begins with a trained supernet and ends with one for the new classes.

    python -m tools.train --config=ofa_tf/configs/few_photos.py --init_from=ofa_efficientnet_lite --data_dir=DIR \\
        --run_dir=runs/few

First the largest network learns the new classes, then it teaches all sub-networks at once. The space and the
preprocessing are those of the supernet that it begins with. Rates and crops are those of
`tools.specialize --photos` for batches of 32 (docs/results/photos.md). That also fits a classifier before the first
step, and sub-networks learn maps of the largest one; here they do neither.
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
            "seed": 0,
            "weight_decay": 1e-4,
            "evaluate_every": 10,
            "checkpoint_minutes": 10.0,
            "checkpoint_steps": 0,
            "augmentation": {"crop_scale": (0.35, 1.0)},
            "schedule": "delayed",
            "decay": "stage",
            "kd_ratio": 1.0,
            "stages": {
                "full": {"epochs": 18, "warmup_epochs": 2, "learning_rate": 0.0141, "subnets_per_step": 1},
                "all": {"epochs": 27, "warmup_epochs": 3, "learning_rate": 0.0085, "subnets_per_step": 1},
            },
        }
    )
