"""Three classes of CIFAR-10, 100 images each, up-sampled to 96 pixels, from scratch: what `--photos` is compared with.

    python -m benchmarks.transfer --images=cifar10 --classes=3 --scratch --output=benchmarks/results/transfer.json

runs both. All stages of progressive shrinking with 100 passes over the images (50 + 8 + 2 * 1 + 2 * 4 + 4 * 1 + 4 * 7)
and the larger rates that fresh weights need.
"""

from ml_collections import ConfigDict

from ofa_tf.configs import few_photos


def get_config() -> ConfigDict:
    """The experiment."""
    config = few_photos.get_config()
    config.resolutions = (96,)
    config.schedule = "progressive"
    config.augmentation.crop_scale = (0.25, 1.0)
    config.stages = {
        "full": {"epochs": 50, "warmup_epochs": 0, "learning_rate": 0.08},
        "kernel": {"epochs": 8, "warmup_epochs": 0, "learning_rate": 0.03},
        "depth1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.01},
        "depth2": {"epochs": 4, "warmup_epochs": 0, "learning_rate": 0.02},
        "expand1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.01},
        "expand2": {"epochs": 7, "warmup_epochs": 0, "learning_rate": 0.015},
    }
    return config
