"""What it costs to design a network for each of N targets: trained once, or searched and trained N times."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ofa_tf.common import InputError
from ofa_tf.common.config import from_config, is_number

CO2_LB_PER_HOUR = 0.284
CO2_SOURCE = "the method's published factor, for a GPU: Strubell et al., 2019"
# How long MnasNet trains each network that its search looks at.
EPOCHS_PER_CANDIDATE = 5


@dataclasses.dataclass(frozen=True)
class DesignCost:
    """Device hours of one run, and what the same machine would need without a shared supernet.

    Args:
        hardware: whose hours they are, in words, for example "2 CPU cores".
        stage_hours: device hours of each stage of the supernet's training.
        specialization_hours: device hours for one target, on average: search, calibration, export and check.
        alone_hours: device hours to train one network by itself; None where no such time was recorded.
        search_hours: device hours of one separate search, which trains what it looks at; None likewise.
        search_note: how `search_hours` comes about, in words.
        co2_lb_per_hour: pounds of CO2 for each device hour.
        co2_source: where that factor comes from.

    Raises:
        InputError: an hour or the factor is no number of at least 0.

    Example:
        cost = DesignCost.from_timing(run.read_log("timing"), [95.0, 102.5], hardware="2 CPU cores", candidates=240)
        cost.once_for_all(40), cost.separate(40), cost.co2_lb(cost.separate(40))
    """

    hardware: str
    stage_hours: Mapping[str, float]
    specialization_hours: float
    alone_hours: float | None = None
    search_hours: float | None = None
    search_note: str = ""
    co2_lb_per_hour: float = CO2_LB_PER_HOUR
    co2_source: str = CO2_SOURCE

    def __post_init__(self):
        given = {f"stage_hours of {stage}": hours for stage, hours in self.stage_hours.items()}
        given |= {name: getattr(self, name) for name in ("specialization_hours", "co2_lb_per_hour")}
        given |= {name: getattr(self, name) for name in ("alone_hours", "search_hours")}
        for name, value in given.items():
            optional = name in ("alone_hours", "search_hours") and value is None
            if not optional and (not is_number(value) or value < 0):
                raise InputError(f"design cost: {name} is {value!r}, expected a number of at least 0")

    @property
    def training_hours(self) -> float:
        """Device hours of the whole training, which happens once."""
        return math.fsum(self.stage_hours.values())

    def once_for_all(self, targets: int) -> float:
        """Device hours for N targets: training once, and N specializations."""
        return self.training_hours + targets * self.specialization_hours

    def separate_training(self, targets: int) -> float | None:
        """Device hours to train N networks by themselves, as if finding them cost nothing."""
        return None if self.alone_hours is None else targets * self.alone_hours

    def separate(self, targets: int) -> float | None:
        """Device hours for N separate searches, each with the training of what it found."""
        if self.alone_hours is None or self.search_hours is None:
            return None
        return targets * (self.search_hours + self.alone_hours)

    def break_even(self, *, search: bool = True) -> int | None:
        """From how many targets on training once is cheaper; None where it never is, or nothing is known.

        Args:
            search: against searches and trainings, or else against trainings alone.
        """
        each = self.separate(1) if search else self.separate_training(1)
        if each is None or each <= self.specialization_hours:
            return None
        crossing = self.training_hours / (each - self.specialization_hours)
        return math.floor(crossing) + 1 if math.isfinite(crossing) else None

    def co2_lb(self, hours: float) -> float:
        """Pounds of CO2 for device hours."""
        return hours * self.co2_lb_per_hour

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> "DesignCost":
        """Reads what `to_dict` wrote."""
        return from_config(DesignCost, dict(fields), "report: design cost")

    @staticmethod
    def from_timing(
        timing: Sequence[Mapping[str, Any]],
        specialization_seconds: Sequence[float],
        *,
        hardware: str,
        candidates: int = 0,
        alone_stage: str = "full",
        co2_lb_per_hour: float = CO2_LB_PER_HOUR,
        co2_source: str = CO2_SOURCE,
    ) -> "DesignCost":
        """The cost from a run's own recorded times; each of its devices ("replicas" of a line) counts.

        Each epoch counts once. One that was interrupted, of which the log has only the part after the restart, counts
        whole at that part's speed. Evaluation between epochs is not logged and not counted.

        Args:
            timing: the lines of the run's `timing.jsonl`.
            specialization_seconds: of each finished target.
            hardware: in words.
            candidates: how many networks a separate search would have to train for a few epochs, for example those
                whose accuracy was measured for the predictor; 0 leaves such searches out.
            alone_stage: the stage that trains one network alone, the largest. Its time stands for a separate training,
                and is more than a smaller network would take.
            co2_lb_per_hour: pounds of CO2 for each device hour.
            co2_source: where a factor of one's own comes from.

        Raises:
            InputError: a line lacks a field, or there is no time at all.
        """
        epochs = _epoch_seconds(timing)
        if not epochs or not specialization_seconds:
            missing = "the training (timing.jsonl)" if not epochs else "any specialization"
            raise InputError(f"design cost: no recorded time of {missing}, expected at least one; leave the cost out")
        alone = [seconds / 3600 for (stage, _), seconds in epochs.items() if stage == alone_stage]
        stages: dict[str, float] = {}
        for (stage, _), seconds in epochs.items():
            stages[stage] = stages.get(stage, 0.0) + seconds / 3600
        search_hours, note = None, ""
        if alone and candidates:
            search_hours = candidates * EPOCHS_PER_CANDIDATE * math.fsum(alone) / len(alone)
            note = (
                f"{candidates:,} networks, as many as were measured for the accuracy predictor, each trained for "
                f"{EPOCHS_PER_CANDIDATE} epochs as MnasNet's search does (Tan et al., 2019)"
            )
        return DesignCost(
            hardware,
            stages,
            math.fsum(specialization_seconds) / len(specialization_seconds) / 3600,
            math.fsum(alone) if alone else None,
            search_hours,
            note,
            co2_lb_per_hour,
            co2_source,
        )


def _epoch_seconds(timing: Sequence[Mapping[str, Any]]) -> dict[tuple[str, float], float]:
    """Seconds of each (stage, epoch), of all devices together, as if it had not been interrupted."""
    seconds: dict[tuple[str, float], tuple[float, float]] = {}
    replicas: dict[tuple[str, float], int] = {}
    for number, line in enumerate(timing, start=1):
        try:
            taken, speed = float(line["seconds"]), float(line["images_per_second"])
            if not (math.isfinite(taken) and taken > 0 and math.isfinite(speed) and speed > 0):
                raise ValueError(f"{taken:g} seconds at {speed:g} images per second")
            # Older lines do not tell.
            devices = line.get("replicas", 1)
            if type(devices) is not int or devices < 1:
                raise ValueError(f"replicas {devices!r}")
            place = str(line["stage"]), float(line["epoch"])
            seconds[place], replicas[place] = (taken, speed), devices
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"timing.jsonl: entry {number} lacks {error} or has another form than tools.train writes; expected "
                f"stage, epoch, seconds and images_per_second; leave the entry out"
            ) from error
    images: dict[str, float] = {}
    for (stage, _), (taken, speed) in seconds.items():
        images[stage] = max(images.get(stage, 0.0), taken * speed)
    return {place: images[place[0]] / speed * replicas[place] for place, (_, speed) in seconds.items()}
