"""The training step: one trace, gradients of active parts only, the published loss and update."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ofa_tf.data import SYMMETRIC, load
from ofa_tf.evaluation import Evaluator
from ofa_tf.spaces import IN, MID, OUT
from ofa_tf.training import TrainStep
from ofa_tf.training.train_step import distillation_loss, soft_targets
from tests.micro import micro_net


@pytest.fixture(scope="module", name="traced")
def _traced() -> TrainStep:
    """A step without weight decay: to trace it takes longer than all that the tests run."""
    return TrainStep(micro_net(), micro_net(1), SYMMETRIC, weight_decay=0.0)


@pytest.fixture(scope="module", name="beginning")
def _beginning():
    return micro_net().state(), micro_net(1).state()


@pytest.fixture(name="begin")
def _begin(traced, beginning):
    """Puts the step back to where a new one is, with zero momenta, and gives it."""

    def begun() -> TrainStep:
        for net, state in zip((traced.net, traced.teacher), beginning, strict=True):
            net.load_state(state)
        for variable in traced.optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        return traced

    return begun


def images_and_labels(size: int, count: int = 8, seed: int = 0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return images, rng.integers(0, 10, count).astype(np.int32)


def run(step, archs, size=16, **options):
    images, labels = images_and_labels(size)
    tensors = np.stack([step.net.space.to_array(arch) for arch in archs])
    settings = {"learning_rate": 0.1, "kd_ratio": 0.0, "dropout": 0.0, "seed": (0, 0), **options}
    return step(images, labels, tensors, **settings)


def test_one_trace_for_200_architectures(begin):
    """200 random architectures, sizes and numbers of sub-networks: one trace of the step, one of evaluation."""
    step = begin()
    net = step.net
    evaluator = Evaluator(net, load("digits"), preprocessing=SYMMETRIC, augmentation=None)
    rng = np.random.default_rng(0)
    seen = set()
    for index in range(200):
        archs = [net.space.sample(rng) for _ in range(1 + index % 4)]
        seen.update(archs)
        drawn = archs[:1] if index % 10 else archs
        loss, *_ = run(step, drawn, size=archs[0].r, kd_ratio=float(index % 2), in_place=index % 3 == 0)
        assert np.isfinite(loss)
        images, _ = images_and_labels(archs[0].r)
        sizes = net.space.to_array(archs[0])
        statistics = evaluator.batch_statistics(images, sizes)
        assert np.isfinite(evaluator.logits(images, sizes, statistics)).all()
    assert len(seen) > 200
    for function in (step.run, evaluator.logits, evaluator.batch_statistics):
        assert function.experimental_get_tracing_count() == 1


def test_a_step_changes_only_active_parts(begin):
    """Without weight decay, nothing outside the active slices of the smallest subnet moves; inside, everything does."""
    step = begin()
    net = step.net
    before = net.state()
    arch = net.space.smallest()
    run(step, [arch])
    sizes = dict(zip([position.name for position in net.space.positions], net.space.to_array(arch), strict=True))
    after = net.state()
    for name, value in after.items():
        row = sizes[name.split("/")[0]]
        changed = value != before[name]
        if not row[0]:
            assert not changed.any(), f"{name}: a skipped block changed"
            continue
        if name.endswith(("expand/kernel", "project/kernel")) and "se_" not in name:
            inner, outer = (row[IN], row[MID]) if "expand" in name else (row[MID], row[OUT])
            assert changed[:, :, :inner, :outer].all()
            changed[:, :, :inner, :outer] = False
            assert not changed.any(), f"{name}: changed outside the active part"
        if name.endswith("depthwise/kernel") and changed.shape[0] == 7:
            assert changed[2:5, 2:5, : row[MID]].any()
            changed[1:6, 1:6, : row[MID]] = False
            assert not changed.any(), f"{name}: changed outside the active part"
        if name.endswith(("gamma", "beta", "moving_mean", "moving_variance")):
            channels = row[OUT] if "project" in name else row[MID]
            assert not changed[channels:].any(), f"{name}: changed outside the active part"


def test_gradients_of_subnets_are_summed(begin):
    """A first step over two subnets moves the weights by the sum of both first steps, from the same weights."""
    changes = []
    for chosen in ([(4, 3)], [(2, 7)], [(4, 3), (2, 7)]):
        step = begin()
        kernel = step.net.blocks[0].conv.kernel
        before = kernel.numpy()
        run(step, [step.net.space.arch(e=e, ks=ks) for e, ks in chosen], learning_rate=0.01)
        changes.append(kernel.numpy() - before)
    assert np.abs(changes[2]).max() > 1e-4
    np.testing.assert_allclose(changes[0] + changes[1], changes[2], atol=1e-6)


def test_weight_decay_is_coupled_and_skips_norms_and_biases(begin):
    """The first step of SGD with decay d differs from one without by exactly rate * (1 + momentum) * d * weight."""
    nets = []
    for step in (begin(), TrainStep(micro_net(), micro_net(), SYMMETRIC, weight_decay=0.5)):
        start = step.net.state()
        run(step, [step.net.space.largest()], learning_rate=0.01)
        nets.append(step.net.state())
    for name, value in start.items():
        difference = nets[0][name] - nets[1][name]
        decays = name.endswith("kernel") or "transform" in name
        expected = 0.01 * 1.9 * 0.5 * value if decays else np.zeros_like(value)
        np.testing.assert_allclose(difference, expected, atol=2e-6, err_msg=name)


def test_teacher_is_not_changed_and_counts(begin):
    """Distillation changes the loss by the teacher's cross-entropy, and leaves the teacher as it was."""
    step = begin()
    net, teacher = step.net, step.teacher
    before = teacher.state()
    arch = net.space.largest()
    images, labels = images_and_labels(16)
    logits = net.batch_statistics(SYMMETRIC.normalize(images), arch)[0]
    soft = tf.nn.softmax(teacher.batch_statistics(SYMMETRIC.normalize(images), teacher.space.largest())[0])
    expected = distillation_loss(logits, soft_targets(labels, 10), soft, label_smoothing=0.1, kd_ratio=1.0)
    loss, *_ = run(step, [arch], kd_ratio=1.0)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    for name, value in teacher.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_the_first_subnet_teaches_the_others_in_place(begin):
    """Sandwich rule: the first loss is that of the labels, the second only the cross-entropy with the first's answer.

    The gradients are those of the two losses one by one: nothing flows back into the teacher's answer.
    """
    step = begin()
    net = step.net
    largest = net.space.largest()
    smallest = dataclasses.replace(net.space.smallest(), r=largest.r)
    images, labels = images_and_labels(16)
    kernel = net.blocks[0].conv.kernel
    pixels = SYMMETRIC.normalize(images)

    def own_loss(arch, teacher, **ratios):
        with tf.GradientTape() as tape:
            logits = net.batch_statistics(pixels, arch)[0]
            loss = distillation_loss(logits, soft_targets(labels, 10), teacher, label_smoothing=0.1, **ratios)
        return tf.nn.softmax(logits), loss, tape.gradient(loss, kernel.value)

    nobody = tf.zeros((len(labels), 10))
    soft, first, first_gradient = own_loss(largest, nobody, kd_ratio=0.0)
    _, second, second_gradient = own_loss(smallest, soft, kd_ratio=1.0, label_ratio=0.0)
    before = kernel.numpy()
    loss, *_ = run(step, [largest, smallest], learning_rate=0.1, in_place=True)
    np.testing.assert_allclose(loss, first + second, rtol=1e-4)
    # A first step with Nesterov momentum is 1.9 times as long as one without.
    expected = 1.9 * 0.1 * (first_gradient + second_gradient).numpy()
    np.testing.assert_allclose(before - kernel.numpy(), expected, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_equals_its_definition(smoothing):
    """Smoothed cross-entropy as Keras computes it, plus cross-entropy with the teacher."""
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.normal(size=(4, 5)).astype(np.float32))
    labels, teacher = np.array([0, 1, 2, 4]), tf.nn.softmax(rng.normal(size=(4, 5)).astype(np.float32))
    entropy = tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    plain = tf.keras.losses.CategoricalCrossentropy(from_logits=True)
    expected = entropy(tf.one_hot(labels, 5), logits) + 0.7 * plain(teacher, logits)
    loss = distillation_loss(logits, soft_targets(labels, 5), teacher, label_smoothing=smoothing, kd_ratio=0.7)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_dropout_depends_on_the_seed_alone(begin):
    """The same seed drops the same features; another one others."""
    losses = []
    for seed in ((0, 1), (0, 1), (0, 2)):
        step = begin()
        losses.append(float(run(step, [step.net.space.largest()], dropout=0.5, seed=seed)[0]))
    assert losses[0] == losses[1] != losses[2]
