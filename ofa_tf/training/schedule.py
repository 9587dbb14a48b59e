"""The learning rate of every step of a run."""

import dataclasses
import math

from ofa_tf.common import InputError
from ofa_tf.training.recipe import Recipe
from ofa_tf.training.stage import Stage

_WARMUP_START = 0.1


def learning_rate(step: int, *, steps: int, warmup_steps: int, peak: float, start: float, constant_steps: int = 0):
    """Linear warm-up from `start` to `peak`, perhaps a constant part, then cosine decay to zero.

    Source: Cai et al., appendix; for the constant part Annavajjala et al., "Delayed epsilon-Shrinking", ECCV 2024.
    """
    if step < warmup_steps:
        return start + (peak - start) * step / warmup_steps
    kept = warmup_steps + constant_steps
    return peak if step < kept else 0.5 * peak * (1.0 + math.cos(math.pi * (step - kept) / (steps - kept)))


@dataclasses.dataclass(frozen=True)
class Curve:
    """The learning rates of one stage, which may be a part of a curve that goes through several."""

    first_step: int  # where in the curve it begins; above 0 the stage before is in the same curve, momentum is kept
    shared_after: bool  # whether the next stage goes on with it
    steps: int  # of the whole curve, as the next two
    warmup_steps: int
    constant_steps: int  # after the warm-up
    peak: float  # the stage's highest rate, scaled to the batch
    start: float  # where a warm-up begins

    def rate(self, step: int) -> float:
        """The rate of a step, counted from the stage's first."""
        return learning_rate(
            self.first_step + step,
            steps=self.steps,
            warmup_steps=self.warmup_steps,
            peak=self.peak,
            start=self.start,
            constant_steps=self.constant_steps,
        )


def curves(recipe: Recipe, stages: tuple[Stage, ...], epoch_steps: int, batch_size: int) -> tuple[Curve, ...]:
    """The curve of each stage; raises `InputError` where one warms up in the middle of a curve."""
    held = recipe.decay is None and recipe.schedule == "delayed"
    timings = [recipe.stages[stage.name] for stage in stages]
    lengths = [timing.total_epochs * epoch_steps for timing in timings]
    made = []
    for index, (stage, timing, length) in enumerate(zip(stages, timings, lengths, strict=True)):
        alone = recipe.decay != "run" and not held
        if not alone and index and timing.warmup_epochs:
            raise InputError(
                f"recipe: stage {stage.name} has warmup_epochs {timing.warmup_epochs}; its rates go on from stage "
                f"{stages[index - 1].name}, only the first stage warms up: set it to 0"
            )
        warmup = round((timing if alone else timings[0]).warmup_epochs * epoch_steps)
        peak = timing.learning_rate * batch_size / recipe.base_batch_size
        base = min(timing.learning_rate, peak) if recipe.warmup_from_base_rate else _WARMUP_START * peak
        made.append(
            Curve(
                first_step=0 if alone else sum(lengths[:index]),
                shared_after=not alone and index + 1 < len(stages),
                steps=length if alone else sum(lengths),
                warmup_steps=warmup,
                constant_steps=lengths[0] - warmup if held and stages[0].name == "full" else 0,
                peak=peak,
                start=base,
            )
        )
    return tuple(made)
