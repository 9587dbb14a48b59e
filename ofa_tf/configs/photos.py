"""The user's own photos: a MobileNetV3 space of half width, resolutions 96 to 160.

    python -m tools.train --run_dir=runs/photos --dataset=folder --data_dir=DIR

The default of `tools.train`. The schedule is the published one's shape at a fifteenth of its length; more epochs help.
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
            "evaluate_every": 4,
            "checkpoint_minutes": 10.0,
            "checkpoint_steps": 0,
            "stages": {
                "full": {"epochs": 40, "warmup_epochs": 0, "learning_rate": 0.08},
                "kernel": {"epochs": 8, "warmup_epochs": 0, "learning_rate": 0.03},
                "depth1": {"epochs": 2, "warmup_epochs": 0, "learning_rate": 0.0025},
                "depth2": {"epochs": 8, "warmup_epochs": 0, "learning_rate": 0.0075},
                "expand1": {"epochs": 2, "warmup_epochs": 0, "learning_rate": 0.0025},
                "expand2": {"epochs": 8, "warmup_epochs": 0, "learning_rate": 0.0075},
            },
        }
    )
