"""The flags that name a supernet and its images."""

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from absl import flags

from ofa_tf.common.resizing import RESIZES

if TYPE_CHECKING:
    from ofa_tf.specialize import Opened

# The flags that are defined here are the binary's own, and stand in its --help.
flags.disclaim_key_flags()


@dataclasses.dataclass(frozen=True)
class SourceFlags:
    """What `define` defined."""

    run_dir: flags.FlagHolder
    supernet: flags.FlagHolder
    stage: flags.FlagHolder
    dataset: flags.FlagHolder
    data_dir: flags.FlagHolder
    validation: flags.FlagHolder
    resize: flags.FlagHolder

    def values(self) -> dict[str, Any]:
        """What was given, by the flags' names: the arguments of `specialize.open_source`."""
        return {field.name: getattr(self, field.name).value for field in dataclasses.fields(self)}

    def open(self, *, other_classes: bool = False) -> "Opened":
        """The supernet and its images, of which is said how many there are."""
        from ofa_tf.specialize import open_source

        opened = open_source(**self.values(), other_classes=other_classes)
        print(opened.dataset.found(), file=sys.stderr)
        return opened


def define_validation() -> flags.FlagHolder:
    """Defines --validation."""
    return flags.DEFINE_float(
        "validation",
        None,
        "training images that are held out: a number, or a fraction below 1; unless given the folder validation/, else "
        "as in the run or the config, of other images a tenth",
    )


def define() -> SourceFlags:
    """Defines --run_dir, --supernet, --stage, --dataset, --data_dir, --validation and --resize."""
    return SourceFlags(
        flags.DEFINE_string("run_dir", None, "a run of tools.train"),
        flags.DEFINE_string(
            "supernet", None, "instead of a run: a supernet that ships, or an .npz of tools.pack_supernet or import_ofa"
        ),
        flags.DEFINE_string(
            "stage", None, "the run's stage whose weights are used; the last finished one unless given"
        ),
        flags.DEFINE_string(
            "dataset", None, "folder, digits, a TFDS name or a path; the run's (of a supernet: folder) unless given"
        ),
        flags.DEFINE_string(
            "data_dir", None, "the images' folder; the run's (of a supernet that ships: its few photos) unless given"
        ),
        define_validation(),
        flags.DEFINE_enum(
            "resize",
            None,
            list(RESIZES),
            "how photos become squares: crop keeps proportions, stretch does not, as in MediaPipe; as the supernet's "
            "did unless given",
        ),
    )
