"""`Stage`: what one part of a run trains; the stages of each schedule; and the sorting of channels before one."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from ofa_tf.common import InputError
from ofa_tf.networks import Supernet
from ofa_tf.spaces import Arch, Space
from ofa_tf.spaces.space import within
from ofa_tf.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Stage:
    """Which sub-networks a stage draws from, and what it adds to the stage before.

    Args:
        name: "full", "kernel", "depth1", "depth2", "expand1", "expand2", and in spaces with elastic width multipliers
            "width1" and "width2" (four choices of one kind make a third, and two only the first); or "full" and "all";
            or one stage, "joint" or "sandwich".
        choices: for each field of `Arch`, the values to draw from (`Space.sample` says what they mean where stages of
            the network have different ones).
        added: the field whose smaller values are new in this stage, "" for the first.
        sorted_within: before the stage, channels are sorted within the widths of these expand ratios, which smaller
            sub-networks already use; empty where nothing is sorted.
        subnets_per_step: how many sub-networks' gradients are summed.
        distill: whether the full network of the first stage teaches, where the recipe gives a teacher weight.
        sandwich: the sub-networks of a step are the largest, which learns from the labels and teaches the others, the
            smallest, and random ones.

    Source: Cai et al., section 3.3; docs/method.md, "Progressive shrinking".
    """

    name: str
    choices: dict[str, tuple]
    added: str = ""
    sorted_within: tuple = ()
    subnets_per_step: int = 1
    distill: bool = True
    sandwich: bool = False

    def corners(self, space: Space) -> dict[str, Arch]:
        """The sub-networks to watch: largest, smallest, and the one with only the added field at its smallest."""
        corners = {"largest": space.corner(max, **self.choices), "smallest": space.corner(min, **self.choices)}
        if self.added:
            highest = {field: (max(values),) for field, values in self.choices.items()}
            added = {self.added: self.choices[self.added]}
            corners[f"smallest_{self.added}"] = space.corner(min, **{**highest, **added})
        # The first stages have fewer different corners than names.
        return {
            name: arch
            for index, (name, arch) in enumerate(corners.items())
            if arch not in list(corners.values())[:index]
        }


def delayed_stages(space: Space) -> tuple[Stage, Stage]:
    """The full network alone, then all sub-networks at once, one in a step, for which channels are sorted once.

    Source: Annavajjala et al., "Delayed epsilon-Shrinking", ECCV 2024 (arXiv 2407.06167), whose small sub-networks wait
    until the full network is partly trained.
    """
    full, whole = progressive_stages(space)[0], single_stage(space, "joint")
    sorted_within = full.choices["e"] if len(space.choices("e")) > 1 else ()
    return full, dataclasses.replace(whole, name="all", distill=True, sorted_within=sorted_within)


def single_stage(space: Space, schedule: str) -> Stage:
    """The one stage of a schedule that trains all sub-networks from the start: "joint", one random one in a step, or
    "sandwich", the sandwich rule with in-place distillation.

    Source: Cai et al., section 4.1 ("without progressive shrinking"); Yu et al., "BigNAS", ECCV 2020, section 3.
    """
    choices = {field: space.choices(field) for field in ("ks", "d", "e", "w") if space.choices(field)}
    sandwich = schedule == "sandwich"
    return Stage(schedule, choices, subnets_per_step=4 if sandwich else 1, distill=False, sandwich=sandwich)


def progressive_stages(space: Space) -> tuple[Stage, ...]:
    """Full, then kernel sizes all at once, then depths, expand ratios and widths one smaller value at a time.

    Example:
        [stage.name for stage in progressive_stages(space)]  # full, kernel, depth1, depth2, expand1, expand2
    """
    elastic = [field for field in ("ks", "d", "e", "w") if len(space.choices(field)) > 1]
    choices = {field: (space.choices(field)[-1],) for field in ("ks", "d", "e", "w") if space.choices(field)}
    stages = [Stage("full", dict(choices), distill=False)]
    if "ks" in elastic:
        choices["ks"] = space.choices("ks")
        stages.append(Stage("kernel", dict(choices), added="ks"))
    for field, name, subnets in (("d", "depth", 2), ("e", "expand", 4), ("w", "width", 4)):
        if field not in elastic:
            continue
        values = space.choices(field)
        for phase in range(1, len(values)):
            sorted_within = choices["e"] if field == "e" else ()
            choices[field] = values[-1 - phase :]
            stages.append(Stage(f"{name}{phase}", dict(choices), field, sorted_within, subnets))
    return tuple(stages)


def stages_of(space: Space, recipe: Recipe, *, trained: bool = False) -> tuple[Stage, ...]:
    """The stages that a recipe trains: the first ones of its schedule's, each of which builds on the one before.

    A run that begins with a trained supernet may leave any of them out; then channels are only sorted for a stage whose
    predecessor it trains, and with "delayed" never: a sorting would undo what smaller sub-networks have learnt.
    """
    planned = []
    for stage in _named_stages(space, recipe, trained):
        asked = recipe.stages[stage.name].subnets_per_step
        if asked > 1 and not stage.sandwich and all(len(values) == 1 for values in stage.choices.values()):
            # The same gradient several times is a higher rate.
            raise InputError(
                f"recipe: stage {stage.name} has subnets_per_step {asked}, but one sub-network; leave it out"
            )
        planned.append(dataclasses.replace(stage, subnets_per_step=asked or stage.subnets_per_step))
    return tuple(planned)


def _named_stages(space: Space, recipe: Recipe, trained: bool) -> tuple[Stage, ...]:
    if recipe.schedule in ("joint", "sandwich"):
        stage = single_stage(space, recipe.schedule)
        if list(recipe.stages) != [stage.name]:
            raise InputError(
                f"recipe: schedule {recipe.schedule} has the one stage {stage.name!r}, found "
                f"{', '.join(recipe.stages) or 'none'}; name that one"
            )
        if stage.sandwich and recipe.stages[stage.name].subnets_per_step == 1:
            raise InputError("recipe: stage sandwich has subnets_per_step 1, expected at least 2: largest and smallest")
        return (stage,)
    stages = delayed_stages(space) if recipe.schedule == "delayed" else progressive_stages(space)
    for name in recipe.stages:
        find_stage(stages, name)
    if trained and recipe.stages:
        builds_on = "" if recipe.schedule == "delayed" else recipe.stages
        return tuple(
            stage if index and stages[index - 1].name in builds_on else dataclasses.replace(stage, sorted_within=())
            for index, stage in enumerate(stages)
            if stage.name in recipe.stages
        )
    planned = stages[: len(recipe.stages)]
    for stage in planned:
        if stage.name not in recipe.stages:
            raise InputError(
                f"recipe: stage {stage.name} is missing, on which {', '.join(recipe.stages)} build; add it"
            )
    if not planned:
        raise InputError(f"recipe: it has no stages; give some of {', '.join(stage.name for stage in stages)}")
    return planned


def find_stage(stages: tuple[Stage, ...], name: str) -> int:
    """The index of a stage by name; `InputError` lists the names there are."""
    names = [stage.name for stage in stages]
    if name not in names:
        raise InputError(f"stage {name!r} is unknown; this space has {', '.join(names)}")
    return names.index(name)


def sort_channels(net: Supernet, supported: tuple, slots: Mapping[int, Sequence] = MappingProxyType({})) -> None:
    """Moves the most important channels of every elastic block to the front.

    The largest sub-network computes what it did before. Channels outside a smaller width that is already supported do
    not move inside it.

    Args:
        net: changed in place.
        supported: the expand ratios trained so far.
        slots: by `id` of a variable, what an optimizer keeps for it, which then moves with it.

    Source: Cai et al., section 3.3 ("Elastic Width"); docs/method.md, "Width".
    """

    def reorder(variables: list, order: np.ndarray, axis: int) -> None:
        moving = [each for variable in variables for each in (variable, *slots.get(id(variable), ()))]
        for variable in moving:
            variable.assign(np.take(variable.numpy(), order, axis=axis))

    for block, bounds in zip(net.blocks, width_bounds(net.space, supported), strict=True):
        if bounds:
            block.sort_channels(bounds, reorder)


def width_bounds(space: Space, supported: tuple) -> list[list[int]]:
    """For each position, the inner channel counts at the supported expand ratios, ascending; empty if it has none."""
    bounds = []
    for position in space.positions:
        fields = [gene.field for gene in position.genes]
        if "e" not in fields:
            bounds.append([])
            continue
        largest = [gene.choices[-1] for gene in position.genes]
        ratios = position.genes[fields.index("e")].choices
        widths = set()
        for ratio in within(ratios, supported):
            values = [ratio if field == "e" else value for field, value in zip(fields, largest, strict=True)]
            widths.add(position.make(position.input_size(space.resolutions[-1]), *values).mid_channels)
        bounds.append(sorted(widths))
    return bounds
