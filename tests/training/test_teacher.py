"""Teachers that are trained already: asked truthfully, recorded, and refused where they do not fit."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofa_tf.common import InputError
from ofa_tf.data import PUBLISHED, SYMMETRIC, Augmentation, load
from ofa_tf.evaluation import Evaluator
from ofa_tf.networks import PackedSupernet
from ofa_tf.training import KerasTeacher, Recipe, StageRecipe, SupernetTeacher, Trainer, TrainStep, open_experiment
from ofa_tf.training.teacher import labelled_by
from tests.micro import micro_net, nano_net
from tools.opening import read_teacher

CONFIG = {
    "space": "ofa_tiny",
    "choices": {"ks": (3,), "e": (2,), "d": (1, 2)},
    "resolutions": (16, 24),
    "dataset": "digits",
    "data_dir": "",
    "validation": 1000,
    "data_seed": 0,
    "batch_size": 128,
    "schedule": "delayed",
    "calibration_images": 100,
    "augmentation": {"flip": False},
    "stages": {"full": {"epochs": 1}, "all": {"epochs": 1}},
}
RECIPE = Recipe({"joint": StageRecipe(1)}, schedule="joint", calibration_images=100, preprocessing=SYMMETRIC)


@pytest.fixture(scope="module")
def digits():
    return load("digits", validation=1000)


def images(side: int) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 256, (6, side, side, 3), dtype=np.uint8)


def keras_file(path, *layers, side=None):
    """A classifier of ten classes from the mean colour of the image."""
    inputs = keras.Input((side, side, 3))
    outputs = inputs
    for layer in (*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)):
        outputs = layer(outputs)
    keras.Model(inputs, outputs).save(path)
    return path


def test_a_supernet_is_asked_with_statistics_of_each_image_size(digits):
    """Its largest network, its own preprocessing, calibrated on the run's images at the size that is asked."""
    packed = PackedSupernet(micro_net(1), SYMMETRIC.to_config(), class_names=digits.class_names)
    answers = SupernetTeacher(packed).answers(digits, RECIPE, (16, 24))
    evaluator = Evaluator(
        packed.net, digits, preprocessing=SYMMETRIC, augmentation=Augmentation(), calibration_images=100, batch_size=100
    )
    found = []
    for side in (16, 24):
        arch = packed.net.space.arch(r=side)
        statistics = evaluator.calibrate(arch)
        inputs = SYMMETRIC.normalize(images(side))
        expected = tf.nn.softmax(packed.net(inputs, arch=arch, statistics=statistics))
        np.testing.assert_allclose(answers(tf.constant(images(side))), expected, atol=1e-5)
        found.append(statistics)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_supernet_is_asked_at_an_image_size_of_its_own(digits):
    """Whatever the size of the step's images; its run records that size."""
    packed = PackedSupernet(micro_net(1), SYMMETRIC.to_config(), class_names=digits.class_names)
    teacher = SupernetTeacher(packed, resolution=24)
    answers = teacher.answers(digits, RECIPE, (16, 24))
    pixels = tf.constant(images(16))
    larger = tf.image.resize(tf.cast(pixels, tf.float32), (24, 24), antialias=True)
    whole = SupernetTeacher(packed).answers(digits, RECIPE, (24,))
    np.testing.assert_allclose(answers(pixels), whole(larger), atol=1e-5)
    np.testing.assert_allclose(answers(tf.constant(images(24))), whole(tf.constant(images(24))), atol=1e-5)
    assert teacher.identity != SupernetTeacher(packed).identity


def test_labels_may_be_the_teachers(tmp_path):
    """Photos of any folders: the run has the teacher's classes, validation counts its answers, and the step learns."""
    names = tuple(f"class {number}" for number in range(7))
    packed = PackedSupernet(micro_net(3, num_classes=7), SYMMETRIC.to_config(), class_names=names)
    teacher = SupernetTeacher(packed)
    config = {**CONFIG, "labels": "teacher", "stages": {"full": {"epochs": 3}}}
    run, dataset = open_experiment(tmp_path / "run", config, teacher=teacher)
    assert run.space.num_classes == 7
    assert dataset.class_names == names == tuple(run.dataset["class_names"])
    assert run.dataset["digest"] == load("digits", validation=1000).digest
    evaluator = Evaluator(
        packed.net,
        dataset,
        preprocessing=SYMMETRIC,
        augmentation=Augmentation(),
        calibration_images=100,
        batch_size=100,
    )
    arch = packed.net.space.arch(r=24)
    assert evaluator.evaluate(arch, split="validation").top1 > 0.9
    Trainer(run, dataset, teacher=teacher).train()
    losses = [line["loss"] for line in run.read_log("metrics") if line["split"] == "train"]
    assert losses[2] < losses[1] < losses[0]


