"""TensorBoard's event files of a run: the figures of its logs, where people look for curves."""

import numbers
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

# Fields of a log's lines that are no curves.
_NO_FIGURES = ("epoch", "images", "replicas", "seconds", "seed")


class EventFiles:
    """Writes the lines of a run's logs as scalars, a folder for each stage, on one axis of epochs.

    Tags are "loss/train", "top1/largest" (of evaluated sub-networks), "learning_rate/train", "images_per_second/train".
    A resumed run writes the epochs after its checkpoint again, the same to the digit.

    Args:
        folder: where the stages' folders go.
        epochs: of each stage, in order.

    Example:
        EventFiles(run.path / "tensorboard", {"full": 10}).write({"stage": "full", "epoch": 1, "loss": 2.3})
    """

    def __init__(self, folder: pathlib.Path, epochs: Mapping[str, int]):
        self._folder = folder
        self._starts, start = {}, 0
        for stage, count in epochs.items():
            self._starts[stage], start = start, start + count
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def write(self, line: Mapping[str, Any]) -> None:
        """Writes the figures of a line, which names its stage, its epoch in it, and perhaps a sub-network."""
        stage = line["stage"]
        if stage not in self._writers:
            self._writers[stage] = tf.summary.create_file_writer(str(self._folder / stage))
        with self._writers[stage].as_default(step=self._starts[stage] + int(line["epoch"])):
            for name, value in line.items():
                if isinstance(value, numbers.Real) and not isinstance(value, bool) and name not in _NO_FIGURES:
                    # `tf.summary.scalar` is the same, but needs TensorBoard's own package.
                    tf.summary.write(f"{name}/{line.get('subnet', 'train')}", float(value), metadata=_scalar())
        self._writers[stage].flush()


def _scalar() -> tf.compat.v1.SummaryMetadata:
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    return tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class=1)
