"""Trains Imagenette by several recipes for people's photos, and scores them; resumable.

    python -m benchmarks.photos_recipe --rows=pilots --data_dir=imagenette
    python -m benchmarks.photos_recipe --rows=delayed,six_stages,two_stages --data_dir=imagenette

Rows are those of `photos_config.py`. Of each, the smallest sub-network at 128 px (not of a pilot, which trains the
largest alone) and the largest at 160 px are evaluated on 1,000 held-out photos; ROW.json in --results has their top-1
and the seconds of the training.
"""

import json
import os
import pathlib

from absl import flags

from benchmarks.children import Children
from ofa_tf.common import cli

_ROWS = flags.DEFINE_list("rows", None, "rows of photos_config.py, or pilots", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "folder with train/<class>/", required=True)
_RUNS = flags.DEFINE_string("runs", "runs/photos", "folder for the run directories")
_RESULTS = flags.DEFINE_string("results", "benchmarks/results/photos", "folder for the small results")
_NICE = flags.DEFINE_integer("nice", 10, "how much the priority is lowered", lower_bound=0, upper_bound=19)

_SCORED = {"smallest": 128, "largest": 160}


def main(argv):
    """Runs what is missing."""
    del argv
    from benchmarks.photos_config import PILOTS, ROWS
    from ofa_tf.common import InputError

    wanted = [name for text in _ROWS.value for name in (PILOTS if text == "pilots" else (text,))]
    for name in wanted:
        if name not in ROWS | PILOTS:
            raise InputError(f"--rows={name}: expected pilots, or some of {', '.join(ROWS | PILOTS)}")
    os.nice(_NICE.value)
    results, runs = pathlib.Path(_RESULTS.value), pathlib.Path(_RUNS.value)
    for folder in (results, runs):
        folder.mkdir(parents=True, exist_ok=True)
    with Children(runs / ".lock") as children:
        for name in wanted:
            _finish(name, runs / name, results / f"{name}.json", children)


def _finish(name: str, run_dir: pathlib.Path, output: pathlib.Path, children: Children) -> None:
    from benchmarks.photos_config import get_config
    from ofa_tf.common import InputError, read_json, write_json

    planned = json.loads(json.dumps(get_config(name).to_dict()))
    if output.exists():
        if read_json(output, "row")["config"] != planned:
            raise InputError(f"{output}: of another configuration than {name} has now; remove it to train it anew")
        print(f"{name}: done", flush=True)
        return
    config = f"--config={pathlib.Path(__file__).with_name('photos_config.py')}:{name}"
    children.run("tools.train", config, f"--data_dir={_DATA_DIR.value}", f"--run_dir={run_dir}")
    top1 = {}
    for arch, resolution in _SCORED.items():
        if arch == "smallest" and list(planned["stages"]) == ["full"]:
            continue
        scored = run_dir / f"{arch}.json"
        children.run(
            "tools.evaluate",
            f"--run_dir={run_dir}",
            f"--arch={arch}",
            f"--resolution={resolution}",
            f"--output={scored}",
        )
        top1[f"{arch} at {resolution} px"] = read_json(scored, "result")["top1"]
    from ofa_tf.training import RunDirectory

    seconds = [line["seconds"] for line in RunDirectory.open(run_dir).read_log("timing")]
    write_json(output, {"row": name, "config": planned, "top1": top1, "training_seconds": sum(seconds)})


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
