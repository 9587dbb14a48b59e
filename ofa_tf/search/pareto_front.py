"""`ParetoFront`: the best accuracy that each cost buys."""

import csv
import dataclasses
import io
import os
from collections.abc import Sequence
from typing import Any

from ofa_tf.common import InputError, read_json, write_json, write_text
from ofa_tf.search.candidate import Candidate
from ofa_tf.spaces import Arch

FORMAT = "ofa_tf pareto front"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class ParetoFront:
    """Architectures none of which is beaten in both accuracy and cost, the cheapest first.

    Args:
        candidates: both cost and predicted accuracy ascend.
        kind: the cost, a kind of `Constraint` ("latency_ms").
        evaluated: how many different architectures were given to the accuracy predictor.

    Example:
        front = ParetoFront.load("front.json")
        front.best(25).arch
    """

    candidates: tuple[Candidate, ...]
    kind: str
    evaluated: int = 0

    @staticmethod
    def of(found: Sequence[Candidate], kind: str, evaluated: int = 0) -> "ParetoFront":
        """The front of any candidates that carry the cost."""
        front: list[Candidate] = []
        for candidate in sorted(found, key=lambda c: (c.costs[kind], -c.predicted_accuracy)):
            if not front or candidate.predicted_accuracy > front[-1].predicted_accuracy:
                front.append(candidate)
        return ParetoFront(tuple(front), kind, evaluated)

    def best(self, limit: float) -> Candidate:
        """The most accurate architecture whose cost is at most `limit`.

        Raises:
            InputError: none is; the message names the smallest cost of the front.
        """
        inside = [candidate for candidate in self.candidates if candidate.costs[self.kind] <= limit]
        if not inside:
            smallest = self.candidates[0].costs[self.kind]
            raise InputError(f"pareto front: {self.kind} of at most {limit:g}: the front begins at {smallest:.6g}")
        return inside[-1]

    def to_dict(self) -> dict[str, Any]:
        """The front as JSON-ready data."""
        points = [
            {"arch": candidate.arch.to_dict(), "predicted_top1": candidate.predicted_accuracy, **candidate.costs}
            for candidate in self.candidates
        ]
        return {
            "format": FORMAT,
            "version": VERSION,
            "kind": self.kind,
            "evaluated": self.evaluated,
            "points": points,
        }

    def save(self, path: str | os.PathLike) -> None:
        """Writes the front as JSON, atomically."""
        write_json(path, self.to_dict())

    def save_csv(self, path: str | os.PathLike) -> None:
        """Writes a line per architecture: its costs, its predicted top-1, and the architecture as JSON."""
        kinds = list(self.candidates[0].costs)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*kinds, "predicted_top1", "arch"])
        for candidate in self.candidates:
            costs = [candidate.costs[kind] for kind in kinds]
            writer.writerow([*costs, candidate.predicted_accuracy, candidate.arch.to_json()])
        write_text(path, text.getvalue())

    @staticmethod
    def load(path: str | os.PathLike) -> "ParetoFront":
        """Reads what `save` wrote.

        Raises:
            InputError: the file is missing, damaged, of a newer format, or something else.
        """
        value = read_json(path, "pareto front")
        if not isinstance(value, dict) or value.get("format") != FORMAT or value.get("version") != VERSION:
            raise InputError(f"{path}: is not a version {VERSION} {FORMAT!r} file; make one with tools.search --front")
        try:
            points = []
            for point in value["points"]:
                fields = dict(point)
                arch, top1 = Arch.from_json(fields.pop("arch")), float(fields.pop("predicted_top1"))
                points.append(Candidate(arch, top1, {kind: float(cost) for kind, cost in fields.items()}))
            front = ParetoFront(tuple(points), value["kind"], int(value["evaluated"]))
            if not points or any(front.kind not in point.costs for point in points):
                raise KeyError(front.kind)
            return front
        except InputError as error:
            raise InputError(f"{path}: {error}; search again") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: lacks {error}, expected a whole pareto front; search again") from error
