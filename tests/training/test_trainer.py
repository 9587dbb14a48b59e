"""A run: all stages, what it leaves, and that an interrupted one ends like an uninterrupted one."""

import json
import os
import re
import shutil
import signal

import numpy as np
import pytest

from ofa_tf.common import InputError, OfaError
from ofa_tf.common.locks import locked
from ofa_tf.data import SYMMETRIC, Augmentation, load
from ofa_tf.training import Recipe, RunDirectory, StageRecipe, Trainer
from ofa_tf.training.checkpoint import load_checkpoint, save_checkpoint
from tests.micro import nano_net, nano_space
from tests.training.scalars import scalars

STAGES = ("full", "kernel", "depth1")


@pytest.fixture(scope="module")
def digits():
    return load("digits", validation=1000)


def open_run(path, digits, **changes) -> RunDirectory:
    options = {
        "stages": {name: StageRecipe(2, 0, 0.05) for name in STAGES},
        "batch_size": 128,
        "augmentation": Augmentation(flip=False),
        "preprocessing": SYMMETRIC,
        "evaluate_every": 1,
        **changes,
    }
    dataset = {"dataset": "digits", "class_names": list(digits.class_names), "digest": digits.digest}
    return RunDirectory.create(path, nano_space(), dataset, Recipe(**options))


class Interrupted(Exception):
    pass


def evaluate(arch):
    """Stands for an evaluation."""
    return {"split": "validation", "top1": float(arch.r)}


@pytest.fixture(scope="module", name="finished")
def _finished(tmp_path_factory, digits):
    """An uninterrupted run, not to be changed, and its supernet."""
    run = open_run(tmp_path_factory.mktemp("runs") / "whole", digits)
    return run, Trainer(run, digits).train(evaluate=evaluate)


def test_the_curves_are_written_for_tensorboard_unless_that_is_refused(tmp_path, digits, finished):
    """Protects `RUN/tensorboard`: a folder for each stage, with what the logs have."""
    whole, _ = finished
    assert {path.name for path in (whole.path / "tensorboard").iterdir()} == set(STAGES)
    lines = [line for name in ("metrics", "timing") for line in whole.read_log(name)]
    tags = {f"top1/{line['subnet']}" for line in lines if "subnet" in line}
    tags |= {f"{name}/train" for name in ("loss", "top1", "learning_rate", "images_per_second")}
    found = scalars(whole.path / "tensorboard")
    assert {tag for _, tag, _ in found} == tags
    losses = [found[key] for key in sorted(found, key=lambda key: key[2]) if key[1] == "loss/train"]
    assert losses == pytest.approx([line["loss"] for line in lines if "loss" in line])
    run = open_run(tmp_path / "without", digits)
    Trainer(run, digits, event_files=False).train(["full"])
    assert not (run.path / "tensorboard").exists()


def test_interrupted_run_ends_like_the_uninterrupted_one(tmp_path, digits, finished):
    """Killed inside and between stages and resumed: the same metrics, and the same weights within float noise."""
    whole, net = finished
    assert whole.finished_stages() == list(STAGES)
    assert not whole.checkpoints()

    calls = []

    def interrupted_trainer() -> Trainer:
        # A new one each time: nothing may live on in the objects of the process that was killed.
        trainer = Trainer(open_run(tmp_path / "broken", digits), digits)
        real_step = trainer.step

        def step(*args, **kwargs):
            calls.append(None)
            if len(calls) in (5, 9):
                raise Interrupted
            return real_step(*args, **kwargs)

        trainer.step = step
        step.optimizer = real_step.optimizer
        return trainer

    for _ in range(2):
        with pytest.raises(Interrupted):
            interrupted_trainer().train(evaluate=evaluate)
    resumed = interrupted_trainer().train(evaluate=evaluate)
    broken = open_run(tmp_path / "broken", digits)
    assert len(calls) > 18  # three stages of two epochs of three steps, and what was lost
    for name, value in resumed.state().items():
        np.testing.assert_allclose(value, net.state()[name], atol=1e-4, err_msg=name)
    lines, expected = broken.read_log("metrics"), whole.read_log("metrics")
    assert len(lines) == len(expected) == 6 + 2 * (1 + 2 + 3)
    for line, other in zip(lines, expected, strict=True):
        assert line.keys() == other.keys()
        assert {key: value for key, value in line.items() if key not in ("loss", "top1")} == {
            key: value for key, value in other.items() if key not in ("loss", "top1")
        }
        if "loss" in line:
            assert line["loss"] == pytest.approx(other["loss"], abs=1e-3)
    assert {line["split"] for line in lines} == {"train", "validation"}


