"""Files of targets, in YAML or JSON."""

import os
import pathlib
from typing import Any

import yaml

from ofa_tf.common import InputError, brief
from ofa_tf.specialize.target import Target

_FIELDS = ("defaults", "targets")
# They may name a file, which is then looked for beside the targets' own, too.
_PATHS = ("latency_table", "predictor")


def read_targets(path: str | os.PathLike) -> list[Target]:
    """Reads targets.

    Args:
        path: YAML (which JSON is): `targets`, a list with the fields of a `Target`, and `defaults`, fields for all of
            them. A path in it may be relative to the file's own folder.

    Returns:
        At least one, in the file's order, with different names.

    Raises:
        InputError: there is a mistake; one line names the file, the target and the field.

    Example:
        targets = read_targets("targets.yaml")
    """
    path = pathlib.Path(path)
    given = _parsed(path)
    if not isinstance(given, dict) or not isinstance(given.get("targets"), list) or not given["targets"]:
        raise InputError(f"{path}: expected the field targets with a list of at least one; see docs/specialize.md")
    unknown = [str(field) for field in given if field not in _FIELDS]
    if unknown:
        raise InputError(f"{path}: field {brief(unknown[0])} is unknown, expected {', '.join(_FIELDS)}")
    defaults = given.get("defaults") or {}
    if not isinstance(defaults, dict):
        raise InputError(f"{path}: defaults is {type(defaults).__name__}, expected fields of a target")
    targets: dict[str, Target] = {}
    for number, fields in enumerate(given["targets"], start=1):
        place = f"{path}: target {number}"
        if not isinstance(fields, dict):
            raise InputError(f"{place}: found {brief(repr(fields))}, expected fields such as name, device and limits")
        if "name" in fields:
            place += f" ({brief(fields['name'], 60)})"
        try:
            target = Target.from_config(_beside(path, {**defaults, **fields}))
        except InputError as error:
            raise InputError(f"{place}: {str(error).removeprefix('target: ')}") from error
        key = target.folder_name.lower()
        if key in targets:
            raise InputError(f"{place}: its name is that of another target; give each one of its own")
        targets[key] = target
    return list(targets.values())


def _parsed(path: pathlib.Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected targets in YAML or JSON; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected targets in YAML or JSON") from error
    # Besides its own errors, PyYAML lets those of a bad date, a bad number or an unhashable key through.
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: is not YAML or JSON ({brief(error)}); correct it there") from error


def _beside(path: pathlib.Path, fields: dict[Any, Any]) -> dict[Any, Any]:
    for name in _PATHS:
        value = fields.get(name)
        # Unlike that of pathlib, this one takes what no path can be.
        if isinstance(value, str) and value and os.path.exists(path.parent / value):
            fields = {**fields, name: str(path.parent / value)}
    return fields
