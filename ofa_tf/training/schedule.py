"""The learning rate of every step of a run."""

import dataclasses
import math

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
    rise_steps: int = 0  # of a stage in the middle of a curve: its own warm-up, from a tenth of the curve

    def rate(self, step: int) -> float:
        """The rate of a step, counted from the stage's first."""
        rate = learning_rate(
            self.first_step + step,
            steps=self.steps,
            warmup_steps=self.warmup_steps,
            peak=self.peak,
            start=self.start,
            constant_steps=self.constant_steps,
        )
        return rate * (_WARMUP_START + (1 - _WARMUP_START) * step / self.rise_steps) if step < self.rise_steps else rate


def curves(recipe: Recipe, stages: tuple[Stage, ...], epoch_steps: int, batch_size: int) -> tuple[Curve, ...]:
    """The curve of each stage."""
    held = recipe.decay is None and recipe.schedule == "delayed"
    timings = [recipe.stages[stage.name] for stage in stages]
    lengths = [timing.total_epochs * epoch_steps for timing in timings]
    made = []
    for index, (timing, length) in enumerate(zip(timings, lengths, strict=True)):
        alone = recipe.decay != "run" and not held
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
                rise_steps=0 if alone or not index else round(timing.warmup_epochs * epoch_steps),
            )
        )
    return tuple(made)
