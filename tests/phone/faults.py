"""`Faults`: what goes wrong with a phone of the tests."""

import dataclasses


@dataclasses.dataclass
class Faults:
    """Switches, off unless set; they may be changed at any time. Those of the tool act on its next run.

    Args:
        drop_after: the connection breaks, once, after so many more bytes from the computer.
        drop_after_sent: the same, after so many more bytes to the computer.
        frozen: nothing is answered any more, but the connection stays.
        unauthorized: the phone waits for its owner to accept the computer.
        without_shell_v2: an old phone, on which exit codes are lost.
        room_bytes: pushes fail once they have brought so many bytes: the disk is full.
        killed_runs: the tool is killed in so many of its next runs (low memory).
        killed_model: and in every run on a model whose file name has this in it.
        hanging_runs: the tool never ends in so many of its next runs.
        garbled_runs: its output is damaged in so many of its next runs,
        partial_runs: or ends in the middle.
        slow_first_seconds: the first run of a model takes this much longer.
        coarse_clock: it prints a time of 0 for every run but the longest.
        unknown_options: options that the tool does not know.
        style: of the output: "tflite", "old" (TFLite, years ago), "litert" (LiteRT 2).
    """

    drop_after: int | None = None
    drop_after_sent: int | None = None
    frozen: bool = False
    unauthorized: bool = False
    without_shell_v2: bool = False
    room_bytes: int | None = None
    killed_runs: int = 0
    killed_model: str = ""
    hanging_runs: int = 0
    garbled_runs: int = 0
    partial_runs: int = 0
    slow_first_seconds: float = 0.0
    coarse_clock: bool = False
    unknown_options: tuple[str, ...] = ()
    style: str = "tflite"
