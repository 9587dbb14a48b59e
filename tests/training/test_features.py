"""Sub-networks that learn the maps and logits of a teacher: `feature_ratio`."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from ofa_tf.common import InputError
from ofa_tf.data import SYMMETRIC
from ofa_tf.networks import PackedSupernet
from ofa_tf.training import KerasTeacher, Recipe, StageRecipe, SupernetTeacher, Trainer, TrainStep, open_experiment
from ofa_tf.training.train_step import feature_distance
from tests.micro import micro_net

CONFIG = {
    "dataset": "digits", "data_dir": "",
    "validation": 1000, "data_seed": 0, "labels": "teacher", "kd_ratio": 0.0,
    "feature_ratio": 1.0, "batch_size": 32, "calibration_images": 100, "stages": {"full": {"epochs": 3}},
}  # fmt: skip


def pixels(side: int = 16, count: int = 8) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def test_the_distance_is_none_of_the_teacher_itself_and_one_of_the_mean():
    """Three times what each part of it is: twice the maps, once the logits."""
    net = micro_net()
    maps, logits = net.features(SYMMETRIC.normalize(pixels()), net.space.largest(), training=False)
    assert float(feature_distance(maps, logits, maps, logits)) == 0
    means = [tf.zeros_like(each) + tf.reduce_mean(each, [0, 1, 2]) for each in maps]
    of_the_mean = feature_distance(means, tf.zeros_like(logits) + tf.reduce_mean(logits, 0), maps, logits)
    assert float(of_the_mean) == pytest.approx(3.0, rel=1e-3)


def test_every_subnet_has_the_maps_of_the_largest():
    """As many, of the same sizes; the logits are those of the pass without maps, and nothing of the net moves."""
    net = micro_net()
    images = SYMMETRIC.normalize(pixels())
    before = net.state()
    largest, _ = net.features(images, net.space.largest(), training=False)
    for seed in range(5):
        arch = net.space.sample(np.random.default_rng(seed))
        maps, logits = net.features(images, arch, training=False)
        assert [each.shape for each in maps] == [each.shape for each in largest]
        np.testing.assert_allclose(logits, net.batch_statistics(images, arch)[0], atol=1e-5)
    for name, values in net.state().items():
        np.testing.assert_array_equal(values, before[name])


def test_a_step_moves_a_subnet_towards_the_teacher():
    """At no weight the teacher is not asked; the largest has nothing to learn of itself, a smaller one has."""
    net, teacher = micro_net(), micro_net()
    step = TrainStep(net, None, SYMMETRIC, feature_teacher=teacher, weight_decay=0.0, label_ratio=0.0)
    labels = np.zeros(8, np.int32)

    def loss_of(arch, **settings):
        archs = net.space.to_array(arch)[None]
        options = {"learning_rate": 0.01, "kd_ratio": 0.0, "dropout": 0.0, "seed": (0, 0), **settings}
        return float(step(pixels(), labels, archs, **options)[0])

    assert loss_of(net.space.smallest()) == 0
    assert loss_of(net.space.largest(), feature_ratio=1.0) == pytest.approx(0, abs=1e-6)
    losses = [loss_of(net.space.smallest(), feature_ratio=1.0) for _ in range(30)]
    assert losses[0] > 0.1
    assert losses[-1] < 0.8 * losses[0]
    assert loss_of(net.space.smallest(), feature_ratio=0.5) < 0.6 * losses[-1]


def test_one_teacher_gives_answers_and_features():
    """Both weights together are the sum of each alone, and the answers are those of a teacher of answers only."""
    net, teacher = micro_net(), micro_net(1)
    archs = net.space.to_array(net.space.smallest())[None]

    def loss_of(step, **settings):
        options = {"learning_rate": 0.0, "kd_ratio": 0.0, "dropout": 0.0, "seed": (0, 0), **settings}
        return float(step(pixels(), np.zeros(8, np.int32), archs, **options)[0])

    options = {"weight_decay": 0.0, "label_ratio": 0.0}
    both = TrainStep(net, teacher, SYMMETRIC, feature_teacher=teacher, **options)
    answers, features = loss_of(both, kd_ratio=1.0), loss_of(both, feature_ratio=1.0)
    assert loss_of(both, kd_ratio=1.0, feature_ratio=1.0) == pytest.approx(answers + features, rel=1e-4)
    assert answers == pytest.approx(loss_of(TrainStep(net, teacher, SYMMETRIC, **options), kd_ratio=1.0), rel=1e-4)
    assert loss_of(both) == 0


@pytest.mark.slow
def test_a_step_compiled_by_xla_learns_features():
    """With the teacher asked or not, whose maps are then of one element, its loss is that of the ordinary step."""
    steps = [
        TrainStep(micro_net(), None, SYMMETRIC, feature_teacher=micro_net(), weight_decay=0.0, jit_compile=compiled)
        for compiled in (True, False)
    ]
    for ratio in (0.0, 1.0, 0.0):
        archs = steps[0].net.space.to_array(steps[0].net.space.smallest())[None]
        options = {"learning_rate": 0.01, "kd_ratio": 0.0, "dropout": 0.0, "seed": (0, 0), "feature_ratio": ratio}
        compiled, ordinary = (float(step(pixels(), np.zeros(8, np.int32), archs, **options)[0]) for step in steps)
        assert compiled == pytest.approx(ordinary, rel=1e-3)


def test_a_run_learns_features_alone(tmp_path):
    """With `labels=teacher` and no weight for answers; a step's loss falls."""
    packed = PackedSupernet(micro_net(3, num_classes=7), SYMMETRIC.to_config(), class_names=tuple("abcdefg"))
    teacher = SupernetTeacher(packed)
    file = tmp_path / "micro.json"
    file.write_text(json.dumps(packed.net.space.to_config()))
    config = {**CONFIG, "space": str(file), "preprocessing": SYMMETRIC.to_config()}
    run, dataset = open_experiment(tmp_path / "run", config, teacher=teacher)
    Trainer(run, dataset, teacher=teacher).train()
    losses = [line["loss"] for line in run.read_log("metrics") if line["split"] == "train"]
    assert losses[-1] < 0.9 * losses[0]


