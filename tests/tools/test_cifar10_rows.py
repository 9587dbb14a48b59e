"""The rows of docs/results/cifar10.md at a size that takes a minute: trained, scored, passed over, gone on with."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ofa_tf import spaces
from tests.benchmark_modules import benchmark_module
from tests.data.image_files import write_folder

cifar10_table = benchmark_module("cifar10_table")
subnets_of = benchmark_module("cifar10_score").subnets_of

JOINT, ALONE = "s_joint60_seed0", "pilot_decay_1e-4"


def command(tmp_path, row: str, stage: str, epochs: float) -> list[str]:
    overrides = {
        "validation": 20, "batch_size": 8, "calibration_images": 40, f"stages.{stage}.epochs": epochs,
    }  # fmt: skip
    return [
        sys.executable, "-m", "benchmarks.cifar10", f"--rows={row}", f"--data_dir={tmp_path / 'images'}",
        f"--runs={tmp_path / 'runs'}", f"--results={tmp_path / 'results'}", "--nice=0",
        "--overrides=" + ",".join(f"config.{name}={value}" for name, value in overrides.items()),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)  # six processes, each of which traces
def test_rows_are_trained_scored_passed_over_and_gone_on_with(tmp_path):
    """Nothing but small results is left beside the runs; a killed driver's command keeps a second one out."""
    write_folder(tmp_path / "images" / "train", {"ant": 50, "bee": 50}, size=(32, 32))
    joint = command(tmp_path, JOINT, "joint", 29.5)
    first = subprocess.Popen(joint, stdout=subprocess.DEVNULL)
    checkpoints = tmp_path / "runs" / JOINT / "checkpoints"
    deadline = time.monotonic() + 1200
    while not list(checkpoints.glob("*.npz")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    refused = subprocess.run(joint, capture_output=True, text=True)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "a command of another driver still runs" in refused.stderr
    while subprocess.run(joint, capture_output=True).returncode == 2:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    subprocess.run(command(tmp_path, ALONE, "full", 0.5), check=True)
    results = tmp_path / "results"
    names = sorted(path.name for path in results.iterdir())
    assert names == sorted(f"{row}{end}" for row in (JOINT, ALONE) for end in (".json", "_metrics.jsonl"))
    scored = json.loads((results / f"{JOINT}.json").read_text())
    assert [subnet["subnet"] for subnet in scored["subnets"][:2]] == ["D1-W3-K3", "D1-W3-K5"]
    assert (len(scored["subnets"]), scored["images"], scored["resolution"]) == (38, 20, 32)
    epochs = [line["epoch"] for line in map(json.loads, (results / f"{JOINT}_metrics.jsonl").open()) if "loss" in line]
    assert epochs == list(range(1, 31))
    again = subprocess.run(joint, capture_output=True, text=True, check=True)
    assert again.stdout == f"{JOINT}: done\n"
    scored["config"]["seed"] = 7
    (results / f"{JOINT}.json").write_text(json.dumps(scored))
    other = subprocess.run(joint, capture_output=True, text=True)
    assert (other.returncode, "of another configuration" in other.stderr) == (2, True)
    table = subprocess.run(
        [sys.executable, "-m", "benchmarks.cifar10_table", f"--results={results}"], capture_output=True, text=True
    )
    assert (table.returncode, "| D3-W6-K5 | 3.68 |" in table.stdout) == (0, True)


def test_every_row_of_a_space_is_scored_on_the_same_subnets():
    """Eight corners, thirty random ones; of a space of one network, that one."""
    space = spaces.get("ofa_cifar_s")
    subnets = subnets_of(space, 30)
    assert list(subnets)[:8] == [f"D{d}-W{e}-K{ks}" for d in (1, 3) for e in (3, 6) for ks in (3, 5)]
    assert len(set(subnets.values())) == len(subnets) == 38
    assert subnets == subnets_of(spaces.get("ofa_cifar_s"), 30)
    alone = subnets_of(space.restricted(d=(3,), e=(3,), ks=(5,)), 30)
    assert {name: alone[name].d for name in alone} == {"D3-W3-K5": (3, 3)}


def test_the_picture_and_the_tables_show_what_was_scored():
    """Means over the seeds; a bar for each corner with its figure; the twin of a network that was trained alone."""
    names = list(subnets_of(spaces.get("ofa_cifar_s"), 2))

    def row(name, *tops):
        config = {"space": "ofa_cifar_s", "stages": {"joint": {"epochs": 59.5, "warmup_epochs": 0.5}}}
        subnets = [
            {"subnet": subnet, "top1": top1, "macs": 10**6}
            for subnet, top1 in zip(names if len(tops) > 1 else names[:1], tops, strict=True)
        ]
        return {"row": name, "config": config, "subnets": subnets, "training_seconds": 60.0}

    tops = np.linspace(0.7, 0.79, 10)
    rows = {
        name: row(name, *shifted)
        for name, shifted in {
            "s_delayed_seed0": tops + 0.02, "s_delayed_seed1": tops + 0.04, "s_joint60_seed0": tops,
            "s_joint16_seed1": tops - 0.1, "s_delayed16_seed1": tops - 0.08, "s_delayed16_seed0": tops - 0.2,
            "s_alone15_d1_e3_k3": [0.69],
        }.items()
    }  # fmt: skip
    table = cifar10_table.table(rows)
    assert "| sub-network | million MACs | s_delayed_seed0 | s_delayed_seed1 | s_joint60_seed0 |" in table
    assert "| D1-W3-K3 | 1.00 | 72.0 | 74.0 | 70.0 |" in table
    assert "| mean of the random ones |  | 80.50 | 82.50 | 78.50 |" in table
    assert "| s_alone15_d1_e3_k3 | D1-W3-K3 | 1.00 | 69.0 | 72.0 | 74.0 | 70.0 |" in cifar10_table.alone_table(rows)
    assert "| s_joint60_seed0 | 60 | 1 |" in cifar10_table.cost_table(rows)
    picture = cifar10_table.picture(rows)
    assert picture.startswith("<svg")
    # Seeds that both have: the first of 60 passes, the second of 16.
    for text in (
        "D3-W6-K5",
        "72.0",
        "70.0",
        "62.0",
        "60.0",
        "60 passes over the images, 1 seed",
        "alone, 15 passes: D1-W3-K3 69.0",
    ):
        assert text in picture
