"""`ImageDataset`: labelled images in named splits."""

import dataclasses
import functools
import hashlib
import json

from ofa_tf.common import InputError
from ofa_tf.data.split import Split


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """An image-classification data set.

    Args:
        name: as given to `load`.
        class_names: one per class; labels are indices into it.
        splits: "train", "holdout" (training images that are kept out of training, for decisions) and, where the data
            has one, "val" (the test set, for final reports only).
    """

    name: str
    class_names: tuple[str, ...]
    splits: dict[str, Split]

    @functools.cached_property
    def digest(self) -> str:
        """What was trained on and what was held out, in 16 hexadecimal digits: other images give another digest.

        Where they lie does not count: of a file, its class folder and name do.
        """
        sha256 = hashlib.sha256(json.dumps(self.class_names).encode())
        for name in ("train", "holdout"):
            split = self.split(name)
            sha256.update(f"{name} {len(split)}".encode())
            for index, label in zip(split.indices, split.labels, strict=True):
                sha256.update(f"{split.identity(int(index))} {label}\n".encode())
        return sha256.hexdigest()[:16]

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def split(self, name: str) -> Split:
        """The split of a name; raises `InputError`, naming those there are, where there is none."""
        if name not in self.splits:
            raise InputError(f"--split={name}: dataset {self.name} has no such split, it has {', '.join(self.splits)}")
        return self.splits[name]
