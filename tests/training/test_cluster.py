"""Several devices and workers: the same step as on one, and clear ends where something is missing."""

import json
import os
import subprocess
import sys
import time

import pytest

from ofa_tf.common import InputError, OfaError
from ofa_tf.training import Cluster
from ofa_tf.training.cluster import _place
from ofa_tf.training.watchdog import Watchdog


def test_places_in_a_cluster():
    """The chief is worker 0, be it named so or the first of the workers."""
    hosts = ["a:1", "b:2", "c:3"]

    def text(cluster, kind, index):
        return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})

    assert _place(text({"worker": hosts}, "worker", 0)) == (0, 3)
    assert _place(text({"worker": hosts}, "worker", 2)) == (2, 3)
    with_chief = {"chief": ["x:1"], "worker": hosts}
    assert _place(text(with_chief, "chief", 0)) == (0, 4)
    assert _place(text(with_chief, "worker", 2)) == (3, 4)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "first"}}',
    ],
)  # fmt: skip
def test_bad_clusters_are_named(text):
    """One line that says what TF_CONFIG is to look like."""
    with pytest.raises(InputError, match=r"^TF_CONFIG: found .* expected something like") as caught:
        _place(text)
    assert "\n" not in str(caught.value)


def test_one_device_is_the_default(monkeypatch):
    """Without TF_CONFIG and GPUs, a run is what it is without tf.distribute; nothing waits."""
    monkeypatch.delenv("TF_CONFIG", raising=False)
    cluster = Cluster.open("auto")
    assert (cluster.replicas, cluster.workers, cluster.is_chief) == (1, 1, True)
    with cluster.waiting("a step"):
        cluster.meet("the end")
    with pytest.raises(InputError, match="--distribute=all: expected one of auto, one, mirrored, workers"):
        Cluster.open("all")


# Without its package, whose TensorFlow would take longer to start than all that the processes below do.
WATCHDOG = "import runpy, time\nWatchdog = runpy.run_path('ofa_tf/training/watchdog.py')['Watchdog']\n"


def test_watchdog_ends_a_process_that_waits():
    """With one line and the exit code of a failure, though its main thread hangs; what ends in time goes on."""
    code = (
        f"{WATCHDOG}"
        "dog = Watchdog(1.0)\n"
        "with dog.limit('quick'): pass\n"
        "with dog.limit('patient', 60.0): time.sleep(1.5)\n"
        "print('here', flush=True)\n"
        "with dog.limit('stage full, step 7'): time.sleep(60)\n"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=55)
    assert time.monotonic() - began < 50
    assert (done.returncode, done.stdout) == (OfaError.exit_code, "here\n")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "stage full, step 7: no answer from another worker for 1 s" in line
    assert "same command, they resume" in line
    assert Watchdog(1.0).limit_s == 1.0


LOST_AND_STUCK = """
import time
import tensorflow as tf
from ofa_tf.common import OfaError
from ofa_tf.training import Cluster
from ofa_tf.training.watchdog import Watchdog
class Soon(Watchdog):
    def leave_within(self, seconds):
        assert seconds == 10
        super().leave_within(1.0)
try:
    with Cluster(watchdog=Soon(60.0)).waiting("the step"):
        raise tf.errors.UnavailableError(None, None, "the other one is gone")
except OfaError as error:
    print(error, flush=True)
time.sleep(60)
print("still here")
"""


def test_a_lost_worker_is_told_and_what_then_hangs_is_ended():
    """One line says who was lost; the end of the process, which would wait for the lost one, does not take forever."""
    done = subprocess.run(
        [sys.executable, "-c", LOST_AND_STUCK], capture_output=True, text=True, timeout=50, check=False
    )
    assert "the step: another worker was lost (UnavailableError: the other one is gone)" in done.stdout
    assert "still here" not in done.stdout
    assert done.returncode == 1


def test_watchdog_ends_a_process_whose_threads_cannot_run():
    """TensorFlow makes a cluster without letting go of the interpreter: the message comes from outside then."""
    code = f"import ctypes\n{WATCHDOG}with Watchdog(1.0).limit('making the cluster'): ctypes.PyDLL(None).sleep(60)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=55)
    assert done.returncode == OfaError.exit_code
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: no answer from another worker for 1 s (it hangs, is stopped, or was never started)")
    assert "File " not in done.stderr


MIRRORED = """
import sys
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from ofa_tf.data import SYMMETRIC, load
from ofa_tf.networks import PackedSupernet
from ofa_tf.training import Cluster, KerasTeacher, Recipe, SupernetTeacher, TrainStep
from tests.micro import nano_net

# What is trained already is opened before there is a strategy's scope.
if sys.argv[1] == "keras":
    layers = [keras.Input((None, None, 3)), keras.layers.BatchNormalization(), keras.layers.GlobalAveragePooling2D()]
    given = KerasTeacher(keras.Sequential([*layers, keras.layers.Dense(10)]), "digest", "normalized")
else:
    given = SupernetTeacher(PackedSupernet(nano_net(1), SYMMETRIC.to_config()))
recipe = Recipe({}, calibration_images=100, preprocessing=SYMMETRIC)
answers = None if sys.argv[1] == "own" else given.answers(load("digits", validation=1000), recipe, (16,))

def trained(cluster, images, labels):
    with cluster.strategy.scope():
        net = nano_net()
        step = TrainStep(net, answers or nano_net(1), SYMMETRIC, weight_decay=0.01)
    archs = np.stack([net.space.to_array(net.space.sample(np.random.default_rng(i))) for i in range(2)])
    for index in range(2):
        loss, top1, stop = step(images, labels, archs, learning_rate=0.05, kd_ratio=1.0, dropout=0.0, seed=(0, index),
                                stop=index == 1)
        assert float(stop) == index
    assert step.run.experimental_get_tracing_count() == 1
    return net.state(), float(loss), float(top1)

rng = np.random.default_rng(0)
images = rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
labels = rng.integers(0, 10, 8).astype(np.int32)
one = trained(Cluster(), images, labels)
mirrored = Cluster.open("mirrored")
assert mirrored.replicas == 2
# Both halves the same: the batch norms of a replica see what those of the one device see.
two = trained(mirrored, np.concatenate([images, images]), np.concatenate([labels, labels]))
np.testing.assert_allclose(one[1:], two[1:], rtol=1e-5)
for name, value in one[0].items():
    np.testing.assert_allclose(value, two[0][name], atol=1e-5, err_msg=name)
"""


@pytest.mark.parametrize(
    "teacher", ["own", pytest.param("supernet", marks=pytest.mark.slow), pytest.param("keras", marks=pytest.mark.slow)]
)
def test_two_devices_of_one_machine_make_the_same_step(teacher):
    """On a doubled batch of the same images: the same weights, moving statistics, loss and top-1, from one trace."""
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED, teacher], capture_output=True, text=True, timeout=600,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
