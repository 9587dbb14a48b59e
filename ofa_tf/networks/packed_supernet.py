"""`PackedSupernet`: a supernet in one file, with what its users must know."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ofa_tf.common import InputError, RecordFormat
from ofa_tf.common.splits import with_validation
from ofa_tf.networks.supernet import Supernet, build
from ofa_tf.spaces import Space, from_config

FORMAT = RecordFormat("ofa_tf supernet", "make one with tools.pack_supernet or tools.import_ofa")

DTYPES = ("float32", "float16")


@dataclasses.dataclass(frozen=True, eq=False)
class PackedSupernet:
    """A supernet and what its weights expect, apart from the run that trained it.

    Args:
        net: the supernet.
        preprocessing: `data.Preprocessing` as JSON-ready data; empty for the published one.
        augmentation: `data.Augmentation` of the images that calibrate, likewise.
        class_names: what the outputs mean, empty where that is not known (a checkpoint that was imported and is none of
            the published ones).
        dataset: what it was trained on, empty where that is not known: the arguments `validation` and `seed` of
            `data.load`, from which its validation split follows, and the `digest` of the images.
        provenance: where the weights come from, JSON-ready.

    Example:
        PackedSupernet(net, class_names=("cat", "dog")).save("pets.npz", dtype="float16")
        net = PackedSupernet.load("pets.npz").net
    """

    net: Supernet
    preprocessing: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    augmentation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    dataset: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        _check_names(self.class_names, self.net.space)

    @property
    def is_native(self) -> bool:
        """Whether its largest sub-network is a published network as it was, whose moving statistics are its own."""
        return "network" in self.provenance

    def save(self, path: str | os.PathLike, *, dtype: str = "float32") -> None:
        """Writes the file atomically.

        Args:
            path: `.npz`.
            dtype: of convolution and dense kernels; "float16" halves the file. All else stays float32.
        """
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype!r} is unknown; known are {', '.join(DTYPES)}")
        fields = {
            "space": self.net.space.to_config(),
            "preprocessing": dict(self.preprocessing),
            "augmentation": dict(self.augmentation),
            "class_names": list(self.class_names),
            "dataset": dict(self.dataset),
            "provenance": dict(self.provenance),
        }
        # Statistics and normalization keep their range: a variance may be below float16's smallest number.
        arrays = {
            f"net/{name}": value.astype(dtype) if name.endswith("/kernel") else value
            for name, value in self.net.state().items()
        }
        FORMAT.save_npz(path, fields, arrays, compress=dtype != "float32")

    @staticmethod
    def load(path: str | os.PathLike) -> "PackedSupernet":
        """Reads what `save` wrote.

        Raises:
            InputError: the file is missing, damaged, of a newer format, or something else.
        """
        fields, arrays = FORMAT.load_npz(path)
        with FORMAT.reading(path):
            space = from_config(fields["space"])
            facts = {key: fields[key] for key in ("preprocessing", "augmentation", "dataset", "provenance")}
            class_names = tuple(fields["class_names"])
            if not all(isinstance(fact, dict) for fact in facts.values()):
                raise InputError(f"expected an object for each of {', '.join(facts)}")
            # Before a network is made.
            _check_names(class_names, space)
            facts["dataset"] = with_validation(facts["dataset"], "dataset")
            weights = sum(value.size for value in arrays.values())
            # Before that many are made: there may not be the memory.
            if space.supernet_params > weights:
                raise InputError(f"holds {weights} weights, its space has {space.supernet_params}")
            net = build(space)
        state = {
            name.removeprefix("net/"): value.astype(np.float32) if value.dtype.kind == "f" else value
            for name, value in arrays.items()
        }
        net.load_state(state, source=str(path))
        return PackedSupernet(net, class_names=class_names, **facts)


def _check_names(class_names: tuple, space: Space) -> None:
    if not all(isinstance(name, str) for name in class_names):
        raise InputError("class_names are not all names")
    if len(class_names) not in (0, space.num_classes):
        raise InputError(f"names {len(class_names)} classes, its space has {space.num_classes}")
