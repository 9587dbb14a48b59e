"""How long the commands that compute no network take as whole processes, and every --help.

    python -m benchmarks.startup --output=benchmarks/results/startup.json
    git worktree add ../before COMMIT
    python -m benchmarks.startup --before=../before --output=benchmarks/results/startup.json

Each command is run several times, from the start of Python to its end, in turns with the same one in the other tree,
whose sources are compiled before. The inputs are small and made here: a table and
latencies in proportion to the multiply-accumulates, so no time but that of the programs is in the figures.
`mobile_bench.devices` is given an adb that sees no phone: starting adb's server, which takes some seconds once, is left
out.
"""

import pathlib

from absl import flags

from ofa_tf.common import cli

_BEFORE = flags.DEFINE_string("before", None, "another checkout, whose commands are timed in turns with those of this")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "runs of each command", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

_PREDICTOR = "ofa_mbv3_d234_e346_k357_w1.0"
_MILLISECONDS_PER_MAC = 1e-7
_SECONDS = 300.0


def main(argv):
    """Times and prints."""
    del argv
    import statistics
    import tempfile

    import tqdm

    from ofa_tf.common import write_json

    trees = {"now": pathlib.Path(__file__).resolve().parent.parent}
    if _BEFORE.value:
        trees = {"before": pathlib.Path(_BEFORE.value).resolve(), **trees}
    with tempfile.TemporaryDirectory() as folder:
        commands = {**commands_without_networks(pathlib.Path(folder)), **helps()}
        seconds = {name: {tree: [] for tree in trees} for name in commands}
        for root in trees.values():
            _run(["compileall", "-q", "mobile_bench", "ofa_tf", "tools"], root)
        for _ in tqdm.trange(_ROUNDS.value, desc="turns", disable=None):
            for name, command in commands.items():
                for tree, root in trees.items():
                    seconds[name][tree].append(_run(command, root))
    medians = {
        name: {tree: statistics.median(taken) for tree, taken in found.items()} for name, found in seconds.items()
    }
    for name, found in medians.items():
        print(f"{name:56}", ", ".join(f"{tree} {value:.2f} s" for tree, value in found.items()))
    for tree in trees:
        longest = max((found[tree], name) for name, found in medians.items() if name.endswith("--help"))
        print(f"longest --help, {tree}: {longest[0]:.2f} s, {longest[1]}")
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"median_seconds": medians, "seconds": seconds})


def helps() -> dict[str, list[str]]:
    """The --help of every binary, by its name."""
    import importlib.metadata

    scripts = importlib.metadata.distribution("ofa_tf").entry_points.select(group="console_scripts")
    return {
        f"{name} --help": [name, "--help"]
        for name in sorted(script.module.removeprefix("ofa_tf.") for script in scripts)
    }


def commands_without_networks(folder: pathlib.Path) -> dict[str, list[str]]:
    """The commands that compute no network, each with its small inputs.

    Args:
        folder: an empty one, for inputs and outputs.

    Returns:
        Module and flags by what the command does.
    """
    import numpy as np

    from ofa_tf import interop, zoo
    from ofa_tf.common import append_json_line
    from ofa_tf.predictors import BlockLatency, LatencyRegression, LatencyTable, PairsFile
    from ofa_tf.spaces import costs
    from ofa_tf.spaces.population import distinct_blocks

    space = zoo.accuracy_predictor(_PREDICTOR).space
    blocks = {
        block.key: BlockLatency(_MILLISECONDS_PER_MAC * costs.macs(block), None, 0.0, 50)
        for block in distinct_blocks(space)
    }
    table = LatencyTable("device", "float32", 1, "fused", blocks=blocks, resolutions=space.resolutions)
    table.save(folder / "table.json")
    interop.save_ofa_latency_table(table, space, folder / "published")
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(60)]
    macs = np.array([space.count_macs(arch) for arch in archs])
    latencies_ms = _MILLISECONDS_PER_MAC * macs
    LatencyRegression.fit(space, archs, latencies_ms, device="device").save(folder / "regression.npz")
    pairs = PairsFile(folder / "accuracy.jsonl", space)
    for arch, top1 in zip(archs[:20], 0.7 + 0.05 * np.log(macs / macs.max()), strict=False):
        pairs.add(arch, float(top1), images=1000, split="validation")
    for arch, latency_ms in zip(archs, latencies_ms, strict=True):
        append_json_line(folder / "latency.jsonl", {"arch": arch.to_dict(), "latency_ms": float(latency_ms)})
    search = ["tools.search", f"--predictor={_PREDICTOR}", f"--output={folder}/arch.json"]
    convert = ["tools.convert_latency_table", f"--output={folder}/converted.json"]
    latency_limit = [*search, "--max_latency_ms=30"]
    return {
        "tools.search": [*search, "--max_macs=3e8"],
        "tools.search, table": [*latency_limit, f"--latency_table={folder}/table.json"],
        "tools.search, published table": [*latency_limit, f"--latency_table={folder}/published"],
        "tools.search, regression": [*latency_limit, f"--latency_table={folder}/regression.npz"],
        "tools.search --front": [*search, "--front", "--max_macs=3e8"],
        "tools.convert_latency_table": [*convert, f"--tables={folder}/table.json"],
        "tools.convert_latency_table, published table": [*convert, f"--tables={folder}/published"],
        "tools.convert_latency_table --format=ofa": [
            "tools.convert_latency_table", f"--tables={folder}/table.json", f"--space={space.name}", "--format=ofa",
            f"--output={folder}/written",
        ],
        "tools.fit_accuracy_predictor": [
            "tools.fit_accuracy_predictor", f"--pairs={folder}/accuracy.jsonl", f"--output={folder}/predictor.npz",
        ],
        "tools.fit_latency_predictor": [
            "tools.fit_latency_predictor", f"--pairs={folder}/latency.jsonl", f"--space={space.name}",
            f"--output={folder}/fitted.npz",
        ],
        "mobile_bench.devices": ["mobile_bench.devices", "--adb=true"],
    }  # fmt: skip


def _run(command: list[str], root: pathlib.Path) -> float:
    """Seconds of a command in a tree."""
    import os
    import subprocess
    import sys
    import time

    from ofa_tf.common import OfaError

    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    taken = time.perf_counter() - began
    if done.returncode:
        raise OfaError(f"{' '.join(command)} in {root}: {done.stderr[-300:]}")
    return taken


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
