"""Every experiment that ships: readable, in line with the stages of its space, and comparable where it says so."""

import dataclasses
import importlib
import json
import pathlib

import pytest

from benchmarks import cifar10_config
from ofa_tf import configs, spaces
from ofa_tf.common import InputError
from ofa_tf.data import PUBLISHED, Augmentation, Preprocessing
from ofa_tf.spaces.arch import FIELDS
from ofa_tf.training import Recipe, StageRecipe, open_experiment
from ofa_tf.training.stage import stages_of

NAMES = sorted(path.stem for path in pathlib.Path(configs.__file__).parent.glob("[!_]*.py"))
# Their runs begin with a trained supernet, and so may leave stages out.
STARTED = ("efficientnet_lite", "few_photos")
SOURCE = ("space", "choices", "resolutions", "dataset", "data_dir", "validation", "data_seed")


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


def test_the_command_line_knows_all_fields():
    """What an experiment can have is what its parts have, no more and no less."""
    parts = {"": Recipe, "augmentation.": Augmentation, "preprocessing.": Preprocessing, "stages.*.": StageRecipe}
    expected = {f"{start}{field.name}" for start, part in parts.items() for field in dataclasses.fields(part)}
    expected |= {*SOURCE, *(f"choices.{field}" for field in FIELDS if field != "r")}
    assert set(configs.FIELDS) == expected - {"augmentation", "preprocessing", "stages"}


def test_fields_of_the_command_line_reach_the_experiment(tmp_path):
    """One value stands for a list of one, and a part of the preprocessing leaves the rest at its default."""
    config = importlib.import_module("ofa_tf.configs.digits").get_config().to_dict()
    config |= {"space": "ofa_cifar_s", "stages": {"full": {"epochs": 1}}, "resolutions": 28}
    config |= {"preprocessing": {"crop_fraction": 0.5}, "choices": {"ks": 3, "e": (3,), "d": 2}}
    run, dataset = open_experiment(tmp_path / "run", config, validation=77)
    assert (run.space.resolutions, run.recipe.preprocessing.crop_fraction) == ((28,), 0.5)
    assert [run.space.choices(field) for field in ("ks", "e", "d")] == [(3,), (3,), (2,)]
    assert run.recipe.preprocessing.mean == PUBLISHED.mean
    assert len(dataset.split("validation")) == run.dataset["validation"] == 77
    with pytest.raises(InputError, match=r"config: resolutions is .*expected whole numbers"):
        open_experiment(tmp_path / "other", {**config, "resolutions": "large"})


def test_the_rows_of_cifar10_are_comparable():
    """Each has the steps that its name says, of one sub-network, at one image size; else only the method differs."""
    passes, others = {}, set()
    for name, row in (cifar10_config.ROWS | cifar10_config.PILOTS).items():
        config = cifar10_config.get_config(name).to_dict()
        space = spaces.get(config.pop("space")).restricted(**config.pop("choices", {}))
        recipe = Recipe.from_config({key: value for key, value in config.items() if key not in SOURCE})
        stages = stages_of(space, recipe)
        assert {stage.name: recipe.stages[stage.name].total_epochs for stage in stages} == row.passes
        assert {stage.subnets_per_step for stage in stages} == {1}
        assert recipe.teacher_weight(given=row.teacher is not None) == bool(row.teacher)
        assert space.resolutions == (32,)
        assert (space.num_architectures == 1) == (row.alone is not None)
        passes[name] = sum(row.passes.values())
        differs = ("seed", "schedule", "stages", "decay", "kd_ratio", "weight_decay")
        others.add(json.dumps({key: value for key, value in config.items() if key not in differs}))
    assert len(others) == 1
    supernets = {name: count for name, count in passes.items() if "alone" not in name and name.startswith("s_")}
    # As the name says; 60 where it says nothing.
    named = {"joint75": 75, "joint20": 20, "joint16": 16, "delayed16": 16}
    for name, count in supernets.items():
        assert count == next((passes for part, passes in named.items() if part in name), 60), name
    assert {count for name, count in passes.items() if name.startswith("pilot")} == {4}
    assert all(row.teacher is None or row.teacher in cifar10_config.ROWS for row in cifar10_config.ROWS.values())
    with pytest.raises(ValueError, match="expected one of s_delayed_seed0, "):
        cifar10_config.get_config("large")


def test_imagenet_takes_what_the_documentation_says():
    """docs/training.md tells its cost in epochs and in passes of a sub-network over the images."""
    _, recipe, stages = planned("imagenet_mbv3")
    epochs = {name: timing.epochs + timing.warmup_epochs for name, timing in recipe.stages.items()}
    assert (sum(epochs.values()), epochs["full"]) == (610, 185)
    assert sum(epochs[stage.name] * stage.subnets_per_step for stage in stages) == 1210
    assert (recipe.batch_size, recipe.base_batch_size) == (64, 64)


def test_an_experiment_on_a_part_of_a_space(tmp_path):
    """One sub-network alone is a space with one choice of each kind; values that the space lacks are refused."""
    config = importlib.import_module("ofa_tf.configs.digits").get_config().to_dict()
    config |= {"space": "ofa_cifar_s", "choices": {"ks": (5,), "e": (3,), "d": (2,)}, "stages": {"full": {"epochs": 1}}}
    run, _ = open_experiment(tmp_path / "run", config)
    whole = spaces.get("ofa_cifar_s")
    assert run.space.largest() == run.space.smallest()
    assert run.space.blocks(run.space.largest()) == whole.blocks(whole.arch(d=2, e=3, ks=5, r=32))
    with pytest.raises(InputError, match=r"ks is restricted to \[4\], it has \[3, 5\]"):
        open_experiment(tmp_path / "other", {**config, "choices": {"ks": (4,)}})
    with pytest.raises(InputError, match="jit_compile is for one device, here are 2"):
        open_experiment(tmp_path / "other", {**config, "jit_compile": True, "batch_size": 8}, replicas=2)
    assert not (tmp_path / "other").exists()
    # What other data sets have, and these have not.
    run, _ = open_experiment(tmp_path / "none", {**config, "data_dir": None})
    assert run.dataset["data_dir"] is None
