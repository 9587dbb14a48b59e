"""Which training images are held out."""

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.data.split import Split

DEFAULT_FRACTION, DEFAULT_LIMIT = 0.1, 10_000


def holdout_count(images: int, holdout: float | None) -> int:
    """How many of `images` training images are held out.

    Args:
        images: the number of training images.
        holdout: a number of images, a fraction if below 1, or None for 10 percent and at most 10,000.

    Raises:
        InputError: nothing would be held out, or nothing be left to train on.
    """
    if holdout is None:
        count = max(1, min(round(DEFAULT_FRACTION * images), DEFAULT_LIMIT))
    elif 0 < holdout < 1:
        count = max(1, round(holdout * images))
    elif holdout >= 1 and int(holdout) == holdout:
        count = int(holdout)
    else:
        raise InputError(f"holdout={holdout}: expected a whole number of images, or a fraction above 0 and below 1")
    if count >= images:
        raise InputError(
            f"holdout={holdout}: the training set has {images} images, so at most {images - 1} can be held out; "
            f"give fewer"
        )
    return count


def stratified_places(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draws images so that the classes keep their shares as nearly as whole numbers can.

    Args:
        labels: int (images,).
        count: how many to draw.
        seed: the same seed draws the same images.

    Returns:
        int64 (count,), ascending.
    """
    rng = np.random.default_rng(seed)
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes * count / len(labels)
    quotas = np.floor(shares).astype(np.int64)
    # Largest remainders first; of equal ones, the larger class.
    order = np.lexsort((-sizes, quotas - shares))
    quotas[order[: count - quotas.sum()]] += 1
    drawn = [
        rng.permutation(np.flatnonzero(labels == label))[:quota] for label, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def hold_out(name: str, split: Split, holdout: float | None, seed: int) -> dict[str, Split]:
    """Divides the training images into the splits "train" and "holdout", each in the original order."""
    places = stratified_places(split.labels, holdout_count(len(split), holdout), seed)
    rest = np.setdiff1d(np.arange(len(split)), places)
    return {"train": split.take(f"{name} train", rest), "holdout": split.take(f"{name} holdout", places)}
