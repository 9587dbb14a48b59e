"""The learning rate of a stage."""

import math


def learning_rate(step: int, *, steps: int, warmup_steps: int, peak: float, start: float) -> float:
    """Linear warm-up from `start` to `peak`, then cosine decay to zero.

    Args:
        step: from 0.
        steps: of the stage, warm-up included.
        warmup_steps: how many of them warm up.
        peak: the rate after warm-up, scaled to the batch.
        start: the rate of the first step, not scaled to the batch (at most `peak` counts).

    Source: reference facts, "Progressive shrinking as published".
    """
    if step < warmup_steps:
        start = min(start, peak)
        return start + (peak - start) * step / warmup_steps
    return 0.5 * peak * (1.0 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps)))
