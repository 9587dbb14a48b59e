"""How many files a reader must open to follow one thing through the code: those whose functions are called on its way.

    python -m benchmarks.journeys
    git worktree add ../before 3cc3a28
    python -m benchmarks.journeys --before=../before

Three journeys, each of one or two commands on small inputs, whole processes under Python's own profiler: an
architecture from `tools.search` to a `.tflite` file; an image from disk to the loss of a training step; a block to an
entry of this machine's latency table and into a search. Counted are files of `ofa_tf`, `tools` and `mobile_bench` in
which some function runs; what only runs while a module is imported is not, nor are other processes.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from absl import flags

from ofa_tf.common import cli

_BEFORE = flags.DEFINE_string("before", None, "another checkout, whose files are counted beside those of this one")

_SUPERNET = "ofa_imagenette_mbv3"
_PROGRAM = """
import json, os, runpy, sys, threading
output, module, *sys.argv[1:] = sys.argv[1:]
here, files, code = os.getcwd() + os.sep, set(), 0

def look(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_name != "<module>" and code.co_filename.startswith(here):
        outer = frame.f_back
        while outer is not None and outer.f_code.co_name != "<module>":
            outer = outer.f_back
        # Decorators, dataclasses and tables that run while their module is imported are not on the way.
        if outer is None or outer.f_globals.get("__name__") in ("__main__", "runpy", None):
            files.add(code.co_filename.removeprefix(here))

threading.setprofile(look)
sys.setprofile(look)
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as end:
    code = end.code
finally:
    sys.setprofile(None)
    with open(output, "w") as file:
        json.dump(sorted(files), file)
sys.exit(code)
"""
_ROOMS = ("ofa_tf/", "tools/", "mobile_bench/")


def main(argv):
    """Counts and prints."""
    del argv
    trees = {"now": pathlib.Path(__file__).resolve().parents[1]}
    if _BEFORE.value is not None:
        trees["before"] = pathlib.Path(_BEFORE.value).resolve()
    for name, commands in journeys().items():
        counts = {}
        for label, tree in trees.items():
            with tempfile.TemporaryDirectory() as folder:
                files = {file for command in commands for file in visited(tree, pathlib.Path(folder), command)}
            counts[label] = len(files)
            print(f"    {label}: {' '.join(sorted(files))}", flush=True)
        print(f"{name}: " + ", ".join(f"{count} files {label}" for label, count in counts.items()), flush=True)


def journeys() -> dict[str, list[list[str]]]:
    """The commands of each journey; FOLDER in them is an empty folder."""
    stages = ("full", "kernel", "depth1", "depth2", "expand1", "expand2")
    return {
        "an architecture to a .tflite": [
            ["tools.search", f"--predictor={_SUPERNET}", "--max_macs=20e6", "--output=FOLDER/arch.json"],
            ["tools.export_tflite", f"--supernet={_SUPERNET}", "--arch=FOLDER/arch.json", "--output=FOLDER/m.tflite"],
        ],
        "an image to the loss": [
            ["tools.train", "--config=ofa_tf/configs/digits.py", "--dataset=folder", "--data_dir=FOLDER/photos",
             "--config.VALIDATION=20", "--config.calibration_images=50", "--config.batch_size=32",
             *(f"--config.stages.{stage}.epochs=1" for stage in stages), "--run_dir=FOLDER/run"],
        ],
        "a block to a table and a search": [
            ["mobile_bench.build_latency_table", "--device=host", "--space=ofa_tiny", "--precision=float32",
             "--resolutions=24", "--output=FOLDER/host.json"],
            ["tools.search", f"--predictor={_SUPERNET}", "--max_macs=20e6", "--output=FOLDER/arch.json"],
        ],
    }  # fmt: skip


def visited(tree: pathlib.Path, folder: pathlib.Path, command: list[str]) -> list[str]:
    """The files of a checkout in which functions run during a command."""
    from ofa_tf import zoo

    output, photos = folder / "files.json", folder / "photos" / "train"
    if not photos.exists():
        photos.parent.mkdir()
        photos.symlink_to(zoo.photos(_SUPERNET) / "train")
    # Of what the split was called before.
    validation = "validation" if (tree / "ofa_tf" / "common" / "splits.py").exists() else "holdout"
    arguments = [text.replace("FOLDER", str(folder)).replace("VALIDATION", validation) for text in command]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(output), *arguments],
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        print(f"    {command[0]} ended with {done.returncode}: {done.stderr[-300:]}")
    return [file for file in json.loads(output.read_text()) if file.startswith(_ROOMS)]


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
