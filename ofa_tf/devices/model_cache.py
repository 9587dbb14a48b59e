"""`ModelCache`: converted blocks and networks, kept on the disk, because converting takes longer than measuring."""

import dataclasses
import fcntl
import functools
import hashlib
import importlib.metadata
import inspect
import json
import os
import pathlib
from collections.abc import Sequence

from ofa_tf.common import atomic_path, form
from ofa_tf.common.download import cache_folder
from ofa_tf.deploy import convert
from ofa_tf.deploy.runner import IDENTIFIER
from ofa_tf.devices import block_models
from ofa_tf.networks import plain
from ofa_tf.spaces import Block

_CODE = (block_models, inspect.getmodule(convert), inspect.getmodule(Block), plain, form)
_PACKAGES = ("tensorflow", "keras")


class ModelCache:
    """Models of `block_models.model_bytes`, each converted once.

    What is kept belongs to the versions of the libraries and of the code that made it; others are made anew. Several
    processes may ask at once: one converts, the others wait for its file.

    Args:
        folder: where they are kept, the user's cache folder unless given.

    Example:
        path = ModelCache().file(space.blocks(arch)[3:4], "int8", form="folded-rows")
    """

    def __init__(self, folder: str | os.PathLike | None = None):
        self.folder = cache_folder() / "models" if folder is None else pathlib.Path(folder)

    def file(self, blocks: Sequence[Block], precision: str, *, form: str, seed: int = 0) -> pathlib.Path:
        """The `.tflite` file that `block_models.model_bytes` makes of the same arguments."""
        # A block's name says where it stands, not what it is.
        fields = [{**dataclasses.asdict(block), "name": ""} for block in blocks]
        words = [fields, precision, form, seed, _made_by()]
        name = hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()
        path = self.folder / name[:2] / f"{name}.tflite"
        if _is_kept(path):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_kept(path):
                data = block_models.model_bytes(blocks, precision, form=form, seed=seed)
                with atomic_path(path) as temporary:
                    temporary.write_bytes(data)
        return path


def _is_kept(path: pathlib.Path) -> bool:
    try:
        with path.open("rb") as opened:
            return opened.read(8)[4:] == IDENTIFIER
    except FileNotFoundError:
        return False


@functools.cache
def _made_by() -> list[str]:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    return [*versions, *(hashlib.sha256(inspect.getsource(module).encode()).hexdigest() for module in _CODE)]
