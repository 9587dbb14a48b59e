"""The six published stages, the schedule and the recipe."""

import json

import numpy as np
import pytest

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.training import Recipe, StageRecipe, progressive_stages
from ofa_tf.training.schedule import learning_rate
from ofa_tf.training.sorting import width_bounds
from ofa_tf.training.stage import stages_of

PUBLISHED = spaces.get("ofa_mbv3_d234_e346_k357_w1.0")


def test_published_stages():
    """The table "Progressive shrinking as published": choices and sub-networks per step."""
    table = {
        "full": ((7,), (6,), (4,), 1),
        "kernel": ((3, 5, 7), (6,), (4,), 1),
        "depth1": ((3, 5, 7), (6,), (3, 4), 2),
        "depth2": ((3, 5, 7), (6,), (2, 3, 4), 2),
        "expand1": ((3, 5, 7), (4, 6), (2, 3, 4), 4),
        "expand2": ((3, 5, 7), (3, 4, 6), (2, 3, 4), 4),
    }
    stages = progressive_stages(PUBLISHED)
    found = {
        stage.name: (stage.choices["ks"], stage.choices["e"], stage.choices["d"], stage.subnets_per_step)
        for stage in stages
    }
    assert found == table
    assert [stage.distill for stage in stages] == [False] + [True] * 5
    assert [stage.sorted_within for stage in stages] == [(), (), (), (), (6,), (4, 6)]


def test_stages_of_the_other_families():
    """ProxylessNAS has the same six, its one-block stage apart; ResNet50 has widths instead of kernels."""
    proxyless = progressive_stages(spaces.get("ofa_proxyless_d234_e346_k357_w1.3"))
    assert [stage.choices for stage in proxyless] == [stage.choices for stage in progressive_stages(PUBLISHED)]
    resnet = spaces.get("ofa_resnet50")
    stages = progressive_stages(resnet)
    names = ["full", "depth1", "depth2", "expand1", "expand2", "width1", "width2"]
    assert [stage.name for stage in stages] == names
    assert [bool(stage.sorted_within) for stage in stages] == [False] * 3 + [True] * 2 + [False] * 2
    # The stem has depths 0 and 2 only: a stage that adds depth 1 leaves it at 2.
    assert stages[1].corners(resnet)["smallest"].d == (2, 1, 1, 1, 1)


def test_schedules_with_one_stage():
    """Joint and sandwich draw from the whole space from the start, without a full network that teaches."""
    for schedule, subnets in (("joint", 1), ("sandwich", 4)):
        recipe = Recipe(stages={schedule: StageRecipe(1, 0, 0.1)}, schedule=schedule)
        (stage,) = stages_of(PUBLISHED, recipe)
        assert stage.name == schedule
        assert stage.choices == {"ks": (3, 5, 7), "e": (3, 4, 6), "d": (2, 3, 4)}
        assert (stage.subnets_per_step, stage.distill, stage.sandwich) == (subnets, False, schedule == "sandwich")
        with pytest.raises(InputError, match=f"has the one stage '{schedule}', found full"):
            stages_of(PUBLISHED, Recipe(stages={"full": StageRecipe(1, 0, 0.1)}, schedule=schedule))
    with pytest.raises(InputError, match="schedule is 'all', expected one of progressive, joint, sandwich"):
        Recipe(stages={"full": StageRecipe(1, 0, 0.1)}, schedule="all")


def test_corners_of_a_stage():
    """Each stage watches the largest, the smallest and what it added, each once."""
    stages = {stage.name: stage for stage in progressive_stages(PUBLISHED)}
    assert list(stages["full"].corners(PUBLISHED)) == ["largest"]
    assert list(stages["kernel"].corners(PUBLISHED)) == ["largest", "smallest"]
    corners = stages["expand2"].corners(PUBLISHED)
    assert corners["smallest"].e[0] == 3
    assert corners["smallest"].ks[0] == 3
    assert corners["smallest_e"] == PUBLISHED.arch(e=3)


def test_width_bounds_follow_the_rounded_channels():
    """Groups end where the supported sub-networks' channels end; fixed blocks have none."""
    bounds = width_bounds(PUBLISHED, (4, 6))
    assert bounds[0] == bounds[1] == bounds[-1] == []
    assert bounds[2] == [64, 96]  # 16 channels in, ratios 4 and 6
    assert len(bounds) == len(PUBLISHED.positions)


def test_learning_rate():
    """Linear warm-up from the un-scaled rate, then a cosine to zero."""
    rates = [learning_rate(step, steps=110, warmup_steps=10, peak=0.4, start=0.1) for step in range(111)]
    np.testing.assert_allclose(rates[:11], np.linspace(0.1, 0.4, 11))
    assert rates[60] == pytest.approx(0.2)
    assert rates[110] == pytest.approx(0.0, abs=1e-12)
    assert (np.diff(rates[10:]) < 0).all()


def test_recipe_round_trip():
    """A recipe written as JSON is read back equal."""
    recipe = Recipe({"full": StageRecipe(3, 1, 0.1)}, batch_size=32)
    assert Recipe.from_config(json.loads(json.dumps(recipe.to_config()))) == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": "64"}, "batch_size is '64'"),
        ({"bacth_size": 64}, "bacth_size"),
        ({"weight_decay": -1}, "weight_decay is -1"),
        ({"stages": {"full": {"epochs": 0}}}, "epochs is 0"),
        ({"stages": {"full": {"epoch": 1}}}, "epoch"),
        ({"stages": 3}, "recipe"),
        ({"augmentation": {"flop": True}}, "flop"),
    ],
)
def test_bad_recipes(change, message):
    """An unknown field or a wrong value is one line that names it."""
    with pytest.raises(InputError, match=message) as caught:
        Recipe.from_config({"stages": {"full": {"epochs": 1}}, **change})
    assert "\n" not in str(caught.value)
