"""`ImageDataset`: labelled images in named splits."""

import dataclasses

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

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def split(self, name: str) -> Split:
        """The split of a name; raises `InputError`, naming those there are, where there is none."""
        if name not in self.splits:
            raise InputError(f"--split={name}: dataset {self.name} has no such split, it has {', '.join(self.splits)}")
        return self.splits[name]
