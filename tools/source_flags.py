"""The flags that name a supernet and its images."""

import dataclasses

from absl import flags

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

    def values(self) -> dict[str, str | None]:
        """What was given, by the flags' names: the arguments of `specialize.open_source`."""
        return {field.name: getattr(self, field.name).value for field in dataclasses.fields(self)}


def define() -> SourceFlags:
    """Defines --run_dir, --supernet, --stage, --dataset and --data_dir."""
    return SourceFlags(
        flags.DEFINE_string("run_dir", None, "a run of tools.train"),
        flags.DEFINE_string(
            "supernet", None, "instead of a run: a supernet that ships, or the .npz of tools.import_ofa"
        ),
        flags.DEFINE_string(
            "stage", None, "the run's stage whose weights are used; the last finished one unless given"
        ),
        flags.DEFINE_string(
            "dataset", None, "folder, digits, or a TFDS name; the run's (of a supernet: folder) unless given"
        ),
        flags.DEFINE_string(
            "data_dir", None, "the images' folder; the run's (of a supernet that ships: its few photos) unless given"
        ),
    )
