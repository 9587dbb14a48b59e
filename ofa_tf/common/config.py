"""Small frozen dataclasses as JSON-ready dictionaries and back, and checks of their fields."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any, TypeVar

from ofa_tf.common.errors import InputError, brief

T = TypeVar("T")


def to_config(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, tuples as lists, ready for JSON."""
    fields = dataclasses.asdict(value)
    return {name: list(field) if isinstance(field, tuple) else field for name, field in fields.items()}


def from_config(cls: type[T], config: Any, what: str) -> T:
    """Reads what `to_config` wrote; `InputError`, which says `what`, where a field is missing, unknown or unusable."""
    if not isinstance(config, dict):
        raise InputError(f"{what}: found {type(config).__name__}, expected an object with fields")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unset = (dataclasses.MISSING, dataclasses.MISSING)
    needed = {name for name, field in fields.items() if (field.default, field.default_factory) == unset}
    for name in [*sorted(map(str, config.keys() - fields.keys())), *sorted(needed - config.keys())]:
        problem = "is missing" if name in needed else "is unknown"
        raise InputError(f"{what}: field {name} {problem}; expected {', '.join(fields)}")
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in config.items()})


def is_number(value: Any) -> bool:
    """True for a finite int or float, and not for a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def check_numbers(what: str, value: Any, count: int, low: float, high: float) -> None:
    """Raises `InputError` unless `value` holds `count` numbers from `low` to `high`."""
    items = value if isinstance(value, tuple) else (value,)
    if len(items) != count or not all(is_number(item) and low <= item <= high for item in items):
        form = "a number" if count == 1 else f"{count} numbers"
        raise InputError(f"{what} is {value!r}, expected {form} from {low:g} to {high:g}")


def is_whole(value: Any, low: float = -math.inf, high: float = math.inf, *, kind: type = int) -> bool:
    """True for an int (or a number of another kind) from `low` to `high`, and not for a bool."""
    return isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high


def check_whole(what: str, value: Any, low: int, high: int | None = None, *, kind: type = int) -> None:
    """Raises `InputError` unless `is_whole`; `numbers.Integral` allows NumPy's, which JSON does not."""
    if not is_whole(value, low, math.inf if high is None else high, kind=kind):
        limits = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise InputError(f"{what} is {brief(repr(value))}, expected a whole number {limits}")


def check_whole_numbers(what: str, value: Any, low: int, high: int) -> None:
    """Raises `InputError` unless `value` is a whole number from `low` to `high`, or a tuple of such."""
    if not all(is_whole(item, low, high) for item in (value if isinstance(value, tuple) else (value,))):
        raise InputError(f"{what} is {brief(repr(value))}, expected whole numbers from {low} to {high}")


def check_one_of(what: str, value: Any, known: Iterable[Any]) -> None:
    """Raises `InputError` unless `value` is one of those that are known."""
    known = tuple(known)
    if value not in known:
        raise InputError(f"{what} is {brief(repr(value))}, expected one of {', '.join(map(str, known))}")


def check_bool(what: str, value: Any) -> None:
    """Raises `InputError` unless `value` is true or false."""
    if not isinstance(value, bool):
        raise InputError(f"{what} is {brief(repr(value))}, expected true or false")
