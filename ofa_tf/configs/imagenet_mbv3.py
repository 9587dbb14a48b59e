"""ImageNet, MobileNetV3 w1.0, by the published recipe: 64 images per device, on as many devices as there are.

    python -m tools.train --config=ofa_tf/configs/imagenet_mbv3.py --data_dir=tfds --run_dir=runs/imagenet

The images: `tfds build imagenet2012 --file_format=array_record --data_dir=tfds`, with the two archives of ILSVRC 2012
in `tfds/downloads/manual`.
10,000 training images are the validation split, for decisions and for the accuracy predictor; ImageNet's own validation
set is the test split, for the final report only. Learning rates are stated for one device and scale with their number
(32 published: 2,048 images a step); each stage but the short ones warms up from the rate of one device.

Published cost: 1,200 GPU hours on V100s. This project has no such machines and did not run it; what it ran is in
docs/results.

Source: docs/method.md, "Progressive shrinking".
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The experiment."""
    return ConfigDict(
        {
            "space": "ofa_mbv3_d234_e346_k357_w1.0",
            "dataset": "imagenet2012:5.1.0",
            "data_dir": "",
            "validation": 10_000,
            "data_seed": 0,
            "batch_size": 64,
            "base_batch_size": 64,
            "warmup_from_base_rate": True,
            "precision": "float32",
            "jit_compile": False,
            "recompute": False,
            "seed": 0,
            "momentum": 0.9,
            "weight_decay": 3e-5,
            "label_smoothing": 0.1,
            "kd_ratio": 1.0,
            "dropout": 0.1,
            "evaluate_every": 20,
            "checkpoint_minutes": 10.0,
            "checkpoint_steps": 0,
            "calibration_images": 2000,
            "stages": {
                # 2.6 at a batch of 2,048.
                "full": {"epochs": 180, "warmup_epochs": 5, "learning_rate": 2.6 / 32},
                "kernel": {"epochs": 120, "warmup_epochs": 5, "learning_rate": 3e-2},
                "depth1": {"epochs": 25, "warmup_epochs": 0, "learning_rate": 2.5e-3},
                "depth2": {"epochs": 120, "warmup_epochs": 5, "learning_rate": 7.5e-3},
                "expand1": {"epochs": 25, "warmup_epochs": 0, "learning_rate": 2.5e-3},
                "expand2": {"epochs": 120, "warmup_epochs": 5, "learning_rate": 7.5e-3},
            },
        }
    )
