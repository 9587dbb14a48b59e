"""How every binary starts and ends: flags, one-line errors, exit codes, no chatter.

A binary's module docstring is its manual, which `--help` prints with its flags. Imports that reach TensorFlow stand
inside `main`: `--help` and a mistyped flag then answer at once, and `run` has silenced TensorFlow before it loads.

Example:
    from absl import flags
    from ofa_tf.common import cli

    _OUTPUT = flags.DEFINE_string("output", None, "the .tflite file to write", required=True)

    def main(argv):
        from ofa_tf import deploy
        deploy.Network(...).export(_OUTPUT.value)

    def run():
        cli.run(main)

    if __name__ == "__main__":
        run()

Exit codes: 0, done (and `--help`); 1, the work failed (`OfaError`: one line; a bug: its traceback); 2, the command line
or an input cannot be used (one line); 130, interrupted; 141, the reader of stdout went away (`| head`).
"""

import math
import os
import pathlib
import select
import sys
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any, NoReturn

from absl import app, flags

from ofa_tf.common.commands import as_called
from ofa_tf.common.errors import OfaError, brief
from ofa_tf.common.files import expanded
from ofa_tf.common.quiet import quiet_tensorflow

# The flags that this module defines for a binary are that binary's own.
flags.disclaim_key_flags()

USAGE_EXIT_CODE = 2
INTERRUPTED_EXIT_CODE = 130
BROKEN_PIPE_EXIT_CODE = 141
# Only messages that quote external text are longer.
_ERROR_CHARACTERS = 2000


def run(main: Callable[[Sequence[str]], Any]) -> NoReturn:
    """Parses the flags, calls `main([program])`, defined in the binary's own module, and exits the process."""
    quiet_tensorflow()
    if hasattr(sys.stdout, "reconfigure"):
        # Paths may have bytes that are no UTF-8.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Without the line of code that warns.
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    try:
        _run(main)
    except OfaError as error:
        _exit(error.exit_code, f"error: {error}")
    except KeyboardInterrupt:
        _exit(INTERRUPTED_EXIT_CODE, "interrupted")
    except BrokenPipeError:
        if not _reader_is_gone(1):
            raise
        # The rest of the buffer would fail again, with a message, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(BROKEN_PIPE_EXIT_CODE)
    except OSError as error:
        # A path that a flag gave, and that the system refuses.
        if error.filename is None or isinstance(error, FileNotFoundError):
            raise
        _exit(USAGE_EXIT_CODE, f"error: {error.filename}: {error.strerror}; check the path and its permissions")


def define_config(default: str | None, help_text: str, optional: Collection[str] = ()) -> flags.FlagHolder:
    """Defines `--config`, an ml_collections file, with fields that `--config.name=value` overrides.

    Fields that a file may leave out are overridden, too, where `optional` names them ("stages.*.epochs").

    A file that the working folder does not have is looked for beside the installed packages. The flag's value is a
    locked `ConfigDict`.
    """
    from ml_collections import config_flags

    from ofa_tf.common.config_file import ConfigFileParser

    try:
        holder = config_flags.DEFINE_config_file("config", None, help_text)
        flags.FLAGS["config"].parser = ConfigFileParser("config", optional)
        # This already reads sys.argv for the overrides of the default file.
        flags.FLAGS.set_default("config", default)
    except flags.Error as error:
        _usage_error(str(error))
    except (AttributeError, KeyError) as error:
        _usage_error(f"--config: {default} has no field {_innermost(error)}")
    return holder


def config_overrides() -> dict[str, Any]:
    """The fields of `--config` that the command line gives, by their dotted names."""
    return dict(flags.FLAGS["config"].override_values)


def _run(main: Callable[[Sequence[str]], Any]) -> None:
    def call(argv: Sequence[str]) -> None:
        main(argv)

    try:
        app.run(call, flags_parser=lambda argv: _parse(argv, main))
    except SystemExit:
        if sys.stdout is not None:
            sys.stdout.flush()
        raise


def _reader_is_gone(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _parse(argv: Sequence[str], main: Callable) -> list[str]:
    own = argv[1 : argv.index("--")] if "--" in argv else argv[1:]
    if any(argument in ("--help", "-help", "-h", "-?", "--helpshort", "-helpshort") for argument in own):
        print(_help(main))
        sys.exit(0)
    try:
        argv = [argv[0], *_with_homes(argv[1:])]
        # The overrides of a config are looked for there.
        sys.argv = argv
        rest = flags.FLAGS(argv)[1:]
    except SystemExit:
        # Only absl's --helpfull and --helpxml end here; they answer what was asked.
        sys.exit(0)
    except flags.Error as error:
        _usage_error(str(error))
    except (AttributeError, KeyError) as error:
        if not any(argument.lstrip("-").startswith("config.") for argument in own):
            raise
        _usage_error(f"--config: its file has no field {_innermost(error)}{_renamed(own)}")
    _check_finite()
    if rest:
        _usage_error(f"unexpected argument {rest[0]!r}, expected only flags such as --name=value")
    return list(argv[:1])


def _check_finite() -> None:
    """absl takes nan and inf for numbers, and nan passes any limits of a flag: a check against it then never fails."""
    for name in flags.FLAGS:
        value = flags.FLAGS[name].value
        if isinstance(value, float) and not math.isfinite(value):
            _usage_error(f"flag --{name}={value}: expected a finite number")


def _with_homes(arguments: Sequence[str]) -> list[str]:
    """Arguments in which "~" is the home folder, also behind "=" and in lists, where shells leave it as it is."""
    found = []
    for argument in arguments:
        name, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
        if "~" in value:
            value = ",".join(map(expanded, value.split(",")))
        found.append(f"{name}{equals}{value}")
    return found


def _renamed(arguments: Sequence[str]) -> str:
    former = any(argument.lstrip("-").startswith("config.holdout") for argument in arguments)
    return "; holdout is called validation now" if former else ""


def _innermost(error: BaseException) -> str:
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    # Not str(error), which for a KeyError quotes and escapes the text again.
    return str(error.args[0]) if error.args else repr(error)


def flag_modules(own: str) -> list[str]:
    """The modules whose flags a binary has: `own`, its module's name, first; absl's own left out."""
    others = [name for name in flags.FLAGS.flags_by_module_dict() if name != own and not name.startswith("absl.")]
    return [own, *sorted(others)]


def _help(main: Callable) -> str:
    own = sys.argv[0] if main.__module__ == "__main__" else main.__module__
    sections = [main.__globals__.get("__doc__") or "", f"Usage: {_program()} [--flag=value ...]"]
    sections += [flags.FLAGS.module_help(name) for name in flag_modules(own)]
    sections.append(f"{_program()} --helpfull lists the flags of the libraries too.")
    return as_called("\n\n".join(section.strip("\n") for section in sections if section.strip()))


def _program() -> str:
    spec = sys.modules["__main__"].__spec__
    return f"python -m {spec.name}" if spec else pathlib.Path(sys.argv[0]).name


def _usage_error(message: str) -> NoReturn:
    _exit(USAGE_EXIT_CODE, f"error: {message}; see --help")


def _exit(code: int, message: str) -> NoReturn:
    print(f"{_program()}: {brief(message, _ERROR_CHARACTERS)}", file=sys.stderr)
    sys.exit(code)
