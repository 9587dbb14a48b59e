"""Errors that are shown to a user as one line; everything else is a bug and keeps its traceback."""


class OfaError(Exception):
    """Work that was asked for correctly failed. Binaries print the message and exit with code 1."""

    exit_code = 1


class InputError(OfaError, ValueError):
    """What the user gave cannot be used. Binaries print the message and exit with code 2.

    The message is one line: which file or flag, what was found, what was expected, what to do.
    """

    exit_code = 2
