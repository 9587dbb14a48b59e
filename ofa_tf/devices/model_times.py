"""Times of models that are compared with each other: in rounds, so that what changes on a device hits all of them."""

import math
import pathlib
from collections.abc import Sequence

import numpy as np

from ofa_tf.deploy import Runner
from ofa_tf.devices.measure import random_input
from ofa_tf.devices.phone import Phone

ROUNDS = 3


def host_times(models: Sequence[bytes], threads: int, *, rounds: int = ROUNDS, seed: int = 0) -> list[float]:
    """Times on this machine, in milliseconds.

    Args:
        models: `.tflite` files.
        threads: of the interpreter.
        rounds: turns of all models in shuffled order; the least disturbed counts, a median of at least 10 runs.
        seed: of inputs and order.
    """
    rng = np.random.default_rng(seed)
    runners = [Runner(data, threads=threads) for data in models]
    for runner in runners:
        runner.fill(random_input(runner, rng))
    times_ms = np.full((rounds, len(runners)), np.inf)
    for turn in times_ms:
        for index in rng.permutation(len(runners)):
            turn[index] = runners[index].time(10, 0.05, warmup_runs=2).median_ms
    return times_ms.min(axis=0, initial=math.inf).tolist()


def phone_times(
    phone: Phone, models: Sequence[bytes | pathlib.Path], *, rounds: int = ROUNDS, seed: int = 0
) -> list[float]:
    """Times on a phone, in milliseconds; infinite for models that it could not run.

    Args:
        phone: a session; its options say how often a model runs in each round.
        models: `.tflite` files.
        rounds: turns of all models in shuffled order; the median counts.
        seed: of the order.
    """
    rng = np.random.default_rng(seed)
    jobs = [
        (f"{number} in round {turn}", models[number])
        for turn in range(rounds)
        for number in rng.permutation(len(models))
    ]
    times_ms: list[list[float]] = [[] for _ in models]
    for measurement in phone.measure(jobs):
        if measurement.output is not None:
            times_ms[int(measurement.name.split()[0])].append(measurement.block_latency().median_ms)
    return [float(np.median(times)) if times else math.inf for times in times_ms]
