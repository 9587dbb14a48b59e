"""Streams of random numbers that are addressed instead of advanced."""

import tensorflow as tf

from ofa_tf.common.config import check_whole

SHUFFLE, AUGMENT, RESOLUTION, CALIBRATION = range(1, 5)

MAX_SEED = 2**32 - 1


def check_seed(seed: int) -> None:
    """Raises `InputError` unless the seed is a whole number that fits into 32 bits."""
    check_whole("seed", seed, 0, MAX_SEED)


def stream(seed: int, purpose: int, epoch: int | tf.Tensor, place: int | tf.Tensor) -> tf.Tensor:
    """An int64 (2,) seed that no other (seed, purpose, epoch < 2^24, place) has."""
    first = tf.cast(epoch, tf.int64) * 2**32 + (purpose * 2**56 + seed)
    return tf.stack([first, tf.cast(place, tf.int64)])


def shuffled(positions: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Where a permutation of `count` items, decided by the int64 (2,) seed, has put the given int64 positions."""
    # The shuffling operation drops all but the lower 32 bits of each half of its seed.
    words = tf.random.stateless_uniform([2], seed, None, None, tf.int32, alg="philox")
    return tf.random.experimental.index_shuffle(positions, words, tf.constant(count - 1, tf.int64))


def drawn_resolution(resolutions: tuple[int, ...], seed: int, step: int | tf.Tensor) -> int | tf.Tensor:
    """The resolution of a step's batch, uniformly one of `resolutions`, as an int32 scalar (an int if there is one)."""
    if len(resolutions) == 1:
        return resolutions[0]
    seeds = stream(seed, RESOLUTION, 0, step)
    index = tf.random.stateless_uniform([], seeds, 0, len(resolutions), tf.int32, alg="philox")
    return tf.gather(tf.constant(resolutions, tf.int32), index)


def resolution_of_step(resolutions: tuple[int, ...], seed: int, step: int) -> int:
    """The image side, in pixels, that `training_batches` uses at a step.

    Args:
        resolutions: image sides to draw from.
        seed: as given to `training_batches`.
        step: the batch's number, counted from the start of the stage.
    """
    with tf.init_scope(), tf.device("CPU:0"):
        return int(drawn_resolution(tuple(resolutions), seed, step))
