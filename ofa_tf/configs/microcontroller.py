"""Your own photos on a board of 256 KB SRAM and 1 MB flash: space ofa_micro, 64 to 96 pixels.

    python -m tools.train --config=ofa_tf/configs/microcontroller.py --data_dir=DIR --run_dir=runs/micro

Sized so that every sub-network fits in int8, with 32 KB of SRAM and 128 KB of flash left for the rest: the largest at
96 pixels takes 219 KB of arena (147 KB activations at their peak, the rest is kept about its layers) and 707 KB of
file, 27.7 M MACs. docs/microcontrollers.md has the next steps.

The recipe is that of `photos.py`, with fewer passes. Expected accuracy and time: not trained yet.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The experiment."""
    return ConfigDict(
        {
            "space": "ofa_micro",
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
            "feature_ratio": 1.0,
            "stages": {
                "full": {"epochs": 24.5, "warmup_epochs": 0.5, "learning_rate": 0.05, "subnets_per_step": 1},
                "all": {"epochs": 21, "warmup_epochs": 1, "learning_rate": 0.03, "subnets_per_step": 1},
            },
        }
    )
