"""`ModelCache`: converted blocks and networks, kept on the disk, because converting takes longer than measuring."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import inspect
import json
import os
import pathlib
import threading
from collections.abc import Sequence

from mobile_bench import block_models
from ofa_tf.common import atomic_path
from ofa_tf.common.download import cache_folder
from ofa_tf.deploy import convert
from ofa_tf.deploy.runner import IDENTIFIER
from ofa_tf.networks import plain
from ofa_tf.spaces import Block, form

_CODE = (block_models, inspect.getmodule(convert), plain, form)
_PACKAGES = ("tensorflow", "keras")


class ModelCache:
    """Models of `block_models.model_bytes`, each converted once.

    What is kept belongs to the versions of the libraries and of the code that made it; others are made anew. Several
    threads may ask at once: one converts at a time.

    Args:
        folder: where they are kept, the user's cache folder unless given.

    Example:
        data = ModelCache().model(space.blocks(arch)[3:4], "int8", form="folded-rows")
    """

    def __init__(self, folder: str | os.PathLike | None = None):
        self._folder = cache_folder() / "models" if folder is None else pathlib.Path(folder)
        self._converting = threading.Lock()

    def model(self, blocks: Sequence[Block], precision: str, *, form: str, seed: int = 0) -> bytes:
        """The file, as `block_models.model_bytes` makes it from the same arguments."""
        words = [[dataclasses.asdict(block) for block in blocks], precision, form, seed, _made_by()]
        name = hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()
        path = self._folder / name[:2] / f"{name}.tflite"
        with self._converting:
            kept = path.read_bytes() if path.is_file() else b""
            if kept[4:8] == IDENTIFIER:
                return kept
            data = block_models.model_bytes(blocks, precision, form=form, seed=seed)
            with atomic_path(path) as temporary:
                temporary.write_bytes(data)
            return data


@functools.cache
def _made_by() -> list[str]:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    return [*versions, *(hashlib.sha256(inspect.getsource(module).encode()).hexdigest() for module in _CODE)]
