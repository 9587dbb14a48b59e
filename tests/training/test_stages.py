"""The six published stages, the schedule and the recipe."""

import dataclasses
import json
import math

import numpy as np
import pytest

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.training import Recipe, StageRecipe, delayed_stages, progressive_stages
from ofa_tf.training.schedule import curves, learning_rate
from ofa_tf.training.stage import single_stage, stages_of, width_bounds

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
    with pytest.raises(InputError, match="schedule is 'all', expected one of progressive, delayed, joint, sandwich"):
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
    """Linear warm-up, perhaps a constant part, then a cosine to zero."""
    rates = [learning_rate(step, steps=110, warmup_steps=10, peak=0.4, start=0.1) for step in range(111)]
    np.testing.assert_allclose(rates[:11], np.linspace(0.1, 0.4, 11))
    assert rates[60] == pytest.approx(0.2)
    assert rates[110] == pytest.approx(0.0, abs=1e-12)
    assert (np.diff(rates[10:]) < 0).all()
    held = [
        learning_rate(step, steps=130, warmup_steps=10, peak=0.4, start=0.1, constant_steps=20) for step in range(130)
    ]
    assert held[:10] == rates[:10]
    assert set(held[10:30]) == {0.4}
    np.testing.assert_allclose(held[30:], rates[10:110])


def rates_of(recipe: Recipe, *, trained: bool = False) -> dict[str, list[float]]:
    """The rates of every step of every stage, at 10 steps in an epoch."""
    stages = stages_of(PUBLISHED, recipe, trained=trained)
    steps = {stage.name: 10 * recipe.stages[stage.name].total_epochs for stage in stages}
    made = curves(recipe, stages, 10, recipe.batch_size)
    return {name: [curve.rate(step) for step in range(steps[name])] for name, curve in zip(steps, made, strict=True)}


def cosine(steps: int) -> list[float]:
    return [learning_rate(step, steps=steps, warmup_steps=0, peak=0.4, start=0) for step in range(steps)]


def test_the_rates_of_each_schedule():
    """A cosine for each stage; one for the whole run; in `delayed` a constant part, then one across what follows."""
    timing = {"full": StageRecipe(1.5, 0.5, 0.4), "kernel": StageRecipe(3, 0, 0.4)}
    alone = rates_of(Recipe(timing))
    assert alone["full"][:5] == pytest.approx([0.04, 0.112, 0.184, 0.256, 0.328])  # from a tenth, half an epoch long
    assert alone["full"][5:] == pytest.approx(cosine(15))
    assert alone["kernel"] == pytest.approx(cosine(30))
    run = rates_of(Recipe(timing, decay="run"))
    assert run["full"][:5] == alone["full"][:5]
    assert [*run["full"][5:], *run["kernel"]] == pytest.approx(cosine(45))
    timing = {"full": StageRecipe(1.5, 0.5, 0.4), "all": StageRecipe(3, 0, 0.4)}
    delayed = rates_of(Recipe(timing, schedule="delayed"))
    assert delayed["full"][:5] == alone["full"][:5]
    assert set(delayed["full"][5:]) == {0.4}
    assert delayed["all"] == pytest.approx(cosine(30))


def test_a_later_stage_may_warm_up_on_a_shared_curve():
    """From a tenth of the curve to the curve, in a straight line: sub-networks come in that were never trained."""
    for names, options in ((("full", "kernel"), {"decay": "run"}), (("full", "all"), {"schedule": "delayed"})):
        timing = dict(zip(names, (StageRecipe(1, 0, 0.4), StageRecipe(3, 0, 0.4)), strict=True))
        flat = rates_of(Recipe(timing, **options))
        rising = rates_of(Recipe({**timing, names[1]: StageRecipe(2.5, 0.5, 0.4)}, **options))
        assert rising[names[0]] == flat[names[0]]
        share = np.divide(rising[names[1]], flat[names[1]])
        np.testing.assert_allclose(share, [0.1, 0.28, 0.46, 0.64, 0.82, *[1] * 25])


