"""What each binary says of itself: its docstring and its flags, read from its module without TensorFlow."""

import dataclasses
import importlib
import multiprocessing
import pathlib
import runpy
import sys
from unittest import mock

from absl import flags

from ofa_tf.common import cli


@dataclasses.dataclass(frozen=True)
class Flag:
    """One flag.

    Args:
        name: without dashes.
        boolean: whether it is given as --name or --noname.
        values: what it may be, where that is a choice of words.
        takes: what it may be, in words.
        default: as it is written in a command; "" for none.
        required: whether a command must have it.
        what: its help.
    """

    name: str
    boolean: bool
    values: tuple[str, ...]
    takes: str
    default: str
    required: bool
    what: str

    @staticmethod
    def of(flag: flags.Flag) -> "Flag":
        """Reads one of absl's flags."""
        values = tuple(getattr(flag.parser, "enum_values", ()))
        # absl puts the choices before the help, and keeps nowhere else that a flag is required.
        what = flag.help.removeprefix(f"<{'|'.join(values)}>: ")
        required = any("must have a value other than None" in validator.message for validator in flag.validators)
        takes = flag.parser.syntactic_help or {"string": "text"}.get(flag.parser.flag_type(), flag.parser.flag_type())
        default = (flag.default_as_str or "").strip("'")
        return Flag(flag.name, bool(flag.boolean), values, takes, default, required, what)


@dataclasses.dataclass(frozen=True)
class Command:
    """A binary: its module's name, its docstring, and its flags by the module that defines them, its own first."""

    name: str
    manual: str
    flags: dict[str, tuple[Flag, ...]]


def scripts(root: pathlib.Path) -> dict[str, str]:
    """The installed command of each binary that setup.py names."""
    given = {}
    with mock.patch("setuptools.setup", given.update):
        runpy.run_path(str(root / "setup.py"))
    pairs = (entry.split(" = ") for entry in given["entry_points"]["console_scripts"])
    return {target.partition(":")[0]: script for script, target in pairs}


def read(name: str) -> Command:
    """What a binary says of itself. Its flags become those of this process, so there can be one only."""
    sys.argv = [name]
    manual = importlib.import_module(name).__doc__
    found = flags.FLAGS.flags_by_module_dict()
    return Command(name, manual, {it: tuple(map(Flag.of, found[it])) for it in cli.flag_modules(name) if it in found})


def read_all(names: list[str]) -> list[Command]:
    """The same of many, each in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "ml_collections.config_flags"])
    with context.Pool(2, maxtasksperchild=1) as pool:
        return pool.map(read, names, chunksize=1)