def test_delayed_keeps_its_momentum_over_the_end_of_a_process(tmp_path, digits):
    """The stages in two processes end like those in one: weights, and what the optimizer holds of former gradients."""
    options = {"stages": {"full": StageRecipe(1, 0, 0.05), "all": StageRecipe(1, 0, 0.05)}, "schedule": "delayed"}
    whole = Trainer(open_run(tmp_path / "whole", digits, **options), digits)
    net = whole.train()
    assert whole.teacher is None
    Trainer(open_run(tmp_path / "parts", digits, **options), digits).train(["full"])
    last = Trainer(open_run(tmp_path / "parts", digits, **options), digits)
    resumed = last.train()
    for name, value in resumed.state().items():
        np.testing.assert_allclose(value, net.state()[name], atol=1e-4, err_msg=name)
    for slot, other in zip(last.step.optimizer.momentums, whole.step.optimizer.momentums, strict=True):
        np.testing.assert_allclose(slot.numpy(), other.numpy(), atol=1e-3)
    # And the file of the first stage has it: not zero, and in the order of the channels then.
    load_checkpoint(last.run.stage_weights("full"), last.net, last.step.optimizer)
    assert any(np.abs(slot.numpy()).max() > 0 for slot in last.step.optimizer.momentums)
    lost = Trainer(open_run(tmp_path / "lost", digits, **options), digits)
    lost.train(["full"])
    save_checkpoint(lost.run.stage_weights("full"), lost.net, {"stage": "full", "step": 6})
    with pytest.raises(InputError, match="optimizer slot 0 is missing"):
        Trainer(open_run(tmp_path / "lost", digits, **options), digits).train()


def test_a_run_without_momentum(tmp_path, digits):
    """A whole number as a command line gives it: also the stage that sorts channels, and their memory, is trained."""
    options = {"stages": {"full": StageRecipe(1, 0, 0.05), "all": StageRecipe(1, 0, 0.05)}, "schedule": "delayed"}
    run = open_run(tmp_path / "run", digits, momentum=0, **options)
    Trainer(run, digits).train()
    assert run.finished_stages() == ["full", "all"]


