"""Shortens external text to one line."""

from typing import Any


def brief(found: Any, characters: int = 200) -> str:
    """External text as one printable line; where it is too long, its middle is left out.

    Args:
        found: the output of a program, or what a file holds.
        characters: at most; the cause of an error stands at one of its ends.

    Example:
        raise InputError(f"{path}: found {brief(fields)}, expected count and mean")
    """
    line = "".join(character if character.isprintable() else "?" for character in " ".join(str(found).split()))
    if len(line) <= characters:
        return line
    first = (characters - 5) // 2
    return f"{line[:first]} ... {line[first + 5 - characters :]}"
