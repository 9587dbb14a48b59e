"""Three classes of CIFAR-10, 100 images each, up-sampled to 96 pixels: from a trained supernet, or from scratch.

    python -m benchmarks.transfer --cifar10=DIR --output=benchmarks/results/transfer.json

runs both: `transfer.py:imagenette`, which is `few_photos.py` at one resolution, with `--init_from=ofa_imagenette_mbv3`,
and `transfer.py:scratch`, all stages of progressive shrinking with as many image passes (20 + 4 * 20 = 100 times the
images; from scratch 50 + 8 + 2 * 1 + 2 * 4 + 4 * 1 + 4 * 7) and the larger rates that fresh weights need.
"""

from ml_collections import ConfigDict

from ofa_tf.configs import few_photos


def get_config(start: str = "imagenette") -> ConfigDict:
    """The experiment.

    Args:
        start: "imagenette" or "scratch".
    """
    config = few_photos.get_config()
    config.resolutions = (96,)
    if start == "scratch":
        config.stages = {
            "full": {"epochs": 50, "warmup_epochs": 0, "learning_rate": 0.08},
            "kernel": {"epochs": 8, "warmup_epochs": 0, "learning_rate": 0.03},
            "depth1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.01},
            "depth2": {"epochs": 4, "warmup_epochs": 0, "learning_rate": 0.02},
            "expand1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.01},
            "expand2": {"epochs": 7, "warmup_epochs": 0, "learning_rate": 0.015},
        }
    elif start != "imagenette":
        raise ValueError(f"--config=...:{start}: expected imagenette or scratch")
    return config
