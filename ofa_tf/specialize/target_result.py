"""`TargetResult`: what came of a target, in a file of its own."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ofa_tf.common import InputError, RecordFormat, brief
from ofa_tf.common.config import from_config, is_number, is_whole
from ofa_tf.spaces import Arch
from ofa_tf.specialize.target import Target

FORMAT = RecordFormat("ofa_tf target", "delete it, tools.specialize makes it again")
STATUSES = ("verified", "exported", "architecture", "failed")
# In a target's folder.
RESULT, MODEL = "result.json", "model.tflite"
# In a result's `source`, beside weights and images.
PREDICTOR = "predictor"
# And of what its classes are called.
NAMES = "names"


def _check_costs(name: str, found: Any) -> None:
    if not isinstance(found, Mapping) or not all(map(is_number, found.values())):
        raise InputError(f"{name} is {brief(repr(found))}, expected numbers by kind of cost")


@dataclasses.dataclass(frozen=True)
class TargetResult:
    """The result of a target, see `specialize`.

    Args:
        target: what was wanted.
        status: "verified": a file that was checked on images, and measured inside every limit; "exported": a file that
            was checked on images and of which some limit was not measured, as its device or runtime is not here (or
            as the run was stopped before that); "architecture": there are no weights here; "failed".
        source: which weights and images it was made from, and by which accuracy predictor, by digest.
        arch: the chosen architecture; None where there is none.
        space: the name of its space.
        predicted: its predicted costs by kind, MACs and parameters (counted) among them.
        measured: its measured costs by kind.
        predicted_top1: the accuracy predictor's answer, 0..1.
        supernet_top1: calibrated top-1 on the validation split with the supernet's own weights, before any training.
        keras_top1: top-1 on the validation split of the float network that the file was made from.
        tflite_top1: the file's.
        images: how many validation images these are of.
        test_top1: the file's top-1 on the test split, which decides nothing; None where that was not looked at.
        test_images: how many images that is of.
        test_data: the digest of these images.
        rounds: each search: its limits, and the architecture, form, predicted and measured costs of what was made.
        evaluated: each evaluated candidate: arch, top1, top5, images, split.
        reason: of a failure, one line.
        command: what to run next, where there are no weights.
        seconds: how long it took.
        folder: where it lies; "" where it was neither saved nor loaded.

    Example:
        result = TargetResult.load("out/targets/host_int8,_2_ms/result.json")
        print(result.status, result.measured, result.path)
    """

    target: Target
    status: str
    source: Mapping[str, str] = dataclasses.field(default_factory=dict)
    arch: Arch | None = None
    space: str = ""
    predicted: Mapping[str, float] = dataclasses.field(default_factory=dict)
    measured: Mapping[str, float] = dataclasses.field(default_factory=dict)
    predicted_top1: float | None = None
    supernet_top1: float | None = None
    keras_top1: float | None = None
    tflite_top1: float | None = None
    images: int | None = None
    test_top1: float | None = None
    test_images: int | None = None
    test_data: str | None = None
    rounds: Sequence[Mapping[str, Any]] = ()
    evaluated: Sequence[Mapping[str, Any]] = ()
    reason: str = ""
    command: str = ""
    seconds: float = 0.0
    folder: str = dataclasses.field(default="", compare=False)

    def __post_init__(self):
        if self.status not in STATUSES:
            raise InputError(f"status is {self.status!r}, expected one of {', '.join(STATUSES)}")
        if self.arch is None and self.status != "failed":
            raise InputError(f"status is {self.status!r}, expected an architecture with it")
        for name in ("predicted", "measured"):
            _check_costs(name, getattr(self, name))
        for name in ("predicted_top1", "supernet_top1", "keras_top1", "tflite_top1", "test_top1", "seconds"):
            if not (is_number(getattr(self, name)) or (getattr(self, name) is None and name != "seconds")):
                raise InputError(f"{name} is {brief(repr(getattr(self, name)))}, expected a number")
        for name in ("images", "test_images"):
            if not (getattr(self, name) is None or is_whole(getattr(self, name), 1)):
                raise InputError(f"{name} is {brief(repr(getattr(self, name)))}, expected a whole number")
        for made in self.rounds:
            if not isinstance(made, Mapping) or not {"arch", "measured"} <= made.keys():
                raise InputError(f"a round is {brief(repr(made))}, expected at least arch and measured")
            Arch.from_json(made["arch"])
            for name in ("limits", "predicted", "measured"):
                _check_costs(f"{name} of a round", made.get(name, {}))
        for found in self.evaluated:
            if not isinstance(found, Mapping) or not is_number(found.get("top1")):
                raise InputError(f"evaluated is {brief(repr(found))}, expected an arch and its top1")
            Arch.from_json(found.get("arch"))

    @property
    def form(self) -> str | None:
        """How its file is written; None where there is none, or where an older version made it."""
        return self.rounds[-1].get("form") if self.rounds else None

    @property
    def path(self) -> pathlib.Path | None:
        """The `.tflite` file; None where there is none."""
        path = pathlib.Path(self.folder) / MODEL
        return path if self.tflite_top1 is not None and path.exists() else None

    @property
    def over(self) -> dict[str, float]:
        """What was measured above its limit, by kind."""
        limits = self.target.limits
        return {kind: value for kind, value in self.measured.items() if kind in limits and value > limits[kind]}

    @property
    def unmeasured(self) -> list[str]:
        """The kinds that are limited and were not measured."""
        return [kind for kind in self.target.limits if kind not in self.measured]

    def summary(self) -> str:
        """One line for people."""
        words = [f"{self.target.name}: {self.status}"]
        if self.arch is not None:
            words.append(", ".join(f"{kind} {self._cost(kind)} of {top:g}" for kind, top in self.target.limits.items()))
        if self.tflite_top1 is not None:
            words.append(f"validation top-1 {100 * self.tflite_top1:.1f}% on {self.images} images")
        elif self.predicted_top1 is not None:
            words.append(f"predicted top-1 {100 * self.predicted_top1:.1f}%")
        if self.test_top1 is not None:
            words.append(f"test top-1 {100 * self.test_top1:.1f}% on {self.test_images}")
        return "; ".join([*words, *filter(None, [self.reason])])

    def _cost(self, kind: str) -> str:
        return f"{self.measured[kind]:.6g}" if kind in self.measured else f"{self.predicted[kind]:.6g} (predicted)"

    def save(self, path: str | os.PathLike) -> "TargetResult":
        """Writes it as JSON, atomically; gives the result in its folder."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "folder"}
        fields |= {"target": self.target.to_config(), "arch": self.arch and self.arch.to_dict()}
        FORMAT.save(path, fields)
        return dataclasses.replace(self, folder=str(pathlib.Path(path).parent))

    @staticmethod
    def load(path: str | os.PathLike) -> "TargetResult":
        """Reads what `save` wrote.

        Raises:
            InputError: the file is missing, damaged, of a newer format, or something else.
        """
        fields = FORMAT.load(path)
        with FORMAT.reading(path):
            fields["target"] = Target.from_config(fields.get("target"))
            fields["arch"] = None if fields.get("arch") is None else Arch.from_json(fields["arch"])
            result = from_config(TargetResult, fields, "result")
            return dataclasses.replace(result, folder=str(pathlib.Path(path).parent))
