"""From photos to a supernet that knows them: what is done with how many of them, and mistakes before the first step.

A new classifier is fitted to what the largest network of a supernet sees in the photos. Then that learns the classes as
a whole, and teaches all sub-networks: two stages of an ordinary run, which `train_supernet` runs and resumes.
"""

import collections
import dataclasses
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ofa_tf.common import InputError, printable
from ofa_tf.data import ImageDataset, load
from ofa_tf.data.load import TEST_FOLDERS, VALIDATION_FOLDERS
from ofa_tf.data.names import label_facts
from ofa_tf.deploy.qat import check_form
from ofa_tf.networks import PackedSupernet
from ofa_tf.search.budget import Budget
from ofa_tf.search.constraint import constraints_of
from ofa_tf.spaces import Space
from ofa_tf.spaces.population import resolution_indices
from ofa_tf.specialize.linear_probe import with_fitted_classifier
from ofa_tf.specialize.opened import Opened, read_initial
from ofa_tf.specialize.predictors import open_accuracy_predictor, open_latency_predictor
from ofa_tf.specialize.target import Target
from ofa_tf.specialize.trained import train_supernet
from ofa_tf.specialize.work import say
from ofa_tf.training import progressive_stages, weights_digest
from ofa_tf.training.run_directory import file_lengths, lost_images

# What is begun with, unless the user names another one.
SUPERNET = "ofa_efficientnet_lite"

# The supernet with the new classifier, beside the run.
BEGUN_WITH = "begun_with.npz"

FEWEST_PHOTOS, FEWEST_OF_A_CLASS = 30, 2
# Of a latency table: half of what it is usually given, as the files are measured in the end.
TABLE_ROUNDS = 4
_MOST_VALIDATION = 2000
# A sub-network's accuracy for the predictor; that of a candidate, which decides, is of all validation images.
PAIR_IMAGES = 500
# Passes over the photos: some 43,000 images for 3,000 photos, 13,000 for 300.
_PASSED_IMAGES, _FEWEST_PASSES, _MOST_PASSES = 800, 3, 100
# Of them, those of the largest network.
_LARGEST_SHARE = 0.4
# Batches of up to so many photos to learn from; more have batches of 64.
_BATCHES = {100: 8, 500: 16, 5000: 32}
# For batches of 64; smaller ones make more steps. What is trained already wants less than fresh weights do.
_RATES = 0.02, 0.012
# Guesses, for the time that is told: of a latency table for each image side, and of each target's files.
_TABLE_SECONDS, _TARGET_SECONDS = 40.0, 60.0


def validation_images(photos: int) -> int:
    """How many of the photos are held out to decide: a fifth of few, a tenth of more, and 2,000 at most."""
    return max(1, round(min(photos / 5, 50 + photos / 10, _MOST_VALIDATION)))


def pair_count(photos: int) -> int:
    """How many sub-networks are measured for the accuracy predictor."""
    return 100 if photos < 1000 else 150 if photos < 10_000 else 200


def training_passes(photos: int) -> int:
    """How often each of so many photos is learned from; few are seen more often, all in all fewer."""
    return min(max(round(_PASSED_IMAGES / math.sqrt(photos)), _FEWEST_PASSES), _MOST_PASSES)


def experiment(space: Space, photos: int, *, own_validation: bool = False, flip: bool = True) -> dict[str, Any]:
    """The experiment for so many photos, without where they lie: the argument of `open_experiment`.

    Args:
        space: of the supernet that is begun with.
        photos: images in `train/`.
        own_validation: whether others decide, and all of these are learned from.
        flip: whether a photo and its mirror image show the same.

    Example:
        experiment(spaces.get("ofa_tiny"), 300)["stages"]["full"]["epochs"]
    """
    held_out = None if own_validation else validation_images(photos)
    learned = photos - (held_out or 0)
    passes = training_passes(learned)
    largest = max(1, round(_LARGEST_SHARE * passes))
    batch_size = next((size for most, size in _BATCHES.items() if learned <= most), 64)
    rates = [round(rate * math.sqrt(batch_size / 64), 4) for rate in _RATES]
    first, rest = (
        # An eighth is exact, so that both are a whole number together.
        {"epochs": count - count / 8, "warmup_epochs": count / 8, "learning_rate": rate}
        for count, rate in zip((largest, passes - largest), rates, strict=True)
    )
    # The last one, without those before it, draws from all sub-networks and leaves their channels where they are.
    last = progressive_stages(space)[-1].name
    return {
        "dataset": "folder",
        "validation": held_out,
        "data_seed": 0,
        "batch_size": batch_size,
        "base_batch_size": batch_size,
        "weight_decay": 1e-4,
        # What few photos can teach beside their labels; sub-networks of other widths have maps of other shapes.
        "feature_ratio": float(len(space.choices("w")) <= 1),
        "evaluate_every": passes,
        "checkpoint_minutes": 2.0,
        "calibration_images": 400,
        "augmentation": {"crop_scale": (0.35, 1.0), **({} if flip else {"flip": False})},
        "stages": {"full": first, last: rest | {"subnets_per_step": 1}},
    }


