"""TensorBoard's event files say what the logs say."""

from ofa_tf.training.event_files import EventFiles
from tests.training.scalars import scalars

LINES = [
    {"stage": "full", "epoch": 1, "split": "train", "loss": 2.5, "top1": 0.25, "learning_rate": 0.5},
    {"stage": "full", "epoch": 1, "seconds": 3.0, "images_per_second": 400.0, "replicas": 1},
    {"stage": "full", "epoch": 2, "subnet": "largest", "split": "validation", "top1": 0.75, "images": 400, "arch": {}},
    {"stage": "kernel", "epoch": 1, "subnet": "smallest", "split": "validation", "top1": 0.5, "calibrated": True},
]


def test_every_figure_of_the_logs_is_a_scalar_on_one_axis_of_epochs(tmp_path):
    """Protects the curves: tags by sub-network, stages one after the other, nothing that is no figure."""
    events = EventFiles(tmp_path, {"full": 2, "kernel": 3})
    for line in LINES:
        events.write(line)
    assert scalars(tmp_path) == {
        ("full", "loss/train", 1): 2.5,
        ("full", "top1/train", 1): 0.25,
        ("full", "learning_rate/train", 1): 0.5,
        ("full", "images_per_second/train", 1): 400.0,
        ("full", "top1/largest", 2): 0.75,
        ("kernel", "top1/smallest", 3): 0.5,
    }


def test_a_resumed_run_repeats_what_it_did_before(tmp_path):
    for _ in range(2):
        events = EventFiles(tmp_path, {"full": 2, "kernel": 3})
        events.write(LINES[0])
    assert len(scalars(tmp_path)) == 3