def test_warm_up_begins_at_the_rate_of_one_device_where_that_is_asked_for():
    """As published: not scaled to the batch, so at a batch of the base size it is no rise."""
    timing = {"full": StageRecipe(1, 1, 0.1)}
    rises = rates_of(Recipe(timing, batch_size=128, base_batch_size=32, warmup_from_base_rate=True))["full"]
    np.testing.assert_allclose(rises[:10], np.linspace(0.1, 0.4, 11)[:10])
    flat = rates_of(Recipe(timing, batch_size=32, base_batch_size=32, warmup_from_base_rate=True))["full"]
    np.testing.assert_allclose(flat[:10], 0.1)
    tenth = rates_of(Recipe(timing, batch_size=32, base_batch_size=32))["full"]
    np.testing.assert_allclose(tenth[:10], np.linspace(0.01, 0.1, 11)[:10])


def test_delayed_stages():
    """The full network, then everything, sorted once; with a trained supernet the first may be left out, unsorted."""
    recipe = Recipe({"full": StageRecipe(1), "all": StageRecipe(3, subnets_per_step=2)}, schedule="delayed")
    full, whole = stages_of(PUBLISHED, recipe)
    assert full == progressive_stages(PUBLISHED)[0]
    assert whole.choices == {"ks": (3, 5, 7), "e": (3, 4, 6), "d": (2, 3, 4)}
    assert (whole.sorted_within, whole.subnets_per_step) == ((6,), 2)
    last = Recipe({"all": StageRecipe(3, 0, 0.4)}, schedule="delayed")
    with pytest.raises(InputError, match="stage full is missing"):
        stages_of(PUBLISHED, last)
    (alone,) = stages_of(PUBLISHED, last, trained=True)
    assert (alone.name, alone.sorted_within, alone.subnets_per_step) == ("all", (), 1)
    assert rates_of(last, trained=True)["all"] == pytest.approx(cosine(30))
    # What smaller sub-networks know already stays where it is.
    assert [stage.sorted_within for stage in stages_of(PUBLISHED, recipe, trained=True)] == [(), ()]
    with pytest.raises(InputError, match="stage 'kernel' is unknown; this space has full, all"):
        stages_of(PUBLISHED, Recipe({"kernel": StageRecipe(1)}, schedule="delayed"))


def test_the_number_of_subnets_in_a_step_is_the_recipes_where_it_says_so():
    """Published: one, two and four; a recipe's number replaces it, and a sandwich has at least two."""
    timing = {name: StageRecipe(1, subnets_per_step=1) for name in ("full", "kernel", "depth1")}
    assert [stage.subnets_per_step for stage in stages_of(PUBLISHED, Recipe(timing))] == [1, 1, 1]
    with pytest.raises(InputError, match="subnets_per_step 1, expected at least 2"):
        stages_of(PUBLISHED, Recipe({"sandwich": StageRecipe(1, subnets_per_step=1)}, schedule="sandwich"))
    with pytest.raises(InputError, match="stage full has subnets_per_step 4, but one sub-network"):
        stages_of(PUBLISHED, Recipe({"full": StageRecipe(1, subnets_per_step=4)}))


def test_the_teachers_weight():
    """Progressive shrinking is taught by its full network; the others by nobody, unless asked or given a teacher."""

    def weight(given, **options):
        return Recipe({}, **options).teacher_weight(given=given)

    assert [weight(False, schedule=name) for name in ("progressive", "delayed", "joint")] == [1, 0, 0]
    assert weight(False, schedule="delayed", kd_ratio=0.5) == 0.5
    assert [weight(True, schedule=name) for name in ("delayed", "joint")] == [1, 1]
    with pytest.raises(InputError, match="kd_ratio and feature_ratio are 0, so it would not be asked"):
        weight(True, kd_ratio=0.0)
    with pytest.raises(InputError, match="in schedule sandwich the largest sub-network teaches"):
        weight(True, schedule="sandwich")
    for name, told in (
        ("joint", "nobody teaches"),
        ("sandwich", "the largest sub-network teaches, with a weight of 1"),
    ):
        with pytest.raises(InputError, match=f"kd_ratio is 1.0, but in schedule {name} {told}; set it to 0"):
            weight(False, schedule=name, kd_ratio=1.0)
        assert weight(False, schedule=name, kd_ratio=0.0) == 0