def supernet_of_photos(
    photos: str | os.PathLike,
    run_dir: pathlib.Path,
    *,
    supernet: str | os.PathLike | None,
    targets: Sequence[Target],
    resize: str | None = None,
    flip: bool = True,
) -> Callable[[], Opened]:
    """Looks at a folder of photos, tells what will be done with them, and returns what does it.

    Args:
        photos: with `train/<class>/`; perhaps `validation/<class>/`, which then decides, and `test/<class>/`.
        run_dir: where it is trained; what is there is not done again.
        supernet: what is begun with, as `read_initial` takes it; `SUPERNET` unless given.
        targets: that follow, for the time that is told.
        resize: how photos become squares, see `Preprocessing`; as the supernet's did unless given.
        flip: whether a photo and its mirror image show the same.

    Raises:
        InputError: the photos or the supernet cannot be used.
    """
    folder, name = pathlib.Path(photos), os.fspath(supernet or SUPERNET)
    try:
        dataset = load("folder", folder, default=validation_images, lost=lost_images(run_dir))
    except InputError as error:
        # The flag by which `load` is told of the folder elsewhere.
        raise InputError(str(error).replace("--data_dir", "--photos")) from error
    own_validation = dataset.validation is None
    shown = printable(str(folder))
    _check_output(folder, run_dir.parent)
    count = _check_classes(shown, dataset, own_validation)
    # What is wrong with the names of the classes would be told after the training otherwise.
    label_facts(dataset)
    initial = read_initial(name)
    space = initial.net.space
    for target in targets:
        _check_target(target, space.replace(num_classes=dataset.num_classes))
    config = {**experiment(space, count, own_validation=own_validation, flip=flip), "data_dir": str(folder)}
    if resize is not None:
        config["preprocessing"] = {"resize": resize}
    pairs = pair_count(count)
    _tell(shown, dataset, count, own_validation, name, config, pairs)
    sides = {side for target in targets for side in target.resolutions or space.resolutions}
    tables = {
        (target.device, target.precision, target.file_form(), target.threads)
        for target in targets
        if "latency_ms" in target.limits and not target.latency_table
    }
    seconds = _TABLE_SECONDS * len(tables) * len(sides) + _TARGET_SECONDS * len(targets)
    steps = {"search, export and measure": seconds}

    def learn() -> Opened:
        begun_with = _begun_with(name, run_dir, initial, dataset, resize)
        options = {"dataset": dataset, "pairs": pairs, "limit": PAIR_IMAGES, "then": steps}
        return train_supernet(run_dir, config, initial=begun_with, **options)[0]

    return learn


def _check_output(folder: pathlib.Path, output: pathlib.Path) -> None:
    """Raises where results would lie among the photos: the next run would take them for a class."""
    for name in ("train", *VALIDATION_FOLDERS, *TEST_FOLDERS):
        split = (folder / name).resolve()
        if split.is_dir() and output.resolve().is_relative_to(split):
            raise InputError(f"--output={output}: lies in the photos of {folder / name}; give a folder outside of it")


def _check_target(target: Target, space: Space) -> None:
    """Raises where a target asks for what cannot be: at once, not after the training."""
    try:
        table = None
        if "latency_ms" in target.limits and target.latency_table is not None:
            table = open_latency_predictor(os.fspath(target.latency_table))
        if target.predictor is None:
            resolution_indices(space, target.resolutions)
            # A table that is not there yet tells nothing.
            limits = {kind: limit for kind, limit in target.limits.items() if kind != "latency_ms" or table is not None}
            constraints = constraints_of(limits, table=table, precision=target.precision, form=target.file_form(table))
            Budget.compile(space, constraints, target.resolutions)
        else:
            open_accuracy_predictor(os.fspath(target.predictor))
        if target.quantization_aware_epochs:
            check_form(target.file_form(table))
    except InputError as error:
        raise InputError(f"target {target.name}: {error}") from error


