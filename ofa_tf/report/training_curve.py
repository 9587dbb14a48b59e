"""`TrainingCurve`: what `metrics.jsonl` says about a training run, on one axis of epochs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ofa_tf.common import InputError

Series = tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class TrainingCurve:
    """A run's numbers by epochs since the first stage began.

    Args:
        stages: (name, first, last) of each stage in the order of training: the epochs after which it began and ended.
        loss: (epoch, mean training loss) after each epoch, for each stage.
        top1: (epoch, top-1 on the training images as they passed, 0..1), for each stage.
        evaluations: for each watched sub-network, (epoch, calibrated top-1, 0..1).
        images: on how many images and which split the evaluations were made, in words, "" where there are none.

    Example:
        curve = TrainingCurve.from_metrics(read_json_lines("metrics.jsonl"))
    """

    stages: tuple[tuple[str, float, float], ...]
    loss: tuple[Series, ...]
    top1: tuple[Series, ...]
    evaluations: Mapping[str, Series]
    images: str

    @staticmethod
    def from_metrics(metrics: Sequence[Mapping[str, Any]]) -> "TrainingCurve":
        """Reads the lines of `metrics.jsonl`; of a line that was written twice, after a restart, the last one counts.

        Raises:
            InputError: a line lacks a field.
        """
        epochs: dict[str, dict[float, Mapping]] = {}
        evaluations: dict[tuple[str, str, float], Mapping] = {}
        for number, line in enumerate(metrics, start=1):
            try:
                stage, epoch, _ = line["stage"], float(line["epoch"]), line["top1"]
                if "subnet" in line:
                    evaluations[line["subnet"], stage, epoch] = {
                        "images": line["images"],
                        "split": line["split"],
                        **line,
                    }
                elif line["split"] == "train":
                    epochs.setdefault(stage, {})[epoch] = {"loss": line["loss"], **line}
                else:
                    raise KeyError("subnet")
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"metrics.jsonl: entry {number} lacks {error} or has another form than tools.train writes; "
                    f"expected stage, epoch, split and top1, with a loss or a subnet; leave the entry out"
                ) from error
        names = list(dict.fromkeys([*epochs, *(stage for _, stage, _ in evaluations)]))
        stages, start = [], 0.0
        for name in names:
            seen = [*epochs.get(name, ()), *(epoch for _, stage, epoch in evaluations if stage == name)]
            stages.append((name, start, start + max(seen)))
            start += max(seen)
        starts = {name: first for name, first, _ in stages}
        watched: dict[str, list[tuple[float, float]]] = {}
        for (subnet, stage, epoch), line in evaluations.items():
            watched.setdefault(subnet, []).append((starts[stage] + epoch, line["top1"]))

        def series(field: str) -> tuple[Series, ...]:
            return tuple(
                tuple((starts[name] + epoch, line[field]) for epoch, line in sorted(epochs.get(name, {}).items()))
                for name in names
            )

        sizes = dict.fromkeys(
            f"{line['images']:,} images of the split “{line['split']}”" for line in evaluations.values()
        )
        return TrainingCurve(
            stages=tuple(stages),
            loss=series("loss"),
            top1=series("top1"),
            evaluations={subnet: tuple(sorted(points)) for subnet, points in watched.items()},
            images=" and ".join(sizes),
        )
