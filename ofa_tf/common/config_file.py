"""`ConfigFileParser`: from the path that `--config` was given to the experiment, or to one line that says why not."""

import pathlib
import traceback

from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

PACKAGES = pathlib.Path(__file__).parents[2]


class ConfigFileParser(config_flags.ConfigFileFlagParser):
    """Reads "configs/x.py", or "configs/x.py:argument", whose `get_config` returns a `ConfigDict`.

    A file that the working folder does not have is looked for beside the installed packages, so that the experiments
    that ship are found by the same words from everywhere.
    """

    def parse(self, path: str) -> ConfigDict:
        """The locked experiment; `ValueError` in one line where there is none, which absl puts behind the flag."""
        file, colon, argument = path.partition(":")
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
        return config


def _reason(error: Exception, file: pathlib.Path) -> str:
    """What the file's own code did, and in which line."""
    if isinstance(error, AttributeError) and error.name == "get_config":
        return ": it has no function get_config()"
    # ml_collections raises these anew; of some the text is then the whole traceback.
    own = (error.__cause__ or error.__context__) if isinstance(error, (OSError, TypeError, ValueError)) else error
    lines = [frame.lineno for frame in traceback.extract_tb(own.__traceback__) if frame.filename == str(file)]
    return f"{f', line {lines[-1]}' if lines else ''}: {type(own).__name__}: {own}"