def _begun_with(
    name: str, run_dir: pathlib.Path, initial: PackedSupernet, dataset: ImageDataset, resize: str | None
) -> PackedSupernet:
    """The supernet with a classifier that fits the photos, kept: a run goes on only with what it began with."""
    if initial.class_names == dataset.class_names:
        return initial
    path = run_dir.with_name(BEGUN_WITH)
    source = {
        "weights": weights_digest(initial.net),
        "data": dataset.digest,
        "resize": resize or "",
        "photos": sum(len(dataset.split(part)) for part in ("train", "validation")),
        "contents": file_lengths(run_dir, dataset),
    }
    if path.exists():
        kept = PackedSupernet.load(path)
        # Of older versions, or where a damaged photo is gone, nobody knows what the files were.
        unknown = [field for field in ("photos", "contents") if "" in (kept.provenance.get(field, ""), source[field])]
        known = {field: value for field, value in source.items() if field not in unknown}
        differing = [field for field, value in known.items() if kept.provenance.get(field) != value]
        if not differing:
            return kept
        if (run_dir / "run.json").exists():
            raise InputError(_begun_otherwise(run_dir, name, differing, kept.provenance, source))
    say("fit a classifier for the new classes to the features of the largest network")
    fitted = dataclasses.replace(with_fitted_classifier(initial, dataset, resize), provenance=source)
    fitted.save(path, dtype="float32")
    return fitted


def _begun_otherwise(
    run_dir: pathlib.Path, name: str, differing: Sequence[str], there: Mapping[str, Any], here: Mapping[str, Any]
) -> str:
    """What a run began with that it is not given now."""
    if "weights" in differing:
        what = f"--supernet={name}: {run_dir} began with another one"
    elif "resize" in differing:
        former, now = (it["resize"] or "the supernet's own way" for it in (there, here))
        what = f"--resize: {run_dir} began with {former}, here it is {now}"
    elif "photos" in differing:
        former, now = there["photos"], here["photos"]
        what = f"--photos: {run_dir} began with {former} to learn from and to decide, here are {now}"
    elif "data" in differing:
        what = f"--photos: {run_dir} began with photos of other names or classes"
    else:
        what = f"--photos: {run_dir} began with photos of these names, but files of other lengths"
    return f"{what}; give another --output, or what it began with to resume it"


def _check_classes(shown: str, dataset: ImageDataset, own_validation: bool) -> int:
    """The number of photos in `train/`, which each class has enough of."""
    parts = ("train",) if own_validation else ("train", "validation")
    labels = collections.Counter(int(label) for part in parts for label in dataset.split(part).labels)
    for label, name in enumerate(dataset.class_names):
        if labels[label] < FEWEST_OF_A_CLASS and not own_validation:
            raise InputError(
                f"--photos={shown}: class {printable(name)} has {labels[label]} photo in train, expected at least "
                f"{FEWEST_OF_A_CLASS}, one to learn from and one to decide; add some, or remove the folder"
            )
    if labels.total() < FEWEST_PHOTOS:
        raise InputError(
            f"--photos={shown}: {labels.total()} photos in train, expected at least {FEWEST_PHOTOS}; add some"
        )
    return labels.total()


def _tell(
    shown: str,
    dataset: ImageDataset,
    photos: int,
    own_validation: bool,
    name: str,
    config: Mapping[str, Any],
    pairs: int,
) -> None:
    """The choice, in few lines."""
    held_out = config["validation"]
    if own_validation:
        decide = f"all to learn from; the {len(dataset.split('validation'))} of its validation folder decide"
    else:
        decide = f"{photos - held_out} to learn from, {held_out} held out, which decide"
    test = f"{len(dataset.split('test'))} others are" if "test" in dataset.splits else "none is"
    without = dataset.num_classes - len(np.unique(dataset.split("validation").labels))
    if without:
        decide += f" (of {without} classes none)"
    say(f"{shown}: {photos} photos of {dataset.num_classes} classes in train: {decide}; {test} for the report alone")
    passes = [f"{stage['epochs'] + stage['warmup_epochs']:.0f}" for stage in config["stages"].values()]
    rates = [f"{stage['learning_rate']:g}" for stage in config["stages"].values()]
    say(
        f"begins with {name}: {passes[0]} passes over the photos for its largest network at a rate of {rates[0]}, "
        f"{passes[1]} for all sub-networks at {rates[1]}, in batches of {config['batch_size']}; then the accuracies of "
        f"{pairs} of them"
    )
