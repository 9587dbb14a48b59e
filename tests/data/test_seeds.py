"""Streams of random numbers: no two are alike, and a shuffle is a permutation that its whole seed decides."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_tf.data import pipeline

whole = st.integers(0, pipeline.MAX_SEED)
streams = st.tuples(whole, st.integers(1, 4), st.integers(0, 2**24 - 1), st.integers(0, 2**60))


@settings(max_examples=200)
@given(first=streams, second=streams)
def test_streams_never_meet(first, second):
    """Different (seed, purpose, epoch, place) give different seeds."""
    same = (pipeline.stream(*first).numpy() == pipeline.stream(*second).numpy()).all()
    assert same == (first == second)


def order(count: int, *key: int) -> np.ndarray:
    return pipeline.shuffled(tf.range(count, dtype=tf.int64), count, pipeline.stream(*key)).numpy()


@settings(max_examples=50)
@given(count=st.integers(1, 500), key=streams)
def test_a_shuffle_is_a_permutation(count, key):
    """Every image has exactly one place in an epoch."""
    assert sorted(order(count, *key).tolist()) == list(range(count))


def test_every_part_of_the_seed_counts_in_a_shuffle():
    """Another seed, purpose or epoch gives an order that has nothing to do with the first; the operation under it
    ignores the upper half of its seed."""
    first = order(5000, 7, pipeline.SHUFFLE, 0, 0)
    for key in ((8, pipeline.SHUFFLE, 0, 0), (7, pipeline.CALIBRATION, 0, 0), (7, pipeline.SHUFFLE, 1, 0)):
        assert abs(np.corrcoef(first, order(5000, *key))[0, 1]) < 0.06
    assert abs(np.corrcoef(first, np.arange(5000))[0, 1]) < 0.06


def test_orders_of_epochs_spread_every_image():
    """Over many epochs an image stands in every tenth of the epoch about equally often."""
    orders = np.stack([order(200, 1, pipeline.SHUFFLE, epoch, 0) for epoch in range(100)])
    counts = np.stack([np.bincount(column * 10 // 200, minlength=10) for column in orders.T])
    assert 0.85 < ((counts - 10) ** 2 / 10).sum() / (9 * 200) < 1.15
