"""Calibration and accuracy: exact statistics, a supernet left alone, named splits, honest counting."""

import keras
import numpy as np
import pytest

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.data import SYMMETRIC, Augmentation, calibration_batches, load
from ofa_tf.evaluation import Evaluator, collect, draw_architectures, evaluate_model
from ofa_tf.evaluation.evaluator import hits
from tests.micro import micro_net, micro_space

AUGMENTATION = Augmentation(flip=False)


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator(
        micro_net(),
        load("digits", validation=50),
        preprocessing=SYMMETRIC,
        augmentation=AUGMENTATION,
        calibration_images=64,
        batch_size=32,
    )


def test_images_of_other_classes_are_refused(evaluator):
    """Protects users from an accuracy of 0% that says nothing, and from NumPy's words."""
    other = micro_net(num_classes=20)
    with pytest.raises(InputError, match="the network has 20 outputs, dataset digits has 10 classes"):
        Evaluator(other, evaluator.dataset, preprocessing=SYMMETRIC, augmentation=AUGMENTATION)
    for outputs, says in (("logits", "has 20 outputs"), ("features", "expected images to logits")):
        model = other.extract(other.space.smallest(), outputs=outputs)
        with pytest.raises(InputError, match=says):
            evaluate_model(model, evaluator.dataset, split="validation", preprocessing=SYMMETRIC)
    for shape in ((16, 24, 3), (16, 16, 1)):
        images = keras.Input(shape)
        model = keras.Model(images, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(images)))
        with pytest.raises(InputError, match=r"expected images to logits; build it for images of one size"):
            evaluate_model(model, evaluator.dataset, split="validation", preprocessing=SYMMETRIC)
    with pytest.raises(InputError, match=r"statistics are of shape \(2, 9\)"):
        other.extract(other.space.smallest(), np.ones((2, 9), np.float32))


def test_calibration_is_the_average_over_augmented_training_batches(evaluator):
    """The published rule, computed batch by batch from the same images."""
    arch = evaluator.net.space.smallest()
    batches = calibration_batches(
        evaluator.dataset, resolution=arch.r, augmentation=AUGMENTATION, images=64, batch_size=32, seed=0
    )
    statistics = [evaluator.net.batch_statistics(SYMMETRIC.normalize(images), arch)[1] for images, _ in batches]
    assert len(statistics) == 2
    np.testing.assert_allclose(evaluator.calibrate(arch), np.mean(statistics, axis=0), rtol=1e-4, atol=1e-5)


def test_evaluation_calibrates_and_does_not_touch_the_supernet(evaluator):
    """By default the statistics are the sub-network's own; the result says what was measured."""
    before = evaluator.net.state()
    arch = evaluator.net.space.largest()
    result = evaluator.evaluate(arch, split="validation")
    assert (result.images, result.split, result.calibrated, result.arch) == (50, "validation", True, arch)
    assert 0 <= result.top1 <= result.top5 <= 1
    assert result == evaluator.evaluate(arch, split="validation", statistics=evaluator.calibrate(arch))
    images, labels = evaluator.images("validation", arch.r)
    model = evaluator.net.extract(arch, evaluator.calibrate(arch))
    predicted = np.argmax(model(SYMMETRIC.normalize(images), training=False), axis=1)
    assert np.mean(predicted == labels) == pytest.approx(result.top1)
    for name, value in evaluator.net.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_uncalibrated_evaluation_warns(evaluator):
    """The accuracy of an uncalibrated subnet says little, and the user is told."""
    with pytest.warns(UserWarning, match="without batch-norm calibration"):
        result = evaluator.evaluate(evaluator.net.space.smallest(), split="validation", calibrate=False)
    assert not result.calibrated


def test_untrained_resolution_warns(evaluator):
    """Sizes outside what the supernet was trained on are evaluated, and said to be."""
    arch = evaluator.net.space.arch(ks=3, e=2, d=1, r=40)
    with pytest.warns(UserWarning, match="trained on 16 to 24"):
        assert evaluator.evaluate(arch, split="validation").arch.r == 40


def test_hits_count_ties_against_the_label():
    """A constant or NaN output is no hit; a clear one is."""
    logits = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [np.nan] * 3])
    assert hits(logits, np.array([2, 0, 1]), 1) == 1
    assert hits(logits, np.array([1, 0, 1]), 2) == 1


def test_collection_draws_prefixes_and_skips_what_is_known(evaluator):
    """More is the same and some more; the corners come first; known ones are not measured again."""
    space = micro_space()
    archs = draw_architectures(space, 12, seed=0)
    assert archs == draw_architectures(space, 30, seed=0)[:12]
    assert len(set(archs)) == 12
    assert archs[0] == space.largest()
    assert space.smallest() in archs[:4]
    with pytest.warns(UserWarning, match="1 different sub-networks were drawn, 5 were asked for"):
        assert draw_architectures(space.restricted(ks=(3,), e=(2,), d=(1,), r=(16,)), 5, seed=0)
    # Widths are a choice, too.
    wide = spaces.get("ofa_resnet50")
    assert wide.smallest() in draw_architectures(wide, 60, seed=0)
    known = set(archs[:10])
    results = list(collect(evaluator, archs, split="validation", known=known.__contains__))
    assert [result.arch for result in results] == archs[10:]
