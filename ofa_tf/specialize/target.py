"""`Target`: one device and budget that a network is wanted for; and files of several, in YAML or JSON."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import yaml

from ofa_tf.common import InputError, brief
from ofa_tf.common.config import check_numbers, from_config, is_number, is_whole
from ofa_tf.common.files import parse_yaml
from ofa_tf.common.form import FORMS, PRECISIONS, form_of
from ofa_tf.search.constraint import KINDS, LatencyPredictor

_NAME_LENGTH = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._,+-]{0,99}")
_WHOLE = {"threads": 1, "candidates": 1, "images": 1, "finetune_epochs": 0, "quantization_aware_epochs": 0, "seed": 0}
_FIELDS = ("defaults", "targets")
# They may name a file, which is then looked for beside the targets' own, too.
_PATHS = ("latency_table", "predictor")
# A search keeps a hundred architectures; every fourth is evaluated.
_MOST_CANDIDATES = 25


@dataclasses.dataclass(frozen=True)
class Target:
    """What is wanted, and for which device.

    Args:
        name: unique among targets; letters, digits, spaces and ".,_+-".
        device: "host" (this machine), the serial of a phone that adb sees, "ssh:USER@HOST", or any other
            word for a device that is not here, whose figures are then only predicted.
        limits: upper limits by kind ("latency_ms", "macs", "params", "model_bytes", "peak_memory_bytes"), in the kind's
            unit, in any combination.
        latency_table: predicts the latency: a file of mobile_bench.build_latency_table or of
            tools.fit_latency_predictor, a published `.yaml`, or the folder with them. Of "host" and of an attached
            phone one is built unless given.
        precision: of the file.
        form: how it is written, one of `common.form.FORMS`. That of its latency table's files, where it limits latency
            and they are of its precision, else the precision's default, unless given; with a limit on peak
            memory, what a microcontroller's runtime is best off with. "fused" cannot be trained: with
            `quantization_aware_epochs` "folded" takes its place in a default, and to ask for it fails.
        resolutions: image sides in pixels to search, all that the accuracy predictor knows unless given.
        threads: of the interpreter on the device.
        predictor: an accuracy predictor other than the supernet's. Where that is of another space, there are no weights
            here, and the target ends as an architecture.
        candidates: of the search's best, how many are calibrated and evaluated on the validation split, which chooses.
        images: at most so many validation images, evenly spaced, evaluate and check; all unless given.
        max_drop: the top-1 that the file may lose against the Keras model, 0..1; the precision's default unless given.
        finetune_epochs: passes over the training images before the export, on which the chosen network is trained on
            its own.
        quantization_aware_epochs: the same with the rounding of the int8 file inside.
        seed: of search and training.

    Raises:
        InputError: a field is unusable; the message names it.

    Example:
        Target("host int8, 2 ms", "host", {"latency_ms": 2})
        Target("board", "board", {"peak_memory_bytes": 180_000, "model_bytes": 900_000}, resolutions=(96,))
    """

    name: str
    device: str
    limits: Mapping[str, float]
    latency_table: str | None = None
    precision: str = "int8"
    form: str | None = None
    resolutions: tuple[int, ...] | None = None
    threads: int = 1
    predictor: str | None = None
    candidates: int = 8
    images: int | None = None
    max_drop: float | None = None
    finetune_epochs: int = 0
    quantization_aware_epochs: int = 0
    seed: int = 0

    def __post_init__(self):
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            self._refuse("name", "letters, digits, spaces and .,_+-, at most 100, beginning with a letter or digit")
        if not isinstance(self.device, str) or not self.device.strip():
            self._refuse("device", "host, the serial of a phone, or a word for a device that is not here")
        if not isinstance(self.limits, Mapping) or not self.limits:
            self._refuse("limits", f"at least one of {', '.join(KINDS)} with a number")
        for kind, limit in self.limits.items():
            if kind not in KINDS:
                raise InputError(f"limits has the field {kind!r}, expected {', '.join(KINDS)}")
            if not is_number(limit) or limit <= 0:
                hint = "; YAML reads 150e3 as text, write 150000" if isinstance(limit, str) else ""
                raise InputError(f"limits.{kind} is {limit!r}, expected a number above 0{hint}")
        for name in ("latency_table", "predictor"):
            if not isinstance(getattr(self, name), str | None):
                self._refuse(name, "a path or a name")
        if not (isinstance(self.precision, str) and self.precision in PRECISIONS):
            self._refuse("precision", f"one of {', '.join(PRECISIONS)}")
        if self.form is not None and not (isinstance(self.form, str) and self.form in FORMS):
            self._refuse("form", f"one of {', '.join(FORMS)}")
        sides = self.resolutions
        if sides is not None and not (isinstance(sides, tuple) and sides and all(is_whole(side, 1) for side in sides)):
            self._refuse("resolutions", "image sides in pixels such as [96, 128]")
        for name, least in _WHOLE.items():
            value = getattr(self, name)
            if not is_whole(value, least) and not (name == "images" and value is None):
                self._refuse(name, f"a whole number from {least}")
        if self.candidates > _MOST_CANDIDATES:
            self._refuse("candidates", f"at most {_MOST_CANDIDATES}")
        if self.max_drop is not None:
            check_numbers("max_drop", self.max_drop, 1, 0, 1)
        if self.quantization_aware_epochs and self.precision != "int8":
            self._refuse("quantization_aware_epochs", f"0, as the precision is {self.precision}")
        if "latency_ms" in self.limits and not PRECISIONS[self.precision].measured:
            self._refuse("precision", "one that a latency table can be built for, as there is a limit on latency_ms")
        if "peak_memory_bytes" in self.limits and self.precision not in ("int8", "float32"):
            self._refuse("precision", "int8 or float32, of which a limit on peak_memory_bytes can be kept")

    def _refuse(self, name: str, expected: str) -> None:
        raise InputError(f"{name} is {getattr(self, name)!r}, expected {expected}")

    def file_form(self, table: LatencyPredictor | None = None) -> str:
        """How its file is written, one of `FORMS`: as it asks, else as the files of its latency table, if of its
        precision."""
        of_table = getattr(table, "stated_form", None) if getattr(table, "precision", None) == self.precision else None
        trained = self.quantization_aware_epochs > 0
        return form_of(self.precision, self.form, limits=self.limits, table_form=of_table, trained=trained)

    @property
    def folder_name(self) -> str:
        """Its folder among the results."""
        return self.name.replace(" ", "_")

    def to_config(self) -> dict[str, Any]:
        """The fields as JSON gives them back."""
        return json.loads(json.dumps({**dataclasses.asdict(self), "limits": dict(self.limits)}))

    @staticmethod
    def from_config(fields: Any) -> "Target":
        """Reads what `to_config` wrote, or a part of it; raises `InputError` where a field is missing or unusable."""
        return from_config(Target, fields, "target")


def default_name(device: str, precision: str, limits: Mapping[str, float]) -> str:
    """The name of a target that was given none; other limits make another one, as its folder is named after it.

    Args:
        device: as it was given, whatever it holds.
        precision: of the file.
        limits: by kind.
    """
    words = [device, precision, *(f"{kind} {_digits(limit)}" for kind, limit in limits.items())]
    # What a name may hold; it must begin with a letter or digit.
    name = re.sub(r"[^A-Za-z0-9 ._,+-]", "-", " ".join(words)).lstrip(" ._,+-")
    if len(name) <= _NAME_LENGTH:
        return name
    return f"{name[: _NAME_LENGTH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


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
        where = f"{path}: target {number}"
        if not isinstance(fields, dict):
            raise InputError(f"{where}: found {brief(repr(fields))}, expected fields such as name, device and limits")
        if "name" in fields:
            where += f" ({brief(fields['name'], 60)})"
        try:
            target = Target.from_config(_beside(path, {**defaults, **fields}))
        except InputError as error:
            raise InputError(f"{where}: {str(error).removeprefix('target: ')}") from error
        key = target.folder_name.lower()
        if key in targets:
            raise InputError(f"{where}: its name is that of another target; give each one of its own")
        targets[key] = target
    return list(targets.values())


def _parsed(path: pathlib.Path) -> Any:
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
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
            fields = {**fields, name: os.path.abspath(path.parent / value)}
    return fields


def _digits(number: Any) -> str:
    if not is_number(number):
        # What reads the target tells.
        return str(number)
    short = f"{number:g}"
    return short if float(short) == number else repr(number).removesuffix(".0")
