"""Imagenette by two recipes for people's photos: today's `photos.py`, and the one that it had before; and short pilots.

    python -m tools.train --config=benchmarks/photos_config.py:delayed --data_dir=imagenette --run_dir=runs/delayed

`python -m benchmarks.photos_recipe` runs them all. 30 passes over 8,469 training images each, 1,000 held out, one seed.
"""

from ml_collections import ConfigDict

from ofa_tf.configs import photos

# The six stages that `photos.py` had, 68 passes in all, cut to 30 in their proportions.
_SIX_STAGES = {
    "full": {"epochs": 18, "warmup_epochs": 0, "learning_rate": 0.08},
    "kernel": {"epochs": 3, "warmup_epochs": 0, "learning_rate": 0.03},
    "depth1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.0025},
    "depth2": {"epochs": 4, "warmup_epochs": 0, "learning_rate": 0.0075},
    "expand1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.0025},
    "expand2": {"epochs": 3, "warmup_epochs": 0, "learning_rate": 0.0075},
}


def _delayed(full: float, all_: float, rate: float) -> dict:
    pace = {"learning_rate": rate, "subnets_per_step": 1}
    return {
        "full": {"epochs": full - 0.5, "warmup_epochs": 0.5, **pace},
        "all": {"epochs": all_ - 1, "warmup_epochs": 1.0, **pace},
    }


# Smallest crop, rate.
_PILOTED = {"rate_0.1": (0.35, 0.1), "rate_0.2": (0.35, 0.2), "rate_0.4": (0.35, 0.4), "crop_0.25": (0.25, 0.2)}
# Smallest crop, weight decay, stages.
ROWS = {"delayed": (0.35, 1e-4, _delayed(8, 22, 0.2)), "six_stages": (0.08, 3e-5, _SIX_STAGES)}
PILOTS = {f"pilot_{name}": (crop, 1e-4, _delayed(2, 6, rate)) for name, (crop, rate) in _PILOTED.items()}


def get_config(name: str = "delayed") -> ConfigDict:
    """The experiment of a row.

    Args:
        name: a key of `ROWS` or `PILOTS`.
    """
    rows = ROWS | PILOTS
    if name not in rows:
        raise ValueError(f"--config=...:{name}: expected one of {', '.join(rows)}")
    crop, weight_decay, stages = rows[name]
    config = photos.get_config()
    config.update({"validation": 1000, "weight_decay": weight_decay, "evaluate_every": 30})
    config.augmentation = ConfigDict({"crop_scale": (crop, 1.0)})
    config.schedule = "delayed" if "all" in stages else "progressive"
    config.stages = ConfigDict(stages)
    return config
