"""`Arch`: one architecture of a space, as canonical data."""

import dataclasses
import json
import os
from typing import Any

from ofa_tf.common import InputError, brief, read_json
from ofa_tf.common.config import is_number

FIELDS = ("ks", "e", "d", "w", "r")


@dataclasses.dataclass(frozen=True)
class Arch:
    """Kernel sizes, expand ratios, depths, width indices and resolution of one sub-network.

    Made by `Space.arch(...)`, which writes 0 for the kernel size and the expand ratio of every block that the depths
    skip: two architectures that differ only in skipped blocks are the same object in all but identity.

    Args:
        ks: int kernel size per block, in pixels; 0 where the block is skipped.
        e: expand ratio per block; 0 where the block is skipped.
        d: int depth per stage, in blocks.
        w: int index into the space's width multipliers per stage; empty where the space has none.
        r: int side of the square input image, in pixels.

    Example:
        arch = spaces.get("ofa_tiny").arch(ks=3, e=2, d=1, r=32)
        assert Arch.from_json(arch.to_json()) == arch
    """

    ks: tuple[int, ...]
    e: tuple[float, ...]
    d: tuple[int, ...]
    w: tuple[int, ...]
    r: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain lists, ready for JSON; fields a space does not have are left out."""
        fields = {name: getattr(self, name) for name in FIELDS}
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in fields.items() if value != ()
        }

    def to_json(self) -> str:
        """The architecture as one line of JSON, read back by `from_json`."""
        return json.dumps(self.to_dict())

    @staticmethod
    def from_json(text: "str | dict[str, Any]") -> "Arch":
        """Reads what `to_json` wrote (or the dictionary inside it).

        What it describes is checked when a space uses it: `space.canonical(arch)`.

        A field that is null says nothing, and a resolution may be a list of one, as the authors' own search writes it.

        Raises:
            InputError: it is not JSON, or a field is missing, unknown or not made of numbers.
        """
        try:
            fields = json.loads(text) if isinstance(text, (str, bytes)) else text
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"architecture: not JSON ({error}); expected what Arch.to_json() writes") from error
        if not isinstance(fields, dict):
            raise InputError(
                f"architecture: found {type(fields).__name__}, expected an object with {', '.join(FIELDS)}"
            )
        fields = {name: value for name, value in fields.items() if value is not None}
        if isinstance(fields.get("r"), (list, tuple)) and len(fields["r"]) == 1:
            fields["r"] = fields["r"][0]
        unknown = sorted(set(fields) - set(FIELDS))
        if unknown or "r" not in fields or "d" not in fields:
            found = brief(", ".join(map(str, fields))) or "nothing"
            raise InputError(
                f"architecture: found the fields {found}; expected d and r, and ks, e, w where the space has them"
            )
        values = {}
        for name in FIELDS:
            value = fields.get(name, ())
            items = [value] if name == "r" else value
            if not isinstance(items, (list, tuple)) or not all(is_number(item) for item in items):
                expected = "a number" if name == "r" else "a list of numbers"
                raise InputError(f"architecture: field {name!r} is {brief(repr(value))}, expected {expected}")
            values[name] = value if name == "r" else tuple(value)
        return Arch(**values)

    @staticmethod
    def load(path: str | os.PathLike) -> "Arch":
        """Reads a file of `to_json`, or one that holds such an object under "arch", as results of searches do.

        Raises:
            InputError: there is no such file, or no architecture in it; the message names the file.
        """
        found = read_json(path, "architecture")
        try:
            return Arch.from_json(found["arch"] if isinstance(found, dict) and "arch" in found else found)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
