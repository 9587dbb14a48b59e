"""From an experiment's configuration to a run directory and its images."""

import os
import warnings
from typing import Any

from ofa_tf import spaces
from ofa_tf.common import InputError, brief, printable
from ofa_tf.common.config import check_whole_numbers
from ofa_tf.common.splits import with_validation
from ofa_tf.data import PUBLISHED, ImageDataset, load, steps_per_epoch
from ofa_tf.networks import PackedSupernet
from ofa_tf.training.checkpoint import began_with, keeps_classifier
from ofa_tf.training.recipe import Recipe
from ofa_tf.training.run_directory import RunDirectory, file_lengths, lost_images, remembering
from ofa_tf.training.stage import Stage, find_stage, stages_of
from ofa_tf.training.teacher import SupernetTeacher, Teacher, labelled_by
from ofa_tf.training.train_step import check_compiled


def open_experiment(
    run_dir: str | os.PathLike,
    config: dict[str, Any],
    *,
    stages: list[str] | None = None,
    initial: PackedSupernet | None = None,
    replicas: int = 1,
    teacher: Teacher | None = None,
    validation: float | None = None,
    dataset: ImageDataset | None = None,
) -> tuple[RunDirectory, ImageDataset]:
    """Opens the data set of an experiment, and makes its run directory or opens the interrupted one.

    Args:
        run_dir: the folder for the run.
        config: `space` (a name), `choices` (see `Space.restricted`, optional),
            `resolutions` (image sides in pixels, optional), `dataset`, `data_dir`, `data_seed` (see `data.load`) and
            `validation`, which is for data without a validation split of their own; all else is the recipe's.
        stages: names of the stages that are to be run, checked before anything is written.
        initial: a trained supernet that the run begins with; its space and preprocessing replace the configuration's,
            but for a `resize` that the configuration says.
        replicas: devices that train.
        teacher: a trained network that teaches.
        validation: how many training images are held out, whatever the configuration says and the data have.
        dataset: the configuration's images, where they are open already; a folder is then not read, and told of, again.

    Raises:
        InputError: a field is unknown or unusable, or the folder holds another run.
    """
    config = with_validation(config, "config")
    try:
        if initial is None:
            space = spaces.get(config.pop("space"))
        else:
            space = initial.net.space
            config.pop("space", None)
        config["preprocessing"] = _preprocessing(config.get("preprocessing", {}), initial)
        choices, resolutions = config.pop("choices", None) or {}, config.pop("resolutions", None) or ()
        source = {
            "dataset": config.pop("dataset"),
            "data_dir": None if (data_dir := config.pop("data_dir")) is None else str(data_dir) or None,
            "validation": config.pop("validation"),
            "seed": config.pop("data_seed"),
        }
    except KeyError as error:
        raise InputError(f"config: field {error} is missing; start from a file in ofa_tf/configs") from error
    resolutions = tuple(resolutions) if isinstance(resolutions, (list, tuple)) else (resolutions,)
    check_whole_numbers("config: resolutions", resolutions, 1, 10_000)
    if not hasattr(choices, "items"):
        raise InputError(f"config: choices is {choices!r}, expected fields such as choices.ks")
    recipe = Recipe.from_config(config)
    if dataset is None:
        options = {"default": source["validation"], "lost": lost_images(run_dir)}
        dataset = load(source["dataset"], source["data_dir"], validation, source["seed"], **options)
    source["validation"] = dataset.validation
    if source["data_dir"]:
        source["data_dir"] = os.path.abspath(os.path.expanduser(source["data_dir"]))
    if os.path.isdir(os.path.expanduser(source["dataset"])) and os.sep in source["dataset"]:
        source["dataset"] = os.path.abspath(os.path.expanduser(source["dataset"]))
    facts = {"digest": dataset.digest, "file_lengths": file_lengths(run_dir, dataset)}
    if recipe.labels == "teacher":
        recipe.teacher_weight(given=teacher is not None)
        if not isinstance(teacher, SupernetTeacher):
            raise InputError("--teacher: with the config's labels=teacher, give a supernet, whose classes are known")
        dataset = labelled_by(teacher, remembering(run_dir, dataset), recipe, max(resolutions or space.resolutions))
    choices = {name: it if isinstance(it, (list, tuple)) else (it,) for name, it in choices.items()}
    space = space.restricted(**choices)
    if initial is not None and not space.same_weights(initial.net.space):
        raise InputError(f"config: choices restrict the space of --init_from, {space.name}; leave them out")
    space = space.replace(num_classes=dataset.num_classes)
    if resolutions:
        space = space.replace(resolutions=resolutions)
    source |= {"class_names": list(dataset.class_names), **facts}
    # A folder with a run in it must not be what a mistake leaves behind.
    steps_per_epoch(dataset, recipe.batch_size * replicas)
    check_compiled(recipe.jit_compile, replicas)
    planned = stages_of(space, recipe, trained=initial is not None)
    recipe.teacher_weight(given=teacher is not None)
    if teacher is not None:
        teacher.check(dataset, recipe, space.resolutions)
    elif initial is not None:
        _check_own_teacher(initial, dataset, recipe, planned)
    if recipe.feature_ratio:
        _check_features(recipe, space, planned, teacher)
    for name in stages or ():
        find_stage(planned, name)
    if initial is not None and not initial.class_names and dataset.num_classes == initial.net.space.num_classes:
        warnings.warn(
            f"--init_from: does not name its {dataset.num_classes} classes; its classifier is kept for "
            f"{brief(', '.join(map(printable, dataset.class_names)), 80)}, in this order",
            stacklevel=2,
        )
    taught = {} if teacher is None else teacher.identity
    run = RunDirectory.create(run_dir, space, source, recipe, began_with(initial), replicas, taught)
    return run, remembering(run_dir, dataset)


def _check_own_teacher(
    initial: PackedSupernet, dataset: ImageDataset, recipe: Recipe, planned: tuple[Stage, ...]
) -> None:
    """Raises `InputError` where the network that a run begins with would teach with a classifier that is new."""
    if keeps_classifier(initial, dataset.num_classes, dataset.class_names):
        return
    if (recipe.teacher_weight(given=False) or recipe.feature_ratio) and all(stage.distill for stage in planned):
        raise InputError(
            f"recipe: what --init_from names teaches in {', '.join(stage.name for stage in planned)}, but these images "
            f"have other classes, for which its classifier is new; train stage full first, or give --teacher"
        )


def _check_features(recipe: Recipe, space: spaces.Space, planned: tuple[Stage, ...], teacher: Teacher | None) -> None:
    """Raises `InputError` where sub-networks cannot learn the maps of what teaches."""
    asked = f"recipe: feature_ratio is {recipe.feature_ratio}"
    if len(space.choices("w")) > 1:
        raise InputError(f"{asked}, but the maps of {space.name}'s sub-networks differ in width; set it to 0")
    if teacher is not None:
        teacher.of_features(space, recipe)
    elif recipe.schedule == "sandwich":
        raise InputError(f"{asked}, but in schedule sandwich only answers are taught; set it to 0")
    elif not any(stage.distill for stage in planned):
        raise InputError(f"{asked}, but nobody teaches in these stages; set it to 0, or let a trained network teach")


def _preprocessing(asked: Any, initial: PackedSupernet | None) -> Any:
    """What a run does to images: the published preprocessing, or the initial supernet's, and what is asked of it."""
    if not isinstance(asked, dict):
        # Its reader will tell.
        return asked
    if initial is not None and initial.preprocessing:
        return dict(initial.preprocessing) | {name: value for name, value in asked.items() if name == "resize"}
    return PUBLISHED.to_config() | asked
