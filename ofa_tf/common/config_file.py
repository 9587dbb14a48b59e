"""`ConfigFileParser`: from the path that `--config` was given to the experiment, or to one line that says why not."""

import fnmatch
import pathlib
import re
import sys
import traceback
from collections.abc import Collection

from absl import flags
from ml_collections import ConfigDict, config_dict
from ml_collections.config_flags import config_flags

from ofa_tf.common.files import expanded

PACKAGES = pathlib.Path(__file__).parents[2]


class ConfigFileParser(config_flags.ConfigFileFlagParser):
    """Reads "configs/x.py", or "configs/x.py:argument", whose `get_config` returns a `ConfigDict`.

    A file that the working folder does not have is looked for beside the installed packages, so that the experiments
    that ship are found by the same words from everywhere. Fields that the command line overrides and the file leaves
    at their defaults are added, as far as `optional` names them; "*" in a name stands for any part.
    """

    def __init__(self, name: str, optional: Collection[str] = ()):
        super().__init__(name)
        self.optional = optional

    def parse(self, path: str) -> ConfigDict:
        """The locked experiment; `ValueError` in one line where there is none, which absl puts behind the flag."""
        file, colon, argument = path.partition(":")
        file = str(expanded(file))
        found = next((it for it in (pathlib.Path(file), PACKAGES / file) if it.is_file()), None)
        if found is None:
            shipped = sorted(it.stem for it in (PACKAGES / "ofa_tf" / "configs").glob("[!_]*.py"))
            raise ValueError(
                f"there is no file {file!r}; give the path of your own, or of one that ships, ofa_tf/configs/NAME.py, "
                f"where NAME is one of {', '.join(shipped)}"
            )
        try:
            config = super().parse(f"{found}{colon}{argument}")
            # ml_collections keeps an OSError of the file for the first access to a field.
            is_config = hasattr(config, "is_locked")
        except Exception as error:
            raise ValueError(f"the file cannot be used{_reason(error, found)}") from error
        if not is_config:
            raise ValueError(f"get_config() gives {type(config).__name__}, expected ml_collections.ConfigDict")
        with config.unlocked():
            for field in self._overridden():
                _make_room(config, field)
        return config

    def _overridden(self) -> list[str]:
        """The fields that the command line names, of those that a file may leave out."""
        arguments = flags.FLAGS.read_flags_from_files(sys.argv[1:], force_gnu=False)
        named = [re.match(rf"--?(?:no)?{self.name}\.([^=]+)", argument) for argument in arguments]
        return [match[1] for match in named if match and any(fnmatch.fnmatch(match[1], name) for name in self.optional)]


# None is a value of these: the schedule's own.
_OR_NONE = ("decay", "kd_ratio")


def _make_room(config: ConfigDict, field: str) -> None:
    """A field that takes any value of the command line, where there is none yet."""
    *parents, last = field.split(".")
    for parent in parents:
        if config.get(parent) is None:
            config[parent] = ConfigDict()
        config = config[parent]
        if not isinstance(config, ConfigDict):
            return
    if config.get(last) is None or last in _OR_NONE:
        config[last] = config_dict.placeholder(object)
    elif last in ("validation", "holdout", "epochs", "warmup_epochs") and isinstance(config[last], int):
        # A number of images, or a fraction; passes over them may have a fraction.
        with config.ignore_type():
            config[last] = float(config[last])


def _reason(error: Exception, file: pathlib.Path) -> str:
    """What the file's own code did, and in which line."""
    if isinstance(error, AttributeError) and error.name == "get_config":
        return ": it has no function get_config()"
    # ml_collections raises these anew; of some the text is then the whole traceback.
    own = (error.__cause__ or error.__context__) if isinstance(error, (OSError, TypeError, ValueError)) else error
    lines = [frame.lineno for frame in traceback.extract_tb(own.__traceback__) if frame.filename == str(file)]
    return f"{f', line {lines[-1]}' if lines else ''}: {type(own).__name__}: {own}"
