"""Scikit-learn's handwritten digits on the tiny space: what `make demo` trains.

1,037 training images, 400 for validation, 360 for the test; all six stages of progressive shrinking.

    python -m tools.train --config=ofa_tf/configs/digits.py --run_dir=runs/digits

Expected on 2 CPU cores: two minutes, at least 98% on the validation split for the largest sub-network.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The experiment."""
    return ConfigDict(
        {
            "space": "ofa_tiny",
            "dataset": "digits",
            "data_dir": "",
            "validation": 400,
            "data_seed": 0,
            "batch_size": 64,
            "precision": "float32",
            "seed": 0,
            "evaluate_every": 100,
            "checkpoint_minutes": 10.0,
            "checkpoint_steps": 0,
            "calibration_images": 400,
            # Digits are not photos: a flip or a small crop makes another digit of them.
            "augmentation": {"crop_scale": (0.7, 1.0), "flip": False, "brightness": 0.125, "saturation": 0.0},
            "preprocessing": {"mean": (128 / 255,) * 3, "std": (128 / 255,) * 3, "crop_fraction": 1.0},
            "stages": {
                "full": {"epochs": 20, "warmup_epochs": 0, "learning_rate": 0.1},
                "kernel": {"epochs": 6, "warmup_epochs": 0, "learning_rate": 0.03},
                "depth1": {"epochs": 4, "warmup_epochs": 0, "learning_rate": 0.02},
                "depth2": {"epochs": 10, "warmup_epochs": 0, "learning_rate": 0.03},
                "expand1": {"epochs": 8, "warmup_epochs": 0, "learning_rate": 0.02},
                "expand2": {"epochs": 22, "warmup_epochs": 0, "learning_rate": 0.03},
            },
        }
    )