def test_answers_stay_with_their_images_beside_damaged_ones(digits):
    """A damaged validation image has no answer; those of the others do not move into its place."""
    names = tuple(f"class {number}" for number in range(7))
    teacher = SupernetTeacher(PackedSupernet(micro_net(3, num_classes=7), SYMMETRIC.to_config(), class_names=names))
    whole = labelled_by(teacher, digits, RECIPE, 24).split("validation")
    validation = digits.split("validation")
    lost = dataclasses.replace(validation, damaged={int(validation.indices[2]): "damaged"})
    others = dataclasses.replace(digits, splits={**digits.splits, "validation": lost})
    found = labelled_by(teacher, others, RECIPE, 24).split("validation")
    assert len(found) == len(whole)
    assert np.mean(np.delete(found.labels, 2) == np.delete(whole.labels, 2)) > 0.99


def test_labels_of_no_teacher_are_one_line(tmp_path):
    """Without a teacher, or with one whose classes its file does not say."""
    config = {**CONFIG, "labels": "teacher"}
    with pytest.raises(InputError, match="--teacher: not given"):
        open_experiment(tmp_path / "run", config)
    keras_teacher = KerasTeacher.load(keras_file(tmp_path / "a.keras", keras.layers.Rescaling(1 / 255)))
    with pytest.raises(InputError, match="give a supernet"):
        open_experiment(tmp_path / "run", config, teacher=keras_teacher)
    with pytest.raises(InputError, match="labels is 'none'"):
        Recipe({"joint": StageRecipe(1)}, schedule="joint", labels="none")
    assert not (tmp_path / "run").exists()


def test_a_keras_model_gets_what_its_input_is(tmp_path, digits):
    """Pixels where it rescales them itself, the run's normalization where that is said, resized to a fixed input.

    What it gives are probabilities once, wherever its softmax is.
    """
    rescaling = keras.layers.Rescaling(1 / 255)
    cases = {
        "pixels": (keras_file(tmp_path / "a.keras", rescaling), None, lambda pixels: pixels),
        "normalized": (keras_file(tmp_path / "b.keras"), "normalized", SYMMETRIC.normalize),
        "fixed": (
            keras_file(tmp_path / "c.keras", keras.layers.Rescaling(1 / 127.5, -1.0), side=32),
            None,
            lambda pixels: tf.image.resize(pixels, (32, 32), antialias=True),
        ),
    }
    for path, inputs, seen in cases.values():
        teacher = KerasTeacher.load(path, inputs)
        teacher.check(digits, RECIPE, (16,))
        answers = tf.function(
            teacher.answers(digits, RECIPE, (16,)), input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)]
        )
        model = keras.models.load_model(path)
        for side in (16, 32, 48):
            pixels = tf.constant(images(side))
            expected = tf.nn.softmax(model(seen(tf.cast(pixels, tf.float32)), training=False))
            np.testing.assert_allclose(answers(pixels), expected, atol=1e-5)
    softmax = KerasTeacher.load(keras_file(tmp_path / "d.keras", rescaling, side=16))
    ending = keras.Sequential([softmax.model, keras.layers.Softmax()])
    inside = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Rescaling(1.0), ending])
    for model in (ending, inside):
        model.save(tmp_path / "e.keras")
        again = KerasTeacher.load(tmp_path / "e.keras")
        found, expected = (it.answers(digits, RECIPE, (16,))(images(16)) for it in (again, softmax))
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_is_no_teacher_is_one_line(tmp_path, digits):
    """Other classes, unknown inputs, no classifier, no model."""
    with pytest.raises(InputError, match=r"begins with no Rescaling or Normalization.*--teacher_inputs=normalized"):
        KerasTeacher.load(keras_file(tmp_path / "a.keras"))
    inputs = keras.Input((16, 16, 3))
    keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs)).save(tmp_path / "b.keras")
    with pytest.raises(InputError, match=r"expected square RGB images .* and classes"):
        KerasTeacher.load(tmp_path / "b.keras")
    (tmp_path / "c.keras").write_bytes(b"nothing")
    for name in ("c.keras", "absent.keras"):
        with pytest.raises(InputError, match=rf"{name}: cannot be read as a Keras model") as caught:
            KerasTeacher.load(tmp_path / name)
        assert "\n" not in str(caught.value)
    few = SupernetTeacher(PackedSupernet(micro_net(num_classes=7)))
    others = SupernetTeacher(PackedSupernet(micro_net(), class_names=tuple("abcdefghij")))
    for teacher in (few, others):
        with pytest.raises(InputError, match=r"--teacher: it knows .* classes .*, the images have 10 \(0, 1, 2"):
            teacher.check(digits, RECIPE, (16,))
    SupernetTeacher(PackedSupernet(micro_net())).check(digits, RECIPE, (16,))


