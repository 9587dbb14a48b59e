"""PyTorch files, read as arrays and without running anything that is in them."""

import os
import pathlib
from typing import Any

import numpy as np

from ofa_tf.common import InputError


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch file, in either of its formats, by name.

    Raises:
        InputError: torch is missing, or the file cannot be read or holds something else.
    """
    try:
        import torch
    except ImportError:
        raise InputError(
            "reading PyTorch checkpoints needs torch, which is not installed; install it with: pip install torch"
        ) from None
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a PyTorch checkpoint; check the path")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError on a damaged file
        reason = str(error).split("\n")[0]
        raise InputError(f"{path}: cannot be read as a PyTorch checkpoint ({reason}); fetch it anew") from error
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    ):
        raise InputError(f"{path}: holds no state_dict of tensors; give a checkpoint of the authors' code")
    for name, value in content.items():
        dense = value.layout == torch.strided and value.device.type == "cpu"
        if not dense or value.is_quantized or value.is_complex():
            raise InputError(
                f"{path}: tensor {name} is {value.dtype}, {value.layout}, expected plain numbers; save it as float32"
            )
    # NumPy has no bfloat16, and nothing here needs more than float32.
    return {
        name: (value.float() if value.is_floating_point() else value).detach().numpy()
        for name, value in content.items()
    }
