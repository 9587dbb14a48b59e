"""The rounding of channel counts."""


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Rounds to the nearest multiple of `divisor`, at least `divisor`, never below 90% of `channels`.

    Source: docs/method.md, "Channel counts".

    Example:
        make_divisible(16 * 1.2)  # 24
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
