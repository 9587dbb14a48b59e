"""The supernet that ships as `ofa_imagenette_mbv3`: MobileNetV3 of half width, 96 to 160 pixels, ten kinds of photo.

Imagenette (short side 160): 8,469 of its training images to learn from, 1,000 for validation, drawn by `data_seed`.

    python -m tools.train --config=ofa_tf/configs/imagenette.py --data_dir=imagenette --run_dir=runs/imagenette

The shape is the published schedule's; it is cut to what two CPU cores do in two hours. With so few steps, smaller
batches (more updates), crops of at least a quarter of the image, and steeper last stages than the published ones pay.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The experiment."""
    return ConfigDict(
        {
            "space": "ofa_mbv3_d234_e346_k357_w0.5",
            "resolutions": (96, 112, 128, 144, 160),
            "dataset": "folder",
            "data_dir": "",
            "validation": 1000,
            "data_seed": 0,
            "batch_size": 32,
            "base_batch_size": 32,
            "precision": "float32",
            "seed": 0,
            "weight_decay": 1e-4,
            "evaluate_every": 10,
            "checkpoint_minutes": 10.0,
            "checkpoint_steps": 0,
            "augmentation": {"crop_scale": (0.25, 1.0)},
            "stages": {
                "full": {"epochs": 28, "warmup_epochs": 0, "learning_rate": 0.08},
                "kernel": {"epochs": 4, "warmup_epochs": 0, "learning_rate": 0.03},
                "depth1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.01},
                "depth2": {"epochs": 5, "warmup_epochs": 0, "learning_rate": 0.02},
                "expand1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.01},
                "expand2": {"epochs": 8, "warmup_epochs": 0, "learning_rate": 0.015},
            },
        }
    )
