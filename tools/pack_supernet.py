"""Packs a run's supernet into one file, which works without the run.

    python -m tools.pack_supernet --run_dir=RUN --output=supernet.npz

The file is what tools.evaluate, tools.collect_accuracy and tools.export_tflite take as `--supernet`, and what
tools.train can start from. It holds the weights (kernels in half precision unless `--dtype=float32`), the space, the
class names, the preprocessing, and where it all comes from: configuration, data, metrics, and the commit if this code
lies in a git checkout of its own.
"""

import datetime
import pathlib
import subprocess

from absl import flags

from ofa_tf.common import cli

_RUN_DIR = flags.DEFINE_string("run_dir", None, "the run", required=True)
_STAGE = flags.DEFINE_string("stage", None, "the stage whose weights are packed; the last finished one unless given")
_DTYPE = flags.DEFINE_enum("dtype", "float16", ["float16", "float32"], "of the kernels in the file")
_OUTPUT = flags.DEFINE_string("output", None, "the .npz file", required=True)


def main(argv):
    """Packs."""
    del argv
    import os

    from ofa_tf.networks import PackedSupernet
    from ofa_tf.training import RunDirectory

    run = RunDirectory.open(_RUN_DIR.value)
    # Unnamed, so that unfinished stages are told.
    net = run.load_supernet(_STAGE.value)
    stage = _STAGE.value or run.finished_stages()[-1]
    measured = [
        {key: line[key] for key in ("subnet", "split", "top1", "images", "arch")}
        for line in run.read_log("metrics")
        if line["stage"] == stage and "subnet" in line
    ]
    PackedSupernet(
        net,
        preprocessing=run.recipe.preprocessing.to_config(),
        augmentation=run.recipe.augmentation.to_config(),
        class_names=tuple(run.dataset["class_names"]),
        dataset={key: run.dataset[key] for key in ("validation", "seed", "digest") if key in run.dataset},
        provenance={
            "recipe": run.recipe.to_config(),
            "stage": stage,
            "begun_with": dict(run.initial),
            "teacher": dict(run.teacher),
            "metrics": measured,
            "commit": _commit(),
            "packed": datetime.datetime.now(datetime.UTC).date().isoformat(),
        },
    ).save(_OUTPUT.value, dtype=_DTYPE.value)
    print(f"{_OUTPUT.value}: stage {stage}, {os.path.getsize(_OUTPUT.value):,} bytes")


def _commit() -> str:
    """The commit of this code's checkout, "" where there is none."""
    folder = pathlib.Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError:  # no git here
        return ""
    return done.stdout.strip()


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
