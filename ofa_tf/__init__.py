"""Once-for-All networks for TensorFlow: train one supernet, ship a TFLite file for every device."""

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ofa_tf.specialize import specialize

__all__ = ["specialize"]

# TensorFlow uses oneDNN's kernels by itself only on some processors. On one with AVX2 and no AVX-512 a training step
# took half as long with them. It reads this when it is imported; a value that is set already is kept.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"


def __getattr__(name: str):
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
