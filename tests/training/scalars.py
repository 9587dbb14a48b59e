"""TensorBoard's event files, read back."""

import tensorflow as tf


def scalars(folder) -> dict[tuple[str, str, int], float]:
    """By stage, tag and step, what TensorBoard reads as scalars."""
    found = {}
    for path in sorted(folder.glob("*/events.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found[path.parent.name, value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found
