"""Runs that are killed and resumed, against one that is not: the same bits.

    python -m benchmarks.resume --output=benchmarks/results/resume.json

Trains the digits for a few epochs of three stages with `--deterministic`, once to its end, and ten times with a SIGKILL
at a random moment, up to --kills times before it is left to reach its end; a kill that comes before the first
checkpoint begins the run anew. Weights of all stages and `metrics.jsonl` are compared byte by byte. Takes a quarter of
an hour on two cores.
"""

import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from absl import flags

from ofa_tf.common import cli

_RUNS = flags.DEFINE_integer("runs", 10, "how many runs are killed", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "of the moments")
_KILLS = flags.DEFINE_integer("kills", 2, "how often each run is killed, at most", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

_STAGES = ("full", "kernel", "depth1")
_COMMAND = (
    sys.executable, "-m", "tools.train", "--config=ofa_tf/configs/digits.py", "--deterministic",
    "--stages=" + ",".join(_STAGES), "--config.checkpoint_steps=5", "--config.evaluate_every=2",
    *(f"--config.stages.{stage}.epochs=4" for stage in _STAGES),
)  # fmt: skip


def main(argv):
    """Trains, kills, resumes and compares."""
    del argv
    from ofa_tf.common import OfaError, write_json

    moments, rows = random.Random(_SEED.value), []
    with tempfile.TemporaryDirectory() as folder:
        whole = pathlib.Path(folder) / "whole"
        began = time.monotonic()
        train(whole)
        seconds = time.monotonic() - began
        print(f"uninterrupted: {seconds:.0f} s", flush=True)
        for index in range(_RUNS.value):
            path = pathlib.Path(folder) / f"run{index}"
            killed_at = []
            while len(killed_at) < _KILLS.value:
                # From before the first step to after the last one.
                moment = moments.uniform(0.15, 1.0) * seconds
                if train(path, kill_after=moment):
                    if killed_at:
                        break
                    # It was faster than the uninterrupted one: once more, until it is killed.
                    shutil.rmtree(path)
                    continue
                killed_at.append({"seconds": moment, "left": left_behind(path)})
            else:
                train(path)
            same = {name: equal(whole / name, path / name) for name in files()}
            rows.append({"killed": killed_at, **same})
            print(
                f"run {index}: killed after {[round(kill['seconds']) for kill in killed_at]} s, the same: {same}",
                flush=True,
            )
    good = sum(all(row[name] for name in files()) for row in rows)
    print(f"{good} of {len(rows)} runs, killed {sum(len(row['killed']) for row in rows)} times, end with the same bits")
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"command": list(_COMMAND[1:]), "seconds": seconds, "identical": good, "runs": rows})
    if good < len(rows):
        raise OfaError(f"{len(rows) - good} runs differ from the uninterrupted one")


def files() -> tuple[str, ...]:
    """What is compared."""
    return (*(f"stages/{stage}.npz" for stage in _STAGES), "metrics.jsonl")


def train(path: pathlib.Path, kill_after: float | None = None) -> bool:
    """Runs the command; whether it reached its end before it was killed."""
    with subprocess.Popen(
        [*_COMMAND, f"--run_dir={path}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            _, errors = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return False
    if process.returncode:
        raise RuntimeError(errors.decode()[-2000:])
    return True


def left_behind(path: pathlib.Path) -> list[str]:
    """The checkpoints and finished stages that a killed run has left."""
    return sorted(str(file.relative_to(path)) for file in path.rglob("*.npz"))


def equal(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Whether both files hold the same: arrays bit by bit, text byte by byte."""
    import numpy as np

    if one.suffix != ".npz":
        return one.read_bytes() == other.read_bytes()
    with np.load(one) as first, np.load(other) as second:
        return first.files == second.files and all(
            first[name].tobytes() == second[name].tobytes() for name in first.files
        )


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
