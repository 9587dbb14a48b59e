"""Errors that are shown to a user as one line; everything else is a bug and keeps its traceback."""

import os
from typing import Any

from ofa_tf.common.commands import as_called


def brief(found: Any, characters: int = 200) -> str:
    """Text of another program or file as one printable line of so many characters at most, the middle left out.

    Example:
        raise InputError(f"{path}: found {brief(fields)}, expected count and mean")
    """
    line = "".join(character if character.isprintable() else "?" for character in " ".join(str(found).split()))
    if len(line) <= characters:
        return line
    first = (characters - 5) // 2
    return f"{line[:first]} ... {line[first + 5 - characters :]}"


def printable(text: str) -> str:
    """A name in one line, as it is but for what no terminal shows: control characters, and bytes that are not UTF-8."""
    return "".join(
        letter if letter.isprintable() else os.fsencode(letter).decode(errors="backslashreplace")
        if 0xDC80 <= ord(letter) <= 0xDCFF else letter.encode("unicode_escape").decode()
        for letter in text
    )  # fmt: skip


class OfaError(Exception):
    """Work that was asked for correctly failed. Binaries print the message and exit with code 1.

    A message names a command by its module ("tools.search"), and reads as the command is called (see `as_called`).
    """

    exit_code = 1

    def __init__(self, message: str = ""):
        super().__init__(as_called(message))


class DiskFullError(OfaError):
    """A file could not be written for want of room; the same command goes on once there is some."""


class InputError(OfaError, ValueError):
    """What the user gave cannot be used. Binaries print the message and exit with code 2.

    The message is one line: which file or flag, what was found, what was expected, what to do.
    """

    exit_code = 2
