"""Every experiment that ships: readable, in line with the stages of its space, and comparable where it says so."""

import importlib
import pathlib

import pytest

from ofa_tf import configs, spaces
from ofa_tf.common import InputError
from ofa_tf.training import Recipe, open_experiment
from ofa_tf.training.stage import stages_of

NAMES = sorted(path.stem for path in pathlib.Path(configs.__file__).parent.glob("[!_]*.py"))
# Their runs begin with a trained supernet, and so may leave stages out.
STARTED = ("few_photos", "transfer")
SOURCE = ("space", "choices", "resolutions", "dataset", "data_dir", "holdout", "data_seed")


def planned(name: str, *arguments: str):
    """The space, the recipe and the stages of a configuration."""
    config = importlib.import_module(f"ofa_tf.configs.{name}").get_config(*arguments).to_dict()
    source = {field: config.pop(field) for field in SOURCE if field in config}
    recipe = Recipe.from_config(config)
    space = spaces.get(source["space"])
    return space, recipe, stages_of(space, recipe, trained=name in STARTED)


@pytest.mark.parametrize("name", NAMES)
def test_configs_are_experiments(name):
    """Each names a space that there is, and stages that this space has, in a recipe without unknown fields."""
    _, recipe, stages = planned(name)
    assert {stage.name for stage in stages} == set(recipe.stages)


def test_cifar10_configs_are_comparable():
    """Joint and sandwich have as many image passes as progressive shrinking, one alone as many epochs."""
    passes, epochs = {}, {}
    for name in ("cifar10", "cifar10_long_full", "cifar10_joint", "cifar10_sandwich", "cifar10_alone"):
        _, recipe, stages = planned(name)
        epochs[name] = sum(timing.epochs + timing.warmup_epochs for timing in recipe.stages.values())
        passes[name] = sum(recipe.stages[stage.name].epochs * stage.subnets_per_step for stage in stages)
    assert passes["cifar10"] == passes["cifar10_joint"] == passes["cifar10_sandwich"] == 40
    assert passes["cifar10_long_full"] == 40
    assert epochs["cifar10"] == epochs["cifar10_alone"] == 21
    # The docstring says so; cifar10_alone is run with as many.
    assert epochs["cifar10_long_full"] == 26


def test_imagenet_takes_what_the_documentation_says():
    """docs/training.md tells its cost in epochs and in passes of a sub-network over the images."""
    _, recipe, stages = planned("imagenet_mbv3")
    epochs = {name: timing.epochs + timing.warmup_epochs for name, timing in recipe.stages.items()}
    assert (sum(epochs.values()), epochs["full"]) == (610, 185)
    assert sum(epochs[stage.name] * stage.subnets_per_step for stage in stages) == 1210
    assert (recipe.batch_size, recipe.base_batch_size) == (64, 64)


def test_an_experiment_on_a_part_of_a_space(tmp_path):
    """One sub-network alone is a space with one choice of each kind; values that the space lacks are refused."""
    config = importlib.import_module("ofa_tf.configs.cifar10_alone").get_config("d2_e3_k5").to_dict()
    config |= {"dataset": "digits", "holdout": 400}
    run, _ = open_experiment(tmp_path / "run", config)
    whole = spaces.get("ofa_cifar")
    assert run.space.largest() == run.space.smallest()
    assert run.space.blocks(run.space.largest()) == whole.blocks(whole.arch(d=2, e=3, ks=5, r=32))
    with pytest.raises(InputError, match=r"ks is restricted to \[4\], it has \[3, 5, 7\]"):
        open_experiment(tmp_path / "other", {**config, "choices": {"ks": (4,)}})
    with pytest.raises(ValueError, match="expected a sub-network such as d2_e3_k5"):
        importlib.import_module("ofa_tf.configs.cifar10_alone").get_config("large")
