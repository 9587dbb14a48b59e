"""Forty targets from one command, killed twice on the way: 8 budgets x 5 devices from the supernet that ships.

    python -m benchmarks.forty_targets --published=DIR --output=benchmarks/results/forty_targets.json

This machine in float32 and in int8, the loopback phone of the tests (which runs on this machine, too), Note10's
published table with the space of width 1.2 and the official predictor (architectures only), and the memory of a
microcontroller. DIR holds the folder `note10` and `acc_predictor.pth`, which torch reads: it must be installed. Budgets
of latency are spread, on a logarithmic scale, between what the smallest and the largest sub-network take here. The
command is killed with SIGKILL when 10 targets are finished, and again at 25, and given once more each time. Told are
the time of all together and how many targets were measured inside their budgets; asked for are all, in less than 15
minutes on 2 cores.

With --random=200, for the third and the sixth budget of this machine in both precisions: so many random sub-networks
that the table puts inside the same budget, evaluated on the same images as the chosen one. Asked for is that it is no
more than half a point below the best. Give --data_dir (Imagenette) then: on the 100 photos that ship, the best of 200
is the luckiest.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from absl import flags

from ofa_tf.common import cli

_PUBLISHED = flags.DEFINE_string("published", None, "the folder of the published files; 32 targets without")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Imagenette; the photos that ship unless given")
_RANDOM = flags.DEFINE_integer("random", 0, "random sub-networks for each of four targets", lower_bound=0)
_WORKERS = flags.DEFINE_integer("workers", 2, "of tools.specialize", lower_bound=1)
_FOLDER = flags.DEFINE_string("folder", None, "where everything is written; a temporary folder unless given")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

_SUPERNET = "ofa_imagenette_mbv3"
_RESOLUTIONS = (96, 128)
_BUDGETS = 8
_KILLS = (10, 25)
_COMPARED = (2, 5)


def main(argv):
    """Writes the targets, has them specialized, kills, resumes and counts."""
    del argv
    from ofa_tf.common import write_json
    from tests.phone.adb_server import AdbServer
    from tests.phone.loopback_phone import LoopbackPhone

    folder = pathlib.Path(_FOLDER.value or tempfile.mkdtemp(prefix="forty_targets"))
    folder.mkdir(parents=True, exist_ok=True)
    with AdbServer() as server, LoopbackPhone() as phone, server.connected(phone):
        path = folder / "targets.json"
        write_json(path, targets_file(phone.serial))
        command = [
            sys.executable, "-m", "tools.specialize", f"--supernet={_SUPERNET}", f"--targets={path}",
            f"--output={folder / 'out'}", f"--workers={_WORKERS.value}", "--table_rounds=4",
            f"--benchmark_binary={phone.write_tool(folder / 'benchmark_model')}", f"--log_folder={folder / 'logs'}",
            *([f"--data_dir={_DATA_DIR.value}"] if _DATA_DIR.value else []),
        ]  # fmt: skip
        environment = {**os.environ, **server.environment}
        figures = run_killed(command, environment, folder / "out")
    figures |= count(json.loads(path.read_text())["targets"], folder / "out")
    if _RANDOM.value:
        figures["random"] = compare(folder / "out")
    print(json.dumps(figures, indent=1))
    if _OUTPUT.value:
        write_json(_OUTPUT.value, figures)


def targets_file(serial: str) -> dict:
    """Eight budgets for each of five devices."""
    import dataclasses

    from ofa_tf import zoo
    from ofa_tf.common.form import precision_of
    from ofa_tf.deploy import Runner
    from ofa_tf.devices.block_models import model_bytes

    space = zoo.supernet(_SUPERNET).space
    small = dataclasses.replace(space.smallest(), r=_RESOLUTIONS[0])
    large = dataclasses.replace(space.largest(), r=_RESOLUTIONS[-1])

    def span(precision: str, low: float, high: float) -> list[float]:
        ends = []
        for arch in (small, large):
            runner = Runner(model_bytes(space.blocks(arch), precision, form=precision_of(precision).form))
            ends.append(min(runner.time(min_seconds=0.4).median_ms for _ in range(3)))
        return spread(low * ends[0], high * ends[1])

    float32, int8 = span("float32", 1.3, 0.9), span("int8", 1.3, 0.9)
    groups = [
        ("host float32", {"device": "host", "precision": "float32"}, "latency_ms", float32),
        ("host int8", {"device": "host"}, "latency_ms", int8),
        ("phone int8", {"device": serial}, "latency_ms", [float(f"{1.2 * limit:.3g}") for limit in int8]),
        ("board", {"device": "board"}, "peak_memory_bytes", [int(limit) for limit in spread(80e3, 260e3)]),
    ]
    if _PUBLISHED.value is not None:
        published = pathlib.Path(_PUBLISHED.value).resolve()
        fields = {
            "device": "note10",
            "precision": "float32",
            "latency_table": str(published / "note10"),
            "predictor": str(published / "acc_predictor.pth"),
            "resolutions": None,
        }
        groups.append(("note10", fields, "latency_ms", [15, 18, 20, 22, 25, 30, 35, 40]))
    return {
        "defaults": {"resolutions": list(_RESOLUTIONS), "candidates": 4},
        "targets": [
            {"name": f"{name} {limit:g}", "limits": {kind: limit}, **fields}
            for name, fields, kind, limits in groups
            for limit in limits
        ],
    }


def spread(low: float, high: float) -> list[float]:
    """Budgets between two, in equal ratios, in three digits."""
    return [float(f"{low * (high / low) ** (place / (_BUDGETS - 1)):.3g}") for place in range(_BUDGETS)]


def run_killed(command: list[str], environment: dict[str, str], out: pathlib.Path) -> dict:
    """Gives the command until it ends by itself, killing it where the plan says so."""
    began, runs, before = time.monotonic(), [], {}
    for limit in (*_KILLS, None):
        started = time.monotonic()
        process = subprocess.Popen(command, env=environment)
        try:
            while process.poll() is None and (limit is None or len(finished(out)) < limit):
                time.sleep(0.2)
        finally:
            # Also where this is interrupted; what ended by itself is not changed by it.
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            code = process.wait()
        now = finished(out)
        again = [name for name, written in before.items() if now.get(name) != written]
        runs.append({"seconds": time.monotonic() - started, "code": code, "finished": len(now), "done_again": again})
        print(f"run {len(runs)}: {runs[-1]}", flush=True)
        before = now
        if code != -signal.SIGKILL:
            break
    return {"seconds": time.monotonic() - began, "runs": runs, "killed": sum(run["code"] == -9 for run in runs)}


def finished(out: pathlib.Path) -> dict[str, int]:
    """The targets that are done, and when their result was written."""
    found = {}
    for path in out.glob("targets/*/result.json"):
        result = json.loads(path.read_text())
        # One that is still to be measured is "exported".
        if result["status"] in ("verified", "architecture"):
            found[path.parent.name] = path.stat().st_mtime_ns
    return found


def count(targets: list[dict], out: pathlib.Path) -> dict:
    """What came of the targets."""
    from ofa_tf.specialize import TargetResult

    results = [TargetResult.load(path) for path in sorted(out.glob("targets/*/result.json"))]
    statuses = {status: sum(result.status == status for result in results) for status in {it.status for it in results}}
    measured = [result for result in results if any(kind in result.measured for kind in result.target.limits)]
    inside = [
        result
        for result in measured
        if all(result.measured.get(kind, 0) <= limit for kind, limit in result.target.limits.items())
    ]
    return {
        "targets": len(targets),
        "results": len(results),
        "statuses": statuses,
        "measured": len(measured),
        "inside": len(inside),
        "failed": {result.target.name: result.reason for result in results if result.status == "failed"},
        "rounds": {result.target.name: len(result.rounds) for result in results if len(result.rounds) > 1},
        "seconds_of_targets": sum(result.seconds for result in results),
    }


def compare(out: pathlib.Path) -> dict:
    """The chosen sub-networks next to random ones inside the same budgets, on the validation split."""
    from ofa_tf import zoo
    from ofa_tf.predictors import LatencyTable
    from ofa_tf.search import Constraint, random_search
    from ofa_tf.specialize import TargetResult, open_source

    opened, predictor = open_source(supernet=_SUPERNET, data_dir=_DATA_DIR.value), zoo.accuracy_predictor(_SUPERNET)
    results = [TargetResult.load(path) for path in out.glob("targets/host*/result.json")]
    tables = {table.precision: table for table in map(LatencyTable.load, out.glob("tables/host_*threads.json"))}
    rows = {}
    for precision, table in tables.items():
        own = [result for result in results if result.target.precision == precision]
        own.sort(key=lambda result: result.target.limits["latency_ms"])
        for result in [own[place] for place in _COMPARED if place < len(own)]:
            if result.status != "verified":
                continue
            constraint = Constraint("latency_ms", result.target.limits["latency_ms"], predictor=table)
            drawn = random_search(
                opened.net.space, [constraint], _RANDOM.value, accuracy_predictor=predictor, resolutions=_RESOLUTIONS
            )
            best = max(opened.evaluator.evaluate(it.arch, split="validation").top1 for it in drawn)
            rows[result.target.name] = {"chosen": result.keras_top1, "best_random": best, "drawn": len(drawn)}
            print(result.target.name, rows[result.target.name], flush=True)
    return rows


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
