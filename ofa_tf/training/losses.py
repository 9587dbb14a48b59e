"""The loss of progressive shrinking."""

import tensorflow as tf


def distillation_loss(logits, labels, teacher_probabilities, *, label_smoothing, kd_ratio, label_ratio=1.0):
    """Smoothed cross-entropy with the labels, plus cross-entropy with the teacher.

    Args:
        logits: float32 (batch, classes).
        labels: int32 (batch,).
        teacher_probabilities: float32 (batch, classes).
        label_smoothing: share of each target that is spread evenly over all classes.
        kd_ratio: weight of the teacher's part.
        label_ratio: weight of the labels' part.

    Returns:
        float32 scalar, the mean over the batch.

    Source: Cai et al., section 3.3; reference facts, "Progressive shrinking".
    """
    classes = tf.shape(logits)[1]
    targets = tf.one_hot(labels, classes) * (1.0 - label_smoothing) + label_smoothing / tf.cast(classes, tf.float32)
    # Both parts are linear in their targets, so one cross-entropy computes their sum.
    targets = label_ratio * targets + kd_ratio * teacher_probabilities
    return tf.reduce_mean(-tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=1))
