"""A classifier that is fitted to a supernet's features: it knows the photos at once, and nothing else changes."""

import dataclasses

import numpy as np
import pytest

from ofa_tf.data import SYMMETRIC, load
from ofa_tf.networks import PackedSupernet
from ofa_tf.specialize import linear_probe
from ofa_tf.specialize.linear_probe import with_fitted_classifier
from ofa_tf.specialize.opened import of_packed
from tests.data.image_files import encoded, gradient
from tests.micro import nano_net


@pytest.mark.parametrize("classes", [("ant", "bee"), ("ant", "bee", "cow")])
def test_it_knows_the_photos_before_any_training(tmp_path, classes):
    """Two classes and more: the largest network is right about photos that differ, and its features are as before."""
    for label, name in enumerate(classes):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(20):
            noise = np.random.default_rng(number).integers(0, 30, (24, 30, 3)).astype(np.uint8)
            image = encoded(gradient(24, 30, label) + noise, "PNG")
            (tmp_path / "train" / name / f"{number}.png").write_bytes(image)
    dataset = load("folder", tmp_path, validation=6)
    packed = PackedSupernet(nano_net(1), SYMMETRIC.to_config(), class_names=tuple("abcdefghij"))
    fitted = with_fitted_classifier(packed, dataset)
    assert fitted.class_names == classes
    before, after = packed.net.state(), fitted.net.state()
    assert after["head/classifier/bias"].shape == (len(classes),)
    for name, value in before.items():
        if not name.startswith("head/classifier/"):
            np.testing.assert_array_equal(after[name], value)
    opened = of_packed(fitted, dataset, "fitted")
    space = opened.net.space
    arch = dataclasses.replace(space.largest(), r=space.resolutions[len(space.resolutions) // 2])
    random = of_packed(packed, dataset, "random")
    found, chance = (it.evaluator.evaluate(arch, split="train").top1 for it in (opened, random))
    assert found >= 0.9 > chance
    again = with_fitted_classifier(packed, dataset).net.state()
    np.testing.assert_allclose(again["head/classifier/kernel"], after["head/classifier/kernel"], rtol=1e-4, atol=1e-6)


def test_a_rare_class_is_among_the_photos(tmp_path, monkeypatch):
    """Of many photos some are taken; a class with two of them counts as one with hundreds does."""
    monkeypatch.setattr(linear_probe, "_PHOTOS", 10)
    for label, (name, count) in enumerate({"good": 60, "scratched": 2}.items()):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "train" / name / f"{number}.png").write_bytes(encoded(gradient(24, 30, label), "PNG"))
    dataset = load("folder", tmp_path, validation=6)
    packed = PackedSupernet(nano_net(1), SYMMETRIC.to_config(), class_names=tuple("abcdefghij"))
    # Of two classes that are fitted, one's outputs are the other's turned around.
    kernel = with_fitted_classifier(packed, dataset).net.state()["head/classifier/kernel"]
    np.testing.assert_array_equal(kernel[:, 0], -kernel[:, 1])
