"""What programs wrote, for messages of one line."""

_LONGEST = 200


def shortened(text: str) -> str:
    """The text in one line, without its end where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
