"""Which of the training images are held out, so that they can decide between sub-networks."""

import warnings

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.common.config import is_number
from ofa_tf.data.dataset import Split

_DEFAULT_FRACTION, _DEFAULT_LIMIT = 0.1, 10_000


def validation_count(images: int, validation: float | None) -> int:
    """How many of the training images are held out: as given, a fraction if below 1; else 10%, at most 10,000."""
    if validation is None:
        count = max(1, min(round(_DEFAULT_FRACTION * images), _DEFAULT_LIMIT))
    elif not is_number(validation):
        raise InputError(f"validation={validation!r}: expected a number of images, or a fraction below 1")
    elif 0 < validation < 1:
        count = max(1, round(validation * images))
    elif validation >= 1 and int(validation) == validation:
        count = int(validation)
    else:
        raise InputError(
            f"validation={validation}: expected a whole number of images, or a fraction above 0 and below 1"
        )
    if count >= images:
        raise InputError(
            f"validation={validation}: the training set has {images} images, so at most {images - 1} can be held out; "
            f"give fewer"
        )
    return count


def stratified_indices(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draws `count` images so that the classes keep their shares as nearly as whole numbers can; ascending."""
    return _drawn(labels, _quotas(np.unique(labels, return_counts=True)[1], count), seed)


def _quotas(sizes: np.ndarray, count: int) -> np.ndarray:
    """How many images of each class keep the classes' shares."""
    shares = sizes * count / sizes.sum()
    quotas = np.floor(shares).astype(np.int64)
    # Largest remainders first; of equal ones, the larger class.
    order = np.lexsort((-sizes, quotas - shares))
    quotas[order[: count - quotas.sum()]] += 1
    return quotas


def _drawn(labels: np.ndarray, quotas: np.ndarray, seed: int) -> np.ndarray:
    """Draws so many images of each class; ascending."""
    rng = np.random.default_rng(seed)
    drawn = [
        rng.permutation(np.flatnonzero(labels == label))[:quota]
        for label, quota in zip(np.unique(labels), quotas, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def held_out_quotas(sizes: np.ndarray, count: int) -> np.ndarray:
    """Shares, but of a class with two images one is held out and one is not, as far as `count` allows."""
    fewest, most = np.minimum(sizes - 1, 1), sizes - 1
    if count < fewest.sum():
        fewest = np.zeros_like(sizes)
    if count > most.sum():
        most = sizes
    quotas = np.clip(_quotas(sizes, count), fewest, most)
    surplus = quotas - sizes * count / sizes.sum()
    while (change := np.sign(count - quotas.sum())) != 0:
        movable = quotas < most if change > 0 else quotas > fewest
        which = np.argmax(np.where(movable, -change * surplus, -np.inf))
        quotas[which] += change
        surplus[which] += change
    return quotas


def hold_out(name: str, split: Split, validation: float | None, seed: int) -> dict[str, Split]:
    """Divides the training images into the splits "train" and "validation", each in the original order."""
    sizes = np.unique(split.labels, return_counts=True)[1]
    quotas = held_out_quotas(sizes, validation_count(len(split), validation))
    if (without := int((quotas == sizes).sum())) > 0:
        warnings.warn(
            f"{name}: {without} of {len(sizes)} classes keep no image to learn from; hold out fewer (--validation), or "
            f"add images",
            stacklevel=2,
        )
    chosen = _drawn(split.labels, quotas, seed)
    rest = np.setdiff1d(np.arange(len(split)), chosen)
    return {"train": split.take(f"{name} train", rest), "validation": split.take(f"{name} validation", chosen)}