def test_a_compiled_step_resizes_no_images_for_its_teacher(tmp_path, digits):
    """XLA cannot: a run of the teacher's own size has nothing to resize, another is refused in one line."""
    teacher = KerasTeacher.load(keras_file(tmp_path / "a.keras", keras.layers.Rescaling(1 / 255), side=16))
    compiled = dataclasses.replace(RECIPE, jit_compile=True)
    with pytest.raises(InputError, match=r"16 pixels a side, the run's images \[16, 24\].*leave jit_compile out"):
        teacher.check(digits, compiled, (16, 24))
    teacher.check(digits, compiled, (16,))
    with pytest.raises(InputError, match="--teacher_resolution: XLA cannot resize images; leave jit_compile out"):
        SupernetTeacher(PackedSupernet(micro_net()), 24).check(digits, compiled, (16,))
    pixels = images(16)
    answers = tf.function(teacher.answers(digits, compiled, (16,)), jit_compile=True)
    np.testing.assert_allclose(answers(pixels), teacher.answers(digits, RECIPE, (16,))(pixels), atol=1e-5)


def test_a_run_records_its_teacher_and_resumes_with_no_other(tmp_path, capsys):
    """It teaches in every stage; another one, or none, is another run; one that nobody would ask is refused."""
    teacher = SupernetTeacher(PackedSupernet(micro_net(1), PUBLISHED.to_config()))
    for change, message in (
        (("kd_ratio", 0.0), "kd_ratio and feature_ratio are 0"),
        (("schedule", "sandwich"), "leave the teacher out"),
    ):
        stages = {"stages": {"sandwich": {"epochs": 1}}} if change[0] == "schedule" else {}
        with pytest.raises(InputError, match=message):
            open_experiment(tmp_path / "run", {**CONFIG, **dict([change]), **stages}, teacher=teacher)
    assert not (tmp_path / "run").exists()
    run, images_ = open_experiment(tmp_path / "run", CONFIG, teacher=teacher)
    assert run.teacher == teacher.identity
    assert run.teacher.keys() == {"kind", "space", "digest"}
    trainer = Trainer(run, images_, teacher=teacher)
    assert "the teacher's top-1 on augmented training images, 24 pixels: 0." in capsys.readouterr().err
    weights, real_step = [], trainer.step

    def step(*args, **options):
        weights.append(options["kd_ratio"])
        return real_step(*args, **options)

    step.optimizer, trainer.step = real_step.optimizer, step
    trainer.train()
    assert set(weights) == {1.0}
    assert real_step.run.experimental_get_tracing_count() == 1
    for other in (None, SupernetTeacher(PackedSupernet(micro_net(2), PUBLISHED.to_config()))):
        with pytest.raises(InputError, match="holds a run with another teacher"):
            open_experiment(tmp_path / "run", CONFIG, teacher=other)
        with pytest.raises(InputError, match="a run with another teacher"):
            Trainer(run, images_, teacher=other)


def test_without_a_teacher_none_is_made():
    """A step that nobody teaches has no teacher in its trace, and its weight has no effect."""
    net, losses = nano_net(), []
    beginning, step = net.state(), TrainStep(net, None, SYMMETRIC)
    for kd_ratio in (0.0, 1.0):
        net.load_state(beginning)
        archs = np.stack([net.space.to_array(net.space.largest())])
        labels = np.arange(6, dtype=np.int32)
        loss, *_ = step(images(16), labels, archs, learning_rate=0.1, kd_ratio=kd_ratio, dropout=0.0, seed=(0, 0))
        losses.append(float(loss))
    assert losses[0] == losses[1]


def test_inputs_are_said_of_keras_files_only(tmp_path):
    """A supernet knows what it takes."""
    with pytest.raises(InputError, match=r"--teacher_inputs=pixels: only for a \.keras file"):
        read_teacher("ofa_imagenette_mbv3", "pixels")
    path = keras_file(tmp_path / "a.keras")
    assert read_teacher(str(path), "normalized").identity["inputs"] == "normalized"