def test_one_process_trains_a_run(tmp_path, digits):
    """A second one, which would write into the same logs, is told so."""
    trainer = Trainer(open_run(tmp_path / "run", digits), digits)
    said = f"{tmp_path / 'run'}: another process trains it"
    lock = tmp_path / "run" / ".training.lock"
    with locked(lock, "held"), pytest.raises(InputError, match=re.escape(said)):
        trainer.train()

    def on_step(*_):
        with pytest.raises(InputError, match="held"), locked(lock, "held"):
            pass

    trainer.train(["full"], on_step=on_step)
    # What is finished is only read, which needs no lock, and it was let go.
    with locked(lock, "held"):
        trainer.train(["full"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_is_saved_and_resumed(tmp_path, digits, finished, number):
    """Ctrl-C or SIGTERM ends the run after its step, saved there; the rest ends like a run that was not stopped."""
    trainer = Trainer(open_run(tmp_path / "run", digits), digits)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def on_step(stage, done, steps):
        # Noticed in the step that follows.
        if (stage, done) == ("full", 1):
            os.kill(os.getpid(), number)

    with pytest.raises(SystemExit) as left:
        trainer.train(on_step=on_step)
    assert left.value.code == 128 + number
    assert [path.name for path in trainer.run.checkpoints()] == ["full-000000002.npz"]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    resumed = Trainer(open_run(tmp_path / "run", digits), digits).train(["full"])
    whole = nano_net()
    load_checkpoint(finished[0].stage_weights("full"), whole)
    for name, value in resumed.state().items():
        np.testing.assert_allclose(value, whole.state()[name], atol=1e-4, err_msg=name)


def test_channels_and_their_momentum_are_sorted_once(tmp_path, digits):
    """Stage `all` begins with the largest channels in front, and each gradient's memory moves with its channel."""
    options = {"stages": {"full": StageRecipe(1, 0, 0.05), "all": StageRecipe(1, 0, 0.05)}, "schedule": "delayed"}
    trainer = Trainer(open_run(tmp_path / "run", digits, **options), digits)
    trainer.train(["full"])

    def kernels(name):
        """The kernels of that name of the elastic blocks, and what the optimizer remembers of their gradients."""
        slots = zip(trainer.net.trainable_variables, trainer.step.optimizer.momentums, strict=True)
        pairs = [(variable.numpy(), slot.numpy()) for variable, slot in slots if variable.path == f"{name}/kernel"]
        # The first block has one width.
        return pairs[1:]

    def importances():
        """By which channels are sorted: the L1 norms of the kernels that read them."""
        return [np.abs(kernel).sum((0, 1, 3)) for kernel, _ in kernels("project")]

    before, unsorted = kernels("depthwise"), importances()

    def stop(*args, **options):
        raise Interrupted

    stop.optimizer, trainer.step = trainer.step.optimizer, stop
    with pytest.raises(Interrupted):
        trainer.train()
    assert len(before) == 4
    for (kernel, slot), (old_kernel, old_slot), importance in zip(kernels("depthwise"), before, unsorted, strict=True):
        order = np.argsort(-importance, kind="stable")
        assert (order != np.arange(len(order))).any()
        np.testing.assert_array_equal(kernel, old_kernel[:, :, order])
        np.testing.assert_array_equal(slot, old_slot[:, :, order])
        assert (old_slot[:, :, order] != old_slot).any()
    for importance in importances():
        assert (np.diff(importance) <= 1e-5).all()


def test_a_sandwich_holds_largest_and_smallest(tmp_path, digits):
    """Each step trains the largest, the smallest and two random ones, in place, in the run's one stage."""
    run = open_run(tmp_path, digits, stages={"sandwich": StageRecipe(2, 0, 0.05)}, schedule="sandwich")
    trainer, steps = Trainer(run, digits), []
    real_step = trainer.step

    def step(images, labels, tensors, **options):
        steps.append((tensors, options))
        return real_step(images, labels, tensors, **options)

    trainer.step = step
    step.optimizer = real_step.optimizer
    trainer.train()
    space = run.space
    for tensors, options in steps:
        assert options["in_place"]
        assert options["kd_ratio"] == 0
        np.testing.assert_array_equal(tensors[0], space.to_array(space.largest()))
        np.testing.assert_array_equal(tensors[1], space.to_array(space.smallest()))
    assert len({tensors[2:].tobytes() for tensors, _ in steps}) > 1
    assert run.finished_stages() == ["sandwich"]


def test_loss_that_is_not_finite_stops_the_run(tmp_path, digits):
    """The step and its sub-networks are named, and the last good checkpoint stays."""
    run = open_run(tmp_path / "run", digits, stages={"full": StageRecipe(2, 0, 0.05)})
    trainer = Trainer(run, digits)
    real_step, calls = trainer.step, []

    def exploding_step(*args, **kwargs):
        calls.append(None)
        loss, top1, stop = real_step(*args, **kwargs)
        return (loss * np.nan if len(calls) == 5 else loss), top1, stop

    exploding_step.optimizer = real_step.optimizer
    trainer.step = exploding_step
    with pytest.raises(OfaError, match=r'stage full, step 4: the loss is nan.*"ks"'):
        trainer.train()
    (path,) = run.checkpoints()
    assert load_checkpoint(path, trainer.net)["step"] == 3


def test_the_last_checkpoints_are_kept(tmp_path, digits):
    """Every second step and at each epoch's end, the last three of them; a damaged one gives way to the one before."""
    timing = {"full": StageRecipe(3, 0, 0.05)}
    whole = open_run(tmp_path / "whole", digits, stages=timing, checkpoint_steps=2)
    net = Trainer(whole, digits).train()

    run = open_run(tmp_path / "run", digits, stages=timing, checkpoint_steps=2)
    trainer = Trainer(run, digits)
    real_step, calls = trainer.step, []

    def step(*args, **kwargs):
        calls.append(None)
        if len(calls) == 9:
            raise Interrupted
        return real_step(*args, **kwargs)

    step.optimizer, trainer.step = real_step.optimizer, step
    with pytest.raises(Interrupted):
        trainer.train()
    assert [path.name for path in run.checkpoints()] == [f"full-{step:09d}.npz" for step in (4, 6, 8)]
    newest = run.checkpoints()[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=r"full-000000008\.npz.*going on from the one before"):
        resumed = Trainer(run, digits).train()
    for name, value in resumed.state().items():
        np.testing.assert_allclose(value, net.state()[name], atol=1e-4, err_msg=name)
    lines, expected = ([line["epoch"] for line in r.read_log("metrics")] for r in (run, whole))
    assert lines == expected == [1, 2, 3]
    assert {line["replicas"] for line in whole.read_log("timing")} == {1}
    # A killed writer's half line is no line, however many are to be kept.
    with (whole.path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4')
    whole.cut_log("metrics", 9)
    assert [line["epoch"] for line in whole.read_log("metrics")] == [1, 2, 3]
    assert not run.checkpoints()

    broken = open_run(tmp_path / "broken", digits, stages=timing)
    for number in (3, 6):
        path = broken.checkpoint("full", number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"nothing")
    with (
        pytest.warns(UserWarning, match="going on from the one before"),
        pytest.raises(InputError, match=r"full-000000003\.npz.*nor can another checkpoint of stage full"),
    ):
        Trainer(broken, digits).train()


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    """The loss of a step is that before its update: a checkpoint after a bad update would be no good one."""
    net = nano_net()
    save_checkpoint(tmp_path / "state.npz", net, {"step": 1})
    good = (tmp_path / "state.npz").read_bytes()
    net.blocks[0].conv.kernel.assign(net.blocks[0].conv.kernel.numpy() * np.inf)
    with pytest.raises(OfaError, match="stem/conv/kernel is not finite; what is there is kept"):
        save_checkpoint(tmp_path / "state.npz", net, {"step": 2})
    assert (tmp_path / "state.npz").read_bytes() == good


def test_run_directories_refuse_what_does_not_fit(tmp_path, digits):
    """Another space, another recipe, no run, an unfinished run: one line each, saying what to do."""
    path = tmp_path / "run"
    run = open_run(path, digits)
    assert open_run(path, digits).recipe == run.recipe
    with pytest.raises(InputError, match=r"another recipe.*batch_size: 128 there, 64 here"):
        open_run(path, digits, batch_size=64)
    with pytest.raises(InputError, match=r"another space.*name: nano there, other here"):
        RunDirectory.create(path, nano_space(name="other"), run.dataset, run.recipe)
    with pytest.raises(InputError, match="no finished stage"):
        run.load_supernet()
    with pytest.raises(InputError, match="not a run directory"):
        RunDirectory.open(tmp_path / "nothing")
    with pytest.raises(InputError, match="stage full is missing"):
        Trainer(open_run(tmp_path / "other", digits, stages={"kernel": StageRecipe(1, 0, 0.1)}), digits)
    with pytest.raises(InputError, match="it has no stages"):
        Trainer(open_run(tmp_path / "third", digits, stages={}), digits)
    with pytest.raises(InputError, match="stage full is not finished"):
        Trainer(run, digits).train(["kernel"])
    with pytest.raises(InputError, match="stage 'kernal' is unknown"):
        Trainer(run, digits).train(["kernal"])
    (path / "run.json").write_text(json.dumps({"format": 1})[:-1])
    with pytest.raises(InputError, match=r"run\.json: not a whole run"):
        RunDirectory.open(path)


def test_a_run_of_before_its_files_had_versions_is_opened(tmp_path, finished):
    """Users have them: "format": 1 and no version, in run.json and in the checkpoints."""
    shutil.copytree(finished[0].path, tmp_path / "run")
    run = RunDirectory.open(tmp_path / "run")
    path = run.stage_weights("depth1")
    with np.load(path) as archive:
        arrays = dict(archive)
    position = {name: value for name, value in json.loads(str(arrays["position"])).items() if name != "version"}
    np.savez(path, **{**arrays, "position": np.array(json.dumps({**position, "format": 1}))})
    description = json.loads((run.path / "run.json").read_text())
    del description["version"]
    description["dataset"]["holdout"] = description["dataset"].pop("validation", None)
    (run.path / "run.json").write_text(json.dumps({**description, "format": 1}))
    old, net = RunDirectory.open(run.path), nano_net()
    assert (old.space, old.recipe) == (run.space, run.recipe)
    assert old.dataset == {"validation": None, **run.dataset}
    assert load_checkpoint(path, net)["stage"] == "depth1"


def test_damaged_checkpoints_are_named(tmp_path, finished):
    """Truncated, of another kind, of another space: an `InputError` with the file's name, and nothing is loaded."""
    shutil.copytree(finished[0].path, tmp_path / "run")
    run = RunDirectory.open(tmp_path / "run")
    path = run.stage_weights("depth1")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:10], b"", bytes(100), whole[:500] + bytes(50) + whole[550:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"depth1\.npz") as caught:
            run.load_supernet()
        assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    net = nano_net(e=(2, 3))
    before = net.state()
    with pytest.raises(InputError, match="another space"):
        load_checkpoint(path, net)
    for name, value in net.state().items():
        np.testing.assert_array_equal(value, before[name])
    np.savez(path, other=np.zeros(3))
    with pytest.raises(InputError, match="is not an 'ofa_tf checkpoint' file"):
        run.load_supernet()