def test_what_has_no_such_maps_is_one_line():
    """Another space, other normalization, a Keras model, a weight below zero."""
    net = micro_net()
    recipe = Recipe({"full": StageRecipe(1)}, feature_ratio=1.0, preprocessing=SYMMETRIC)
    teacher = SupernetTeacher(PackedSupernet(net, SYMMETRIC.to_config()))
    assert teacher.of_features(net.space, recipe) is net
    with pytest.raises(InputError, match=r"give one of the run's space, .*feature_ratio to 0"):
        teacher.of_features(net.space.restricted(ks=(3,)).replace(name="other"), recipe)
    other = dataclasses.replace(recipe, preprocessing=dataclasses.replace(SYMMETRIC, mean=(0.1, 0.2, 0.3)))
    with pytest.raises(InputError, match=r"normalized otherwise.*feature_ratio to 0"):
        teacher.of_features(net.space, other)
    with pytest.raises(InputError, match=r"a Keras model.*feature_ratio to 0"):
        KerasTeacher(None, "", "pixels").of_features(net.space, recipe)
    with pytest.raises(InputError, match="feature_ratio is -1"):
        Recipe({"full": StageRecipe(1)}, feature_ratio=-1)


def test_mistakes_leave_no_run(tmp_path):
    """Nobody who teaches, and a space whose maps differ in width: one line, and no folder behind."""
    config = {**CONFIG, "labels": "data", "space": "ofa_tiny"}
    with pytest.raises(InputError, match="nobody teaches in these stages; set it to 0"):
        open_experiment(tmp_path / "run", config)
    with pytest.raises(InputError, match="in schedule sandwich only answers are taught; set it to 0"):
        open_experiment(tmp_path / "run", {**config, "schedule": "sandwich", "stages": {"sandwich": {"epochs": 1}}})
    with pytest.raises(InputError, match="sub-networks differ in width; set it to 0"):
        open_experiment(tmp_path / "run", {**config, "space": "ofa_resnet50"})
    assert not (tmp_path / "run").exists()
