"""The loss of a training step, and the figure beside it."""

import tensorflow as tf


def class_shares(labels, classes: int) -> tf.Tensor:
    """Labels as shares of each class, float32 (batch, classes).

    Args:
        labels: integers (batch,), or shares already, where images were blended.
        classes: how many there are.
    """
    labels = tf.convert_to_tensor(labels)
    return tf.one_hot(labels, classes) if labels.dtype.is_integer else labels


def distillation_loss(logits, shares, teacher_probabilities, *, label_smoothing, kd_ratio, label_ratio=1.0):
    """Smoothed cross-entropy with the labels, plus cross-entropy with the teacher.

    Args:
        logits: float32 (batch, classes).
        shares: float32 (batch, classes), see `class_shares`.
        teacher_probabilities: float32 (batch, classes).
        label_smoothing: share of each target that is spread evenly over all classes.
        kd_ratio: weight of the teacher's part.
        label_ratio: weight of the labels' part.

    Returns:
        float32 scalar, the mean over the batch.

    Source: Cai et al., section 3.3; docs/method.md, "Progressive shrinking".
    """
    classes = tf.cast(tf.shape(logits)[1], tf.float32)
    targets = shares * (1.0 - label_smoothing) + label_smoothing / classes
    # Both parts are linear in their targets, so one cross-entropy computes their sum.
    targets = label_ratio * targets + kd_ratio * teacher_probabilities
    return tf.reduce_mean(-tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=1))


def top1_accuracy(logits, shares) -> tf.Tensor:
    """Share of images whose largest logit is that of the class with the largest share, a float32 scalar."""
    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), tf.argmax(shares, 1)), tf.float32))