def test_stages_of_a_space_whose_stages_have_different_depths():
    """Every stage of every schedule draws from it; the first is the largest network, the last the whole space."""
    depths = ((1, 2), (2, 3, 4), (1,), (3, 5), (2, 3, 4))
    space = PUBLISHED.replace(
        stages=tuple(
            dataclasses.replace(stage, depths=own) for stage, own in zip(PUBLISHED.stages, depths, strict=True)
        )
    )
    stages = progressive_stages(space)
    names = ["full", "kernel", *(f"depth{number}" for number in (1, 2, 3, 4)), "expand1", "expand2"]
    assert [stage.name for stage in stages] == names
    rng = np.random.default_rng(0)
    assert {dataclasses.replace(space.sample(rng, **stages[0].choices), r=224) for _ in range(9)} == {space.largest()}
    for stage in (*stages, *delayed_stages(space), single_stage(space, "joint"), single_stage(space, "sandwich")):
        drawn = [space.sample(rng, **stage.choices) for _ in range(300)]
        corners = stage.corners(space)
        assert corners["largest"] == space.largest()
        if stage.name in ("expand2", "all", "joint", "sandwich"):
            assert [tuple(sorted({arch.d[place] for arch in drawn})) for place in range(5)] == list(depths)
            assert corners["smallest"] == dataclasses.replace(space.smallest(), r=space.resolutions[-1])
    alone = space.restricted(d=(4,), ks=(3,), e=(4,))
    assert (alone.num_architectures, alone.largest().d) == (1, (2, 4, 1, 3, 4))


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
        ({"stages": {"full": {"epochs": 15, "warmup_epochs": 0.25}}}, "15 and 0.25, expected a whole number of passes"),
        ({"decay": "cosine"}, "decay is 'cosine', expected one of stage, run"),
        ({"precision": "float16"}, "precision is 'float16', expected one of float32, mixed_bfloat16"),
        ({"jit_compile": 1}, "jit_compile is 1, expected true or false"),
        ({"weight_decay": -1}, "weight_decay is -1"),
        ({"stages": {"full": {"epochs": 0}}}, "epochs is 0"),
        ({"stages": {"full": {"epoch": 1}}}, "epoch"),
        (
            {"stages": {"full": {"epochs": 2, "warmup_epochs": -1}}},
            "warmup_epochs is -1, expected a number of at least",
        ),
        ({"stages": {"full": {"epochs": float("nan")}}}, "epochs is nan, expected a number above 0"),
        ({"stages": {"full": {"epochs": 1, "learning_rate": 0}}}, "learning_rate is 0, expected a number above 0"),
        ({"stages": {"full": {"epochs": 1, "learning_rate": math.inf}}}, "learning_rate is inf, expected"),
        (
            {"stages": {"full": {"epochs": 1, "subnets_per_step": -1}}},
            "subnets_per_step is -1, expected a whole number",
        ),
        ({"stages": 3}, "expected an object with the fields of Recipe"),
        ({"seed": 3_000_000}, "seed is 3000000, expected a whole number from 0 to 2000000"),
        ({"augmentation": {"flop": True}}, "flop"),
    ],
)
def test_bad_recipes(change, message):
    """An unknown field or a wrong value is one line that names it."""
    with pytest.raises(InputError, match=message) as caught:
        Recipe.from_config({"stages": {"full": {"epochs": 1}}, **change})
    assert "\n" not in str(caught.value)
