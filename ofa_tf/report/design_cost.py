"""What it costs to design a network for each of N targets: trained once, or searched and trained N times."""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FuncFormatter, NullFormatter

from ofa_tf.common import InputError, read_json_lines
from ofa_tf.common.config import is_number, is_whole
from ofa_tf.predictors import PairsFile
from ofa_tf.report import style

if TYPE_CHECKING:
    from ofa_tf.specialize import TargetResult

CO2_LB_PER_HOUR = 0.284
CO2_SOURCE = "the method's published factor, for a GPU: Strubell et al., 2019"
# How long MnasNet trains each network that its search looks at.
EPOCHS_PER_CANDIDATE = 5
_OFA = "Cai et al., Once for All, 2020, its comparison with others"
TARGETS = range(1, 41)
NAME, PUBLISHED_NAME = "design-cost", "published-cost"
_LOOKS = (
    (style.VERMILLION, "-"),
    (style.BLUE, "--"),
    (style.GREEN, "-."),
    (style.ORANGE, (0, (1, 1))),
    (style.PURPLE, (0, (5, 1))),
    (style.SKY, (0, (3, 1, 1, 1))),
    (style.MUTED, (0, (1, 2))),
)
Line = tuple[str, Callable[[int], float | None]]


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


def cost_of_run(
    run: pathlib.Path | None,
    results: "Sequence[TargetResult]",
    machine: Mapping[str, str],
    co2_lb_per_hour: float | None = None,
) -> DesignCost | None:
    """The cost from the times that a run and its targets recorded, None where one of the two has none."""
    timing = read_json_lines(run / "timing.jsonl") if run and (run / "timing.jsonl").exists() else []
    seconds = [result.seconds for result in results if result.tflite_top1 is not None]
    if not timing or not seconds:
        return None
    pairs = run / "accuracy.jsonl"
    own = {"co2_lb_per_hour": co2_lb_per_hour, "co2_source": "given with --co2_lb_per_hour"}
    hardware = f"{machine['cores']} cores of {machine['cpu']}"
    counts = (line.get("replicas") for line in timing if isinstance(line, dict))
    replicas = max(filter(is_whole, counts), default=1)
    if replicas > 1:
        # A run does not record which.
        hardware = f"{replicas} devices at once, whose hours these are together; targets on {hardware}"
    return DesignCost.from_timing(
        timing,
        seconds,
        hardware=hardware,
        candidates=len(PairsFile(pairs)) if pairs.exists() else 0,
        **({} if co2_lb_per_hour is None else own),
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
            key = str(line["stage"]), float(line["epoch"])
            seconds[key], replicas[key] = (taken, speed), devices
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"timing.jsonl: entry {number} lacks {error} or has another form than tools.train writes; expected "
                f"stage, epoch, seconds and images_per_second; leave the entry out"
            ) from error
    images: dict[str, float] = {}
    for (stage, _), (taken, speed) in seconds.items():
        images[stage] = max(images.get(stage, 0.0), taken * speed)
    return {key: images[key[0]] / speed * replicas[key] for key, (_, speed) in seconds.items()}


@dataclasses.dataclass(frozen=True)
class PublishedCost:
    """A method's cost in GPU hours, as published, for ImageNet: spent once, and for each target."""

    name: str
    once_gpu_hours: float
    search_gpu_hours: float
    training_gpu_hours: float
    source: str

    def gpu_hours(self, targets: int) -> float:
        """GPU hours for N targets."""
        return self.once_gpu_hours + targets * (self.search_gpu_hours + self.training_gpu_hours)


PUBLISHED_NOTE = (
    "the 48,000 of NASNet-A were published for one network and are multiplied here; the abstract's first version "
    "counts about 1,400 GPU hours for Once-for-All in all, from which its 14, 16 and 1,142 times fewer than "
    "ProxylessNAS, FBNet and MnasNet for 40 targets follow"
)
PUBLISHED_COSTS = (
    PublishedCost("NASNet-A", 0, 48_000, 0, _OFA),
    PublishedCost("MnasNet", 0, 40_000, 0, _OFA),
    PublishedCost("FBNet-C", 0, 216, 360, _OFA),
    PublishedCost("ProxylessNAS", 0, 200, 300, _OFA),
    PublishedCost("Once-for-All, nets fine-tuned for 75 h", 1_200, 0, 75, _OFA),
    PublishedCost("Once-for-All, nets fine-tuned for 25 h", 1_200, 0, 25, _OFA),
    PublishedCost("Once-for-All", 1_200, 0, 0, _OFA),
)


def design_cost_plot(cost: DesignCost, width: float = style.WIDTH) -> str:
    """An SVG of a run's device hours for 1 to 40 targets."""
    lines: list[Line] = [
        ("once-for-all", cost.once_for_all),
        ("N trainings", cost.separate_training),
        ("N searches and trainings", cost.separate),
    ]
    return _plot(NAME, [line for line in lines if line[1](1) is not None], "device hours, as recorded", width)


def published_cost_plot(width: float = style.WIDTH) -> str:
    """An SVG of what other methods were published to cost for 1 to 40 targets."""
    lines = [(method.name, method.gpu_hours) for method in reversed(PUBLISHED_COSTS)]
    return _plot(PUBLISHED_NAME, lines, "GPU hours, as published", width)


def _plot(name: str, lines: Sequence[Line], axis: str, width: float) -> str:
    with style.drawing(name):
        rows = (len(lines) + 1) // 2
        figure, (axes,) = style.new_axes(height=3.4 + 0.2 * rows, width=width)
        for (colour, dashes), (label, hours) in zip(_LOOKS, lines, strict=False):
            axes.plot(
                TARGETS, [hours(count) for count in TARGETS], color=colour, linestyle=dashes, linewidth=1.6, label=label
            )
        axes.set(yscale="log", xlabel="targets, N", ylabel=axis, xlim=(1, TARGETS[-1]), xticks=(1, 10, 20, 30, 40))
        # matplotlib's own labels of a logarithmic axis are formulas, which `style` does not set.
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        style.legend_below(figure, 2)
        names = ", ".join(label for label, _ in lines)
        return style.to_svg(figure, name, f"{axis} for 1 to {TARGETS[-1]} targets: {names}")
