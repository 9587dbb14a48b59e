"""Accuracy of a plain Keras model."""

import keras
import numpy as np

from ofa_tf.data import ImageDataset, Preprocessing, evaluation_batches
from ofa_tf.evaluation.evaluator import hits

_BATCH = 100


def evaluate_model(
    model: keras.Model, dataset: ImageDataset, *, split: str, preprocessing: Preprocessing
) -> dict[str, float]:
    """Top-1 and top-5 of a plain model, whose batch norms carry their own statistics.

    Args:
        model: normalized images (batch, r, r, 3) to logits.
        dataset: the images.
        split: "holdout" for every decision; "val" only for the final report.
        preprocessing: normalizes and crops the images.

    Returns:
        "top1" and "top5" (0..1), and "images", how many.

    Example:
        evaluate_model(net.extract(arch, statistics), dataset, split="holdout", preprocessing=PUBLISHED)["top1"]
    """
    side = model.input_shape[1]
    batches = evaluation_batches(
        dataset, split, resolution=side, batch_size=_BATCH, crop_fraction=preprocessing.crop_fraction
    )
    top1 = top5 = count = 0
    for images, labels in batches:
        logits = np.asarray(model(preprocessing.normalize(images), training=False))
        top1, top5 = top1 + hits(logits, labels, 1), top5 + hits(logits, labels, 5)
        count += len(labels)
    return {"top1": top1 / count, "top5": top5 / count, "images": count}
