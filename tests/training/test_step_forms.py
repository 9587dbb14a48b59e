"""Mixed precision, XLA's step and the one that computes blocks twice: the ordinary step, within stated bounds."""

import types

import numpy as np
import pytest
import tensorflow as tf

from ofa_tf.common import InputError
from ofa_tf.data import SYMMETRIC
from ofa_tf.networks import masks
from ofa_tf.spaces import KERNEL, MID, OUT
from ofa_tf.training import TrainStep
from tests.micro import micro_net, random_images

# Of a bfloat16: 8 bits hold its significant digits.
EPSILON = 2.0**-8


def run(step, arch, **options):
    """Loss and, by name, weights, moving statistics and slots after one step with a teacher."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, 8).astype(np.int32)
    settings = {"learning_rate": 0.1, "kd_ratio": 1.0, "dropout": 0.0, "seed": (0, 0), **options}
    loss, top1, _ = step(images, labels, step.net.space.to_array(arch)[None], **settings)
    slots = {f"slot {index}": variable.numpy() for index, variable in enumerate(step.optimizer.variables)}
    return {"loss": float(loss), "top1": float(top1)} | step.net.state() | slots


def step_of(make=micro_net, **options) -> TrainStep:
    return TrainStep(make(), make(seed=1), SYMMETRIC, **options)


def restart(step: TrainStep, state) -> TrainStep:
    """The step before its first run, traced already; these weights."""
    step.net.load_state(state)
    for variable in step.optimizer.variables:
        variable.assign(tf.zeros_like(variable.value))
    return step


def short_net(**options):
    """Two blocks and a third that may be skipped: XLA compiles for long."""
    return micro_net(base_widths=(8, 8, 16), strides=(2,), **options)


def archs(space):
    return [space.largest(), space.smallest(), space.sample(np.random.default_rng(1))]


def round_weights(net) -> None:
    for variable in net.trainable_variables:
        variable.assign(tf.cast(tf.cast(variable.value, tf.bfloat16), tf.float32))


def test_a_step_in_mixed_bfloat16_agrees_to_its_precision():
    """It is no further from the float32 step than a few times what rounding the weights alone to bfloat16 does to that.

    The weights themselves and the moving statistics stay float32, and so are not rounded.
    """
    net = short_net()
    before = net.state()
    round_weights(net)
    before_rounded = net.state()
    steps = {precision: step_of(short_net, precision=precision) for precision in ("float32", "mixed_bfloat16")}
    for arch in archs(net.space)[:2]:
        exact, mixed = (run(restart(step, before), arch) for step in steps.values())
        rounded = run(restart(steps["float32"], before_rounded), arch)
        assert 0 < abs(mixed["loss"] - exact["loss"]) < EPSILON * exact["loss"]
        for kind in ("kernel", "gamma", "beta", "bias", "moving_mean", "moving_variance"):
            names = [name for name in before if name.endswith(kind)]
            errors = [np.ravel(mixed[name] - exact[name]) for name in names]
            moves = [np.ravel(exact[name] - before[name]) for name in names]
            yardstick = [np.ravel(rounded[name] - before_rounded[name]) for name in names]
            error, yard = (
                np.linalg.norm(np.concatenate(each))
                for each in (errors, [one - other for one, other in zip(yardstick, moves, strict=True)])
            )
            assert 0 < error < 3 * yard, kind
        for kind in ("gamma", "moving_mean", "moving_variance", "kernel"):
            values = np.concatenate([np.ravel(mixed[name]) for name in before if name.endswith(kind)])
            assert values.dtype == np.float32
            assert (tf.cast(tf.cast(values, tf.bfloat16), tf.float32).numpy() != values).mean() > 0.5, kind


def test_blocks_that_are_computed_twice_make_the_same_step():
    """Loss, weights, momentum and, moved once alone, moving statistics; skipped blocks and a kernel's matrices too."""
    net = short_net()
    before = net.state()
    plain, twice = (step_of(short_net, recompute=recompute) for recompute in (False, True))
    for arch in archs(net.space):
        expected, result = (run(restart(step, before), arch) for step in (plain, twice))
        for name, value in expected.items():
            np.testing.assert_allclose(result[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_masks_compute_what_slices_compute():
    """Logits and batch statistics of each sub-network, in shapes that do not depend on it."""
    net = micro_net()
    images = random_images(4, 16)
    shapes = set()
    for arch in archs(net.space):
        with masks():
            logits, statistics = net.batch_statistics(images, arch)
            calibrated = net(images, arch=arch, statistics=statistics)
            block = net.blocks[1]
            sizes = net.space.to_array(arch)[1]
            shapes.add(tuple(block.depthwise.active_kernel(channels=sizes[MID], kernel_index=sizes[KERNEL]).shape))
        expected, expected_statistics = net.batch_statistics(images, arch)
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(statistics, expected_statistics, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            calibrated, net(images, arch=arch, statistics=expected_statistics), rtol=1e-4, atol=1e-4
        )
    assert len(shapes) == 1


@pytest.mark.slow
def test_a_step_compiled_by_xla_is_the_ordinary_one():
    """One compilation for all sub-networks; what is inactive keeps its moving statistics to the bit."""
    compiled, ordinary = step_of(short_net, jit_compile=True), step_of(short_net)
    start = compiled.net.state()
    for arch in archs(compiled.net.space):
        after = run(restart(compiled, start), arch)
        for name, value in run(restart(ordinary, start), arch).items():
            np.testing.assert_allclose(after[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
        rows = dict(zip((block.name for block in compiled.net.blocks), compiled.net.space.to_array(arch), strict=True))
        for name in (name for name in start if "moving" in name):
            block, norm, _ = name.split("/")
            channels = rows[block][OUT if norm == "project_norm" or block == "stem" else MID]
            np.testing.assert_array_equal(after[name][channels:], start[name][channels:], err_msg=name)
            assert (after[name][:channels] != start[name][:channels]).all(), name
    assert compiled.run.experimental_get_tracing_count() == 1


def test_jit_compile_is_for_one_device(monkeypatch):
    """Several replicas cannot be compiled into one program."""
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: types.SimpleNamespace(num_replicas_in_sync=2))
    with pytest.raises(InputError, match="jit_compile is for one device, here are 2"):
        step_of(jit_compile=True)
