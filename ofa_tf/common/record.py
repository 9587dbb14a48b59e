"""`RecordFormat`: JSON and npz files whose header says what they are, and in which version."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ofa_tf.common.config import is_whole
from ofa_tf.common.errors import InputError, brief
from ofa_tf.common.files import load_npz, read_json, save_npz, write_json

if TYPE_CHECKING:
    import numpy as np


@dataclasses.dataclass(frozen=True)
class RecordFormat:
    """A kind of file: "format" and "version" come first among its fields; in an npz file the fields are one array.

    Args:
        name: stands in the header as "format".
        remedy: ends every error, what to do about a file that cannot be used.
        version: is written, and the only one that is read.
        former: what files of version 1 that tell no version have as "format".
        header: the name of the array that holds the fields of an npz file as JSON.

    Example:
        FRONT = RecordFormat("ofa_tf pareto front", "make one with tools.search --front")
        FRONT.save("front.json", {"kind": "macs", "points": []})
        fields = FRONT.load("front.json")
        with FRONT.reading("front.json"):
            print(fields["kind"], len(fields["points"]))
    """

    name: str
    remedy: str
    version: int = 1
    former: tuple = ()
    header: str = "header"

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields with the header before them."""
        return {"format": self.name, "version": self.version, **fields}

    def save(self, path: str | os.PathLike, fields: Mapping[str, Any]) -> None:
        """Writes a JSON file atomically."""
        write_json(path, self.fields(fields))

    def save_npz(
        self,
        path: str | os.PathLike,
        fields: Mapping[str, Any],
        arrays: "Mapping[str, np.ndarray]",
        *,
        compress: bool = False,
    ) -> None:
        """Writes an npz file atomically."""
        import numpy as np

        save_npz(path, {**arrays, self.header: np.array(json.dumps(self.fields(fields)))}, compress)

    def load(self, path: str | os.PathLike) -> dict[str, Any]:
        """The fields of a JSON file, header left out; `InputError` where it is missing, damaged or something else."""
        return self.checked(read_json(path, self.name.removeprefix("ofa_tf ")), path)

    def load_npz(self, path: str | os.PathLike) -> "tuple[dict[str, Any], dict[str, np.ndarray]]":
        """The fields and the other arrays of an npz file; `InputError` as for `load`."""
        arrays = load_npz(path, self.name.removeprefix("ofa_tf "))
        try:
            fields = json.loads(str(arrays.pop(self.header, "null")))
        except (ValueError, RecursionError):
            fields = None
        return self.checked(fields, path), arrays

    def checked(self, value: Any, where: str | os.PathLike) -> dict[str, Any]:
        """The fields without their header; raises `InputError` where that is not this one."""
        found = value.get("format") if isinstance(value, dict) else None
        older = found in self.former and isinstance(value, dict) and "version" not in value
        if not isinstance(value, dict) or (found != self.name and not older):
            what = "no header" if found is None else f"format {brief(repr(found), 60)}"
            raise InputError(f"{where}: is not an {self.name!r} file ({what}); {self.remedy}")
        if not older and (not is_whole(value.get("version"), self.version, self.version)):
            version = brief(repr(value.get("version")), 60)
            raise InputError(
                f"{where}: {self.name!r} file of version {version}, this program reads {self.version}; {self.remedy}"
            )
        return {name: field for name, field in value.items() if name not in ("format", "version")}

    @contextlib.contextmanager
    def reading(self, where: str | os.PathLike) -> Iterator[None]:
        """Around what is made of the fields: what their types and values make fail is one `InputError` of the file."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{where}: {error}; {self.remedy}") from error
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            found = f"lacks {error}" if isinstance(error, KeyError) else brief(str(error) or repr(error))
            raise InputError(f"{where}: {found}, expected a whole {self.name!r} file; {self.remedy}") from error
