"""What computes no network must not cost the start of TensorFlow: checked on whole processes, at their end."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from ofa_tf import spaces
from ofa_tf.spaces.population import feature_count
from tests.benchmark_modules import benchmark_module
from tests.reference import ROOT

startup = benchmark_module("startup")

TENSORFLOW = {"tensorflow", "keras", "tf_keras"}
# Each takes between half a second and one and a half to import.
SLOW = {"matplotlib", "scipy", "sklearn"}

# Runs a module as `python -m` does, and writes what was imported up to its end.
PROGRAM = """
import json, runpy, sys
output, module, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    with open(output, "w") as file:
        json.dump(sorted({name.partition(".")[0] for name in sys.modules}), file)
"""


def imported(tmp_path, command, code=0):
    """The packages that a command has imported when it ends."""
    output = tmp_path / "imported.json"
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, output, *command], cwd=ROOT, env=variables, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-2000:]
    return set(json.loads(output.read_text()))


@pytest.fixture(name="commands", scope="module")
def _commands(tmp_path_factory):
    return startup.commands_without_networks(tmp_path_factory.mktemp("inputs"))


@pytest.mark.parametrize(
    ("name", "slow"),
    [
        ("tools.search", set()),
        ("tools.search, table", set()),
        ("tools.search, published table", set()),
        ("tools.search, regression", set()),
        ("tools.search --front", {"matplotlib"}),
        ("tools.convert_latency_table", set()),
        ("tools.convert_latency_table, published table", set()),
        ("tools.convert_latency_table --format=ofa", set()),
        ("tools.fit_accuracy_predictor", {"scipy", "sklearn"}),
        ("tools.fit_latency_predictor", {"scipy", "sklearn"}),
        ("mobile_bench.devices", set()),
    ],
)
def test_a_command_without_networks(tmp_path, commands, name, slow):
    """To its end, on small inputs; of what is slow, it imports what it needs."""
    command = commands[name]
    if command[0] == "tools.search":
        command = [*command, "--generations=20"]
    assert imported(tmp_path, command) & (TENSORFLOW | SLOW) == slow


def test_every_command_that_is_timed_is_here(commands):
    """So that the figures of docs/results/speed.md are of commands that are held to this."""
    (marker,) = test_a_command_without_networks.pytestmark
    assert list(commands) == [name for name, _ in marker.args[1]]


def test_a_search_by_a_published_predictor(tmp_path, commands):
    """A `.pth` file, as the authors publish it: torch reads it, TensorFlow does not come with that."""
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    space = spaces.get("ofa_mbv3_d234_e346_k357_w1.2")
    space = space.replace(resolutions=tuple(range(112, 225, 16)))
    rng = np.random.default_rng(0)
    sizes = [feature_count(space), 8, 1]
    tensors = {
        f"layers.{place}.weight": torch.tensor(rng.normal(0, 0.1, (after, before)), dtype=torch.float32)
        for place, (before, after) in enumerate(itertools.pairwise(sizes))
    }
    torch.save(tensors, tmp_path / "predictor.pth")
    flags = (f"--predictor={tmp_path}/predictor.pth", "--max_macs=3e8", "--generations=5")
    packages = imported(tmp_path, ["tools.search", *flags, f"--output={tmp_path}/arch.json"])
    assert "torch" in packages
    assert not packages & (TENSORFLOW | SLOW)


@pytest.mark.parametrize("name", startup.helps())
def test_the_help_of_every_binary(tmp_path, name):
    packages = imported(tmp_path, startup.helps()[name])
    assert "absl" in packages
    assert not packages & (TENSORFLOW | SLOW)


def test_a_mistake_in_a_search(tmp_path):
    """A wrong path is told at once, too."""
    flags = (f"--predictor={tmp_path}/none.npz", "--max_macs=3e8", f"--output={tmp_path}/arch.json")
    assert not imported(tmp_path, ["tools.search", *flags], code=2) & (TENSORFLOW | SLOW)


@pytest.mark.parametrize(
    ("use", "slow"),
    [
        ("import ofa_tf.spaces.population, ofa_tf.common.cli", set()),
        ("import ofa_tf.predictors, ofa_tf.search", set()),
        ("import ofa_tf.interop", set()),
        ("from ofa_tf import zoo; zoo.names(); zoo.supernet_names(); zoo.specialized(zoo.names()[0]).macs", set()),
        ("import ofa_tf.report", {"matplotlib"}),
    ],
)
def test_the_library(use, slow):
    """What describes, predicts, searches, reads and draws."""
    program = f"{use}\nimport sys\nprint({TENSORFLOW | SLOW} & set(sys.modules) == {slow})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
