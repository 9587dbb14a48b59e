"""The names by which commands are called, in texts for users."""

import pathlib
import re

# A wheel has the commands inside the package, where a user's own folder "tools" cannot hide them.
_INSTALLED = (pathlib.Path(__file__).parents[1] / "tools").is_dir()
_MODULE = re.compile(r"(?<![\w./-])(?:python -m\s+)?(?:mobile_bench|tools)\.([a-z_]+)(?![\w/-]|\.\w)")


def as_called(text: str, installed: bool = _INSTALLED) -> str:
    """A text with its commands named as they are called here.

    Messages and manuals name a command by its module, "tools.search" or "python -m tools.search". That is how it is
    called in a checkout; where a wheel is installed, it is "ofa-search". Errors and `--help` are passed through this.

    Args:
        text: what a user will read.
        installed: whether a wheel is; found out unless given.

    Example:
        print(as_called("tools.fit_accuracy_predictor fits the predictor anew"))
    """
    return _MODULE.sub(lambda found: f"ofa-{found[1].replace('_', '-')}", text) if installed else text
