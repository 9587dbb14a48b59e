"""Trains and scores the rows of docs/results/cifar10.md, one after the other; the same command resumes.

    python -m benchmarks.cifar10 --rows=pilots --data_dir=cifar10
    python -m benchmarks.cifar10 --rows=all --data_dir=cifar10
    python -m benchmarks.cifar10 --rows=search,board --data_dir=cifar10
    python -m benchmarks.cifar10_table --picture=docs/results/cifar10.svg

Rows (`cifar10_config.py` has them) are trained by `tools.train` under --runs, scored by `benchmarks.cifar10_score`, and
leave ROW.json and ROW_metrics.jsonl in --results, nothing else. A row that is there is passed over; one that was
interrupted, by whatever, goes on at its last checkpoint. `search`: 300 pairs of the row `s_delayed_seed0`, a predictor
of them, and searched sub-networks against 100 random ones at three limits of MACs. `board`: 300 pairs of
the row `m_delayed_seed0` and a predictor of them, the best sub-network of at most 12.5 million MACs (MLPerf Tiny's
reference for these images has as many) in the microcontroller's runtime, and the packed supernet. Everything runs with
lowered priority.
"""

import json
import os
import pathlib
import shutil

from absl import flags

from benchmarks.children import Children
from ofa_tf.common import cli

_ROWS = flags.DEFINE_list("rows", None, "names, or pilots, all, search, board", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "folder with train/<class>/*.jpg, 50,000 images", required=True)
_RUNS = flags.DEFINE_string("runs", "runs/cifar10", "folder for the run directories")
_RESULTS = flags.DEFINE_string("results", "benchmarks/results/cifar10", "folder for the small results")
_NICE = flags.DEFINE_integer("nice", 10, "how much the priority is lowered", lower_bound=0, upper_bound=19)
_OVERRIDES = flags.DEFINE_list("overrides", [], "for trying this out: flags that tools.train gets, config.seed=3")

_SEARCHED_ROW, _BOARD_ROW = "s_delayed_seed0", "m_delayed_seed0"
_BOARD_MACS = 12_500_000


def main(argv):
    """Runs what is missing."""
    del argv
    from benchmarks.cifar10_config import PILOTS, ROWS

    groups = {"pilots": tuple(PILOTS), "all": tuple(ROWS), "search": (_SEARCHED_ROW,), "board": (_BOARD_ROW,)}
    known = ROWS | PILOTS
    wanted = list(dict.fromkeys(name for text in _ROWS.value for name in groups.get(text, (text,))))
    for name in wanted:
        if name not in known:
            from ofa_tf.common import InputError

            raise InputError(f"--rows={name}: expected pilots, all, search, board, or some of {', '.join(known)}")
    os.nice(_NICE.value)
    results = pathlib.Path(_RESULTS.value)
    for folder in (results, pathlib.Path(_RUNS.value)):
        folder.mkdir(parents=True, exist_ok=True)
    with Children(pathlib.Path(_RUNS.value) / ".lock") as children:
        for name in wanted:
            _finish_row(name, known, results, children)
        if "search" in _ROWS.value:
            _search(results, children)
        if "board" in _ROWS.value:
            _board(results, children)


def _finish_row(name: str, known: dict, results: pathlib.Path, children: Children) -> None:
    from benchmarks.cifar10_config import get_config
    from ofa_tf.common import InputError, read_json
    from ofa_tf.common.splits import with_validation

    output = results / f"{name}.json"
    if output.exists():
        row, planned = read_json(output, "row"), json.loads(json.dumps(get_config(name).to_dict()))
        kept = with_validation(row["config"], str(output)), row.get("overrides", [])
        if kept != (planned, _OVERRIDES.value):
            raise InputError(f"{output}: of another configuration than {name} has now; remove it to train it anew")
        print(f"{name}: done", flush=True)
        return
    run_dir = pathlib.Path(_RUNS.value) / name
    teaching = []
    if known[name].teacher:
        _finish_row(known[name].teacher, known, results, children)
        teaching = [f"--teacher={pathlib.Path(_RUNS.value) / known[name].teacher}"]
    children.run(
        "tools.train",
        f"--config={pathlib.Path(__file__).with_name('cifar10_config.py')}:{name}",
        f"--data_dir={_DATA_DIR.value}",
        f"--run_dir={run_dir}",
        *teaching,
        *(f"--{override}" for override in _OVERRIDES.value),
    )
    shutil.copyfile(run_dir / "metrics.jsonl", results / f"{name}_metrics.jsonl")
    # Last: with this file the row is done.
    children.run(
        "benchmarks.cifar10_score",
        f"--row={name}",
        f"--run_dir={run_dir}",
        f"--data_dir={_DATA_DIR.value}",
        f"--output={output}",
        *(f"--override={override}" for override in _OVERRIDES.value),
    )


def _search(results: pathlib.Path, children: Children) -> None:
    output = results / f"{_SEARCHED_ROW}_search.json"
    if output.exists():
        print(f"{output}: done", flush=True)
        return
    run_dir = pathlib.Path(_RUNS.value) / _SEARCHED_ROW
    children.run(
        "benchmarks.searched_against_random",
        f"--run_dir={run_dir}",
        f"--data_dir={_DATA_DIR.value}",
        f"--pairs={_pairs(run_dir, children)}",
        "--count=100",
        f"--output={output}",
    )


def _board(results: pathlib.Path, children: Children) -> None:
    output = results / f"{_BOARD_ROW}_board.json"
    if output.exists():
        print(f"{output}: done", flush=True)
        return
    run_dir = pathlib.Path(_RUNS.value) / _BOARD_ROW
    predictor = run_dir / "predictor.npz"
    children.run("tools.fit_accuracy_predictor", f"--pairs={_pairs(run_dir, children)}", f"--output={predictor}")
    packed = results / f"{_BOARD_ROW}.npz"
    children.run("tools.pack_supernet", f"--run_dir={run_dir}", "--dtype=float16", f"--output={packed}")
    children.run(
        "benchmarks.microcontroller",
        f"--run_dir={run_dir}",
        f"--data_dir={_DATA_DIR.value}",
        f"--predictor={predictor}",
        f"--max_macs={_BOARD_MACS}",
        "--images=5000",
        f"--output={output}",
    )


def _pairs(run_dir: pathlib.Path, children: Children) -> pathlib.Path:
    """Accuracies of 300 sub-networks; goes on where it was stopped."""
    children.run("tools.collect_accuracy", f"--run_dir={run_dir}", f"--data_dir={_DATA_DIR.value}", "--count=300")
    return run_dir / "accuracy.jsonl"


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
