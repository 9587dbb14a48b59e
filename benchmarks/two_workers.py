"""Two workers on one machine: that they agree, equal one process, and survive each other's ends.

    python -m benchmarks.two_workers --output=benchmarks/results/two_workers.json

Real processes under MultiWorkerMirroredStrategy train the digits. First 20 steps: all weights that are trained must be
the same bits on both workers, and those of one process with both shares of the batch on two logical devices (so that
batch norms see the same images) within float tolerance. Then one worker is killed, stopped, hangs in Python, or never
starts: how long the other one goes on, and what it says; then both start again and must end like an undisturbed run.
Takes ten minutes on two cores.
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

from absl import flags

from ofa_tf.common import cli

_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")
_FAULTS = flags.DEFINE_list("faults", ["killed", "stopped", "hung", "never started"], "which ends of a worker")
_ROLE = flags.DEFINE_enum("role", None, ["worker", "one"], "how this binary calls itself: trains, as one of them")
_RUN_DIR = flags.DEFINE_string("run_dir", None, "for --role: the run")
_DUMP = flags.DEFINE_string("dump", None, "for --role: where the weights go")
_EPOCHS = flags.DEFINE_integer("epochs", 1, "for --role: of 20 steps")

_LIMIT_S = 60.0


def main(argv):
    """Measures, or trains as one of the workers."""
    del argv
    if _ROLE.value:
        train()
        return
    from ofa_tf.common import OfaError, write_json

    with tempfile.TemporaryDirectory() as folder:
        results = {"agreement": agreement(pathlib.Path(folder)), "faults": []}
        undisturbed = pathlib.Path(folder) / "undisturbed"
        finish([start(undisturbed, worker, epochs=10) for worker in (0, 1)])
        for fault in _FAULTS.value:
            row = disturbed(pathlib.Path(folder) / fault.replace(" ", "_"), fault, undisturbed)
            results["faults"].append(row)
            print(
                f"{fault}: the other worker ended after {row['seconds']:.1f} s, code {row['code']}; after resuming "
                f"the weights are those of an undisturbed run within {row['difference_after_resuming']:.1e}\n"
                f"    {row['message']}",
                flush=True,
            )
    if _OUTPUT.value:
        write_json(_OUTPUT.value, results)
    if any(row["seconds"] > _LIMIT_S or row["code"] != 1 or not row["message"] for row in results["faults"]):
        raise OfaError(f"a worker went on for more than {_LIMIT_S:.0f} s, or ended without a message")


def train() -> None:
    """The training that each worker does."""
    import numpy as np
    import tensorflow as tf

    from ofa_tf.configs import digits
    from ofa_tf.training import Cluster, Trainer, open_experiment

    # A hang that leaves the heartbeat alone.
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(10_000))
    if _ROLE.value == "one":
        device = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    cluster = Cluster.open("mirrored" if _ROLE.value == "one" else "workers")
    config = digits.get_config().to_dict()
    config |= {"batch_size": 25, "base_batch_size": 50, "checkpoint_steps": 10}
    config["stages"] = {"full": {**config["stages"]["full"], "epochs": _EPOCHS.value}}
    run_directory, dataset = open_experiment(_RUN_DIR.value, config, replicas=cluster.replicas)
    net = Trainer(run_directory, dataset, cluster=cluster).train()
    trained = {name: value.numpy() for name, value in net.named_variables().items() if value.trainable}
    np.savez(_DUMP.value, **trained)


def start(
    run_dir: pathlib.Path, worker: int | None, *, epochs: int, ports: list[int] | None = None
) -> subprocess.Popen:
    """A process that trains: worker 0 or 1, or both in one for None."""
    environment = dict(os.environ)
    environment.pop("TF_CONFIG", None)
    if worker is not None:
        hosts = [f"localhost:{port}" for port in ports or _ports(run_dir)]
        task = {"type": "worker", "index": worker}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": hosts}, "task": task})
    run_dir.parent.mkdir(exist_ok=True, parents=True)
    role = "one" if worker is None else "worker"
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.two_workers", f"--role={role}", f"--run_dir={run_dir}",
         f"--epochs={epochs}", f"--dump={dump(run_dir, worker)}"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def dump(run_dir: pathlib.Path, worker: int | None) -> pathlib.Path:
    """Where a process leaves its weights."""
    return run_dir.with_name(f"{run_dir.name}_worker{worker}.npz")


_PORTS: dict[pathlib.Path, list[int]] = {}


def _ports(run_dir: pathlib.Path, new: bool = False) -> list[int]:
    """Two free ports, the same for both workers of a run."""
    if new or run_dir not in _PORTS:
        sockets = [socket.socket() for _ in range(2)]
        for opened in sockets:
            opened.bind(("localhost", 0))
        _PORTS[run_dir] = [opened.getsockname()[1] for opened in sockets]
        for opened in sockets:
            opened.close()
    return _PORTS[run_dir]


def finish(processes: list[subprocess.Popen]) -> None:
    """Waits for processes that are to succeed."""
    for process in processes:
        _, errors = process.communicate(timeout=900)
        if process.returncode:
            raise RuntimeError(errors[-3000:])


def weights(run_dir: pathlib.Path, worker: int | None) -> dict:
    """What a process left."""
    import numpy as np

    with np.load(dump(run_dir, worker)) as arrays:
        return {name: arrays[name] for name in arrays.files}


def difference(first: dict, second: dict) -> float:
    """The largest difference of two sets of weights."""
    import numpy as np

    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


def agreement(folder: pathlib.Path) -> dict:
    """20 steps on two workers, and in one process."""
    run_dir, together = folder / "two", folder / "one"
    finish([start(run_dir, worker, epochs=1) for worker in (0, 1)])
    finish([start(together, None, epochs=1)])
    chief, other = weights(run_dir, 0), weights(run_dir, 1)
    same = all(chief[name].tobytes() == other[name].tobytes() for name in chief)
    row = {
        "steps": 20,
        "same_bits_on_both": same,
        "difference_to_one_process": difference(chief, weights(together, None)),
    }
    print(f"after 20 steps: same bits on both workers: {same}; one process with both shares: "
          f"{row['difference_to_one_process']:.1e} away at most", flush=True)  # fmt: skip
    return row


def disturbed(run_dir: pathlib.Path, fault: str, undisturbed: pathlib.Path) -> dict:
    """Ends worker 1 in the middle, times worker 0, and lets both resume."""
    chief = start(run_dir, 0, epochs=10)
    peer = None
    if fault != "never started":
        peer = start(run_dir, 1, epochs=10)
        while not list((run_dir / "checkpoints").glob("*.npz")):
            time.sleep(0.2)
            if chief.poll() is not None:
                raise RuntimeError(chief.stderr.read()[-3000:])
        number = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP, "hung": signal.SIGUSR1}[fault]
        peer.send_signal(number)
    began = time.monotonic()
    _, errors = chief.communicate(timeout=300)
    seconds = time.monotonic() - began
    if peer is not None:
        peer.kill()
        peer.communicate()
    lines = [line for line in errors.splitlines() if re.match(r"(\S.*: )?error: ", line)]
    _ports(run_dir, new=True)
    finish([start(run_dir, worker, epochs=10) for worker in (0, 1)])
    return {
        "fault": fault,
        "seconds": seconds,
        "code": chief.returncode,
        "message": lines[-1] if lines else "",
        "difference_after_resuming": difference(weights(run_dir, 0), weights(undisturbed, 0)),
    }


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
