"""Ray workers: the same pairs as one process, also where a worker is lost in the middle."""

import functools
import os
import pathlib
import signal

import numpy as np
import pytest

from ofa_tf.common import InputError, OfaError
from ofa_tf.data import SYMMETRIC, Augmentation, load
from ofa_tf.evaluation import Evaluator, Farm, collect, draw_architectures
from tests.micro import micro_net, micro_space

# Starting Ray and a TensorFlow per worker takes longer than all else here.
pytestmark = pytest.mark.slow


class Fragile(Evaluator):
    """Ends its process in the middle of the first evaluation that finds no mark, and leaves one."""

    mark: pathlib.Path | None = None
    always = False

    def evaluate(self, arch, **options):
        if self.mark is not None and (self.always or not self.mark.exists()):
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(arch, **options)


def open_evaluator(mark: pathlib.Path | None = None, always: bool = False, fails: bool = False) -> Evaluator:
    """What each worker opens."""
    if fails:
        raise InputError("runs/none: not a run directory")
    evaluator = Fragile(
        micro_net(), load("digits", validation=200), preprocessing=SYMMETRIC, augmentation=Augmentation(flip=False),
        calibration_images=200, batch_size=100,
    )  # fmt: skip
    evaluator.mark, evaluator.always = mark, always
    return evaluator


@pytest.fixture(scope="module")
def expected():
    """The pairs of one process."""
    evaluator = open_evaluator()
    archs = draw_architectures(evaluator.net.space, 12, seed=0)
    known = lambda arch: arch == archs[3]  # noqa: E731
    return archs, known, {pair.arch: pair for pair in collect(evaluator, archs, split="validation", known=known)}


@pytest.mark.parametrize("lost", [False, True], ids=["undisturbed", "one worker killed"])
def test_many_workers_give_the_same_pairs(tmp_path, expected, lost):
    """Two workers against one process; each pair once, what is known is not measured."""
    pytest.importorskip("ray", reason="Ray is an extra: pip install ray")
    archs, known, pairs = expected
    opener = functools.partial(open_evaluator, tmp_path / "mark" if lost else None)
    found = list(Farm(opener, "local", workers=2).collect(archs, split="validation", known=known))
    assert (tmp_path / "mark").exists() == lost
    assert len(found) == len(archs) - 1
    assert {pair.arch for pair in found} == set(pairs)
    for pair in found:
        # The number of threads differs, and with it the last bits of a logit.
        np.testing.assert_allclose(pair.top1, pairs[pair.arch].top1, atol=0.0051)
        assert (pair.images, pair.split) == (pairs[pair.arch].images, "validation")


@pytest.mark.timeout(900)  # it starts TensorFlow five times
def test_what_ends_every_worker_is_named(tmp_path, expected):
    """An architecture that ends three workers, a worker that cannot open its files: one line each."""
    pytest.importorskip("ray", reason="Ray is an extra: pip install ray")
    archs, _, _ = expected
    opener = functools.partial(open_evaluator, tmp_path / "mark", always=True)
    with pytest.raises(OfaError, match=r'evaluating \{.*"ks".* ended 3 workers'):
        list(Farm(opener, "local", workers=1).collect(archs[:1], split="validation", known=lambda _: False))
    opener = functools.partial(open_evaluator, fails=True)
    with pytest.raises(OfaError, match="runs/none: not a run directory"):
        list(Farm(opener, "local", workers=1).collect(archs[:1], split="validation", known=lambda _: False))


def test_a_cluster_that_is_not_there_is_named():
    """At once, and in one line."""
    pytest.importorskip("ray", reason="Ray is an extra: pip install ray")
    farm = Farm(open_evaluator, "127.0.0.1:1", workers=1)
    with pytest.raises(InputError, match=r"--ray_address=127\.0\.0\.1:1: no Ray cluster is reached there"):
        list(farm.collect([micro_space().largest()], split="validation", known=lambda _: False))
