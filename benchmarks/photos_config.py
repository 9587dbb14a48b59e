"""Imagenette by recipes for people's photos from fresh weights, and short pilots of the first stage.

    python -m tools.train --config=benchmarks/photos_config.py:two_stages --data_dir=imagenette --run_dir=RUN

`python -m benchmarks.photos_recipe` runs them. 30 passes over 8,469 training images each, 1,000 held out, one seed.
`six_stages` is what `photos.py` had first, cut to 30 passes; `delayed` what it had next; `two_stages` what it has now.
"""

from ml_collections import ConfigDict

_SIX_STAGES = {
    "full": {"epochs": 18, "warmup_epochs": 0, "learning_rate": 0.08},
    "kernel": {"epochs": 3, "warmup_epochs": 0, "learning_rate": 0.03},
    "depth1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.0025},
    "depth2": {"epochs": 4, "warmup_epochs": 0, "learning_rate": 0.0075},
    "expand1": {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.0025},
    "expand2": {"epochs": 3, "warmup_epochs": 0, "learning_rate": 0.0075},
}
# Each stage on its own cosine; then the full network teaches all others, its answers and its maps.
_TAUGHT = {"batch_size": 32, "base_batch_size": 32, "decay": "stage", "kd_ratio": 1.0, "feature_ratio": 1.0}


def _stage(passes: int, warmup: float, rate: float) -> dict:
    return {"epochs": passes - warmup, "warmup_epochs": warmup, "learning_rate": rate, "subnets_per_step": 1}


# Smallest crop, weight decay, stages, and what else differs.
ROWS = {
    "delayed": (0.35, 1e-4, {"full": _stage(8, 0.5, 0.2), "all": _stage(22, 1.0, 0.2)}, {}),
    "six_stages": (0.08, 3e-5, _SIX_STAGES, {}),
    "two_stages": (0.35, 1e-4, {"full": _stage(16, 0.5, 0.05), "all": _stage(14, 1.0, 0.03)}, _TAUGHT),
}
# Batch, and the rate for it.
_PILOTED = ((64, 0.2), (32, 0.1), (32, 0.05))
PILOTS = {
    f"pilot_{size}_at_{rate}": (
        *(0.35, 1e-4, {"full": _stage(3, 0.5, rate)}),
        {"decay": "stage", "batch_size": size, "base_batch_size": size},
    )
    for size, rate in _PILOTED
}


def get_config(name: str = "two_stages") -> ConfigDict:
    """The experiment of a row.

    Args:
        name: a key of `ROWS` or `PILOTS`.
    """
    rows = ROWS | PILOTS
    if name not in rows:
        raise ValueError(f"--config=...:{name}: expected one of {', '.join(rows)}")
    crop, weight_decay, stages, others = rows[name]
    return ConfigDict(
        {
            "space": "ofa_mbv3_d234_e346_k357_w0.5",
            "dataset": "folder",
            "data_dir": "",
            "validation": 1000.0,
            "data_seed": 0,
            "batch_size": 64,
            "precision": "float32",
            "jit_compile": False,
            "recompute": False,
            "seed": 0,
            "weight_decay": weight_decay,
            "evaluate_every": 30,
            "checkpoint_minutes": 10.0,
            "checkpoint_steps": 0,
            "augmentation": {"crop_scale": (crop, 1.0)},
            "schedule": "progressive" if "kernel" in stages else "delayed",
            "stages": stages,
            **others,
        }
    )
