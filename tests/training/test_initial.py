"""A run that begins with a trained supernet: its weights, a new classifier where the classes differ, its own stages."""

import dataclasses
import json

import numpy as np
import pytest

from ofa_tf import networks
from ofa_tf.common import InputError
from ofa_tf.data import SYMMETRIC
from ofa_tf.networks import PackedSupernet
from ofa_tf.spaces import get
from ofa_tf.training import (
    Recipe,
    StageRecipe,
    Trainer,
    initialize,
    open_experiment,
    progressive_stages,
    weights_digest,
)
from ofa_tf.training.checkpoint import keeps_classifier
from ofa_tf.training.stage import stages_of
from tests.micro import micro_net, micro_space, nano_net

CONFIG = {
    "space": "ofa_tiny",
    "dataset": "digits",
    "data_dir": "",
    "validation": 1000,
    "data_seed": 0,
    "batch_size": 128,
    "augmentation": {"flip": False},
    "stages": {"full": {"epochs": 1}, "expand2": {"epochs": 1, "learning_rate": 0.001}},
}


@pytest.mark.parametrize(
    ("classes", "class_names", "taken_over"),
    [(10, tuple("0123456789"), True), (10, (), True), (10, tuple("abcdefghij"), False), (7, tuple("abcdefg"), False)],
)
def test_the_classifier_is_replaced_where_the_classes_differ(classes, class_names, taken_over):
    """Everything else is the initial supernet's, bit for bit."""
    initial = PackedSupernet(micro_net(3, num_classes=classes), class_names=class_names)
    net = micro_net(5)
    fresh = net.state()
    initialize(net, initial, tuple("0123456789"))
    assert keeps_classifier(initial, 10, tuple("0123456789")) == taken_over
    theirs = initial.net.state()
    for name, value in net.state().items():
        expected = fresh if name.startswith("head/classifier/") and not taken_over else theirs
        np.testing.assert_array_equal(value, expected[name])


def test_another_space_is_refused():
    """Weights of other widths have no place."""
    tiny = networks.build(get("ofa_tiny"))
    with pytest.raises(InputError, match="--init_from: its space is micro, the run's ofa_tiny"):
        initialize(tiny, PackedSupernet(micro_net()), ())


def test_stages_may_be_left_out():
    """What is trained already need not be trained again, and channels are not sorted anew; without it, nothing may."""
    space = micro_space()
    recipe = Recipe({"full": StageRecipe(1), "expand2": StageRecipe(1)})
    with pytest.raises(InputError, match="stage kernel is missing"):
        stages_of(space, recipe)
    full, last = stages_of(space, recipe, trained=True)
    assert (full.name, last.name, last.sorted_within) == ("full", "expand2", ())
    assert last.choices == progressive_stages(space)[-1].choices
    both = Recipe({"expand1": StageRecipe(1), "expand2": StageRecipe(1)})
    assert [stage.sorted_within for stage in stages_of(space, both, trained=True)] == [(), (3, 4)]


def test_a_run_begins_with_it_and_is_resumed_with_it(tmp_path):
    """Space and preprocessing are the initial supernet's; other weights are another run; classes unknown are said."""
    initial = PackedSupernet(nano_net(1), SYMMETRIC.to_config(), class_names=tuple("abcdefghij"))
    before = weights_digest(initial.net)
    run, digits = open_experiment(tmp_path / "run", CONFIG, initial=initial)
    assert (run.space.name, run.recipe.preprocessing) == ("nano", SYMMETRIC)
    assert run.initial == {"space": "nano", "digest": before}
    trainer = Trainer(run, digits, initial)
    stem = trainer.net.named_variables()["stem/conv/kernel"].numpy()
    np.testing.assert_array_equal(stem, initial.net.named_variables()["stem/conv/kernel"].numpy())
    trainer.train()
    assert run.finished_stages() == ["full", "expand2"]
    assert weights_digest(initial.net) == before
    assert np.abs(trainer.net.named_variables()["stem/conv/kernel"].numpy() - stem).max() > 0
    again, _ = open_experiment(tmp_path / "run", CONFIG, initial=initial)
    assert again.finished_stages() == ["full", "expand2"]
    with (
        pytest.raises(InputError, match="holds a run with another beginning"),
        pytest.warns(UserWarning, match=r"does not name its 10 classes; its classifier is kept for 0, 1, 2, "),
    ):
        open_experiment(tmp_path / "run", CONFIG, initial=PackedSupernet(nano_net(2), SYMMETRIC.to_config()))


def test_mistakes_with_it_leave_no_run(tmp_path):
    """Choices that its weights do not fit; a new classifier that would teach. And a run goes on with its beginning."""
    initial = PackedSupernet(nano_net(1), SYMMETRIC.to_config(), class_names=tuple("0123456789"))
    with pytest.raises(InputError, match="choices restrict the space of --init_from, nano; leave them out"):
        open_experiment(tmp_path / "run", {**CONFIG, "choices": {"e": 3}}, initial=initial)
    strange = dataclasses.replace(initial, class_names=tuple("abcdefghij"))
    taught = {**CONFIG, "stages": {"expand2": {"epochs": 1}}}
    for change in ({}, {"kd_ratio": 0.0, "feature_ratio": 1.0}):
        with pytest.raises(
            InputError, match=r"teaches in expand2, but these images have other classes.*train stage full"
        ):
            open_experiment(tmp_path / "run", {**taught, **change}, initial=strange)
    assert not (tmp_path / "run").exists()
    open_experiment(tmp_path / "untaught", {**taught, "kd_ratio": 0.0}, initial=strange)
    run, digits = open_experiment(tmp_path / "run", taught, initial=initial)
    for other in (None, PackedSupernet(nano_net(2), SYMMETRIC.to_config())):
        with pytest.raises(InputError, match="began with another supernet"):
            Trainer(run, digits, other)


def test_how_images_are_resized_may_be_changed(tmp_path):
    """It is the initial supernet's, but for what the config says; and a run goes on with no other."""
    for theirs, asked, expected in ((None, None, "crop"), ("stretch", None, "stretch"), (None, "stretch", "stretch")):
        known = dataclasses.replace(SYMMETRIC, resize=theirs or "crop")
        initial = PackedSupernet(nano_net(1), known.to_config(), class_names=tuple("abcdefghij"))
        config = CONFIG if asked is None else {**CONFIG, "preprocessing": {"resize": asked, "mean": (0.1, 0.1, 0.1)}}
        path = tmp_path / f"{theirs}-{asked}"
        run, _ = open_experiment(path, config, initial=initial)
        assert run.recipe.preprocessing == dataclasses.replace(SYMMETRIC, resize=expected)
        assert type(run).open(path).recipe == run.recipe
    with pytest.raises(InputError, match="holds a run with another recipe"):
        open_experiment(path, CONFIG, initial=initial)


def test_runs_from_before_are_still_opened(tmp_path):
    """A run.json without the field is one that began with random weights."""
    run, _ = open_experiment(tmp_path / "run", {**CONFIG, "stages": {"full": {"epochs": 1}}})
    description = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    assert description.pop("initial") == {}
    (run.path / "run.json").write_text(json.dumps(description), encoding="utf-8")
    assert type(run).open(run.path) == run
