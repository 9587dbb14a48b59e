"""`RunDirectory`: what a training run leaves on disk, and how later steps find it."""

import contextlib
import dataclasses
import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

from ofa_tf import networks, spaces
from ofa_tf.common import InputError, RecordFormat, append_json_line, brief, read_json_lines, write_text
from ofa_tf.common.config import check_whole, is_number
from ofa_tf.common.files import whole_lines
from ofa_tf.common.locks import locked
from ofa_tf.common.splits import with_validation
from ofa_tf.data import ImageDataset, load
from ofa_tf.data.load import FOLDER_NAMES
from ofa_tf.networks import Supernet
from ofa_tf.spaces import Space
from ofa_tf.training.checkpoint import load_checkpoint
from ofa_tf.training.recipe import Recipe
from ofa_tf.training.stage import stages_of

_LOST = "unreadable.jsonl"

FORMAT = RecordFormat("ofa_tf run", "train it anew", former=(1,))


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """A folder with the files of one run:

    - `run.json`: space, dataset and recipe;
    - `metrics.jsonl`: a line per epoch and per evaluated sub-network, the split named in each;
    - `timing.jsonl`: a line per epoch with seconds, images per second and the number of devices;
    - `.training.lock`: held by the process that trains it;
    - `unreadable.jsonl`: a line per image that was found to be damaged during the run, if any;
    - `tensorboard/<stage>/`: the figures of both, for TensorBoard;
    - `checkpoints/<stage>-<step>.npz`: the last states inside the stage that is running, to resume from;
    - `stages/<stage>.npz`: the weights at the end of each stage.

    Args:
        path: the folder.
        space: with the dataset's number of classes.
        dataset: arguments of `data.load`, and what came of them: `class_names` and `digest`.
        recipe: how it is trained.
        initial: the `space` and `digest` of the supernet that it began with; empty where it began with random weights.
        replicas: devices that share each step.
        teacher: the `kind` and `digest` of the trained network that teaches; empty where none was given.
    """

    path: pathlib.Path
    space: Space
    dataset: dict[str, Any]
    recipe: Recipe
    initial: dict[str, str] = dataclasses.field(default_factory=dict)
    replicas: int = 1
    teacher: dict[str, str] = dataclasses.field(default_factory=dict)

    @staticmethod
    def create(
        path: str | os.PathLike,
        space: Space,
        dataset: dict[str, Any],
        recipe: Recipe,
        initial: dict[str, str] | None = None,
        replicas: int = 1,
        teacher: dict[str, str] | None = None,
    ) -> "RunDirectory":
        """Makes the folder, or opens the one that an interrupted run left.

        Raises:
            InputError: the folder holds a run of another space, dataset or recipe.
        """
        path = pathlib.Path(path)
        new = RunDirectory(path, space, dataset, recipe, initial or {}, replicas, teacher or {})
        if (path / "run.json").exists():
            old = RunDirectory.open(path)
            for what, before, now in (
                ("space", old.space, space),
                ("dataset", *_comparable(old.dataset, dataset)),
                ("recipe", old.recipe, recipe),
                ("beginning", old.initial, new.initial),
                ("teacher", old.teacher, new.teacher),
                ("number of devices", {"replicas": old.replicas}, {"replicas": replicas}),
            ):
                if before != now:
                    raise InputError(
                        f"{path}: holds a run with another {what} ({_difference(before, now)}); "
                        f"give another folder, or the former settings to resume it"
                    )
            places = _place(old.dataset), _place(dataset)
            if places[0] == places[1]:
                return old
            warnings.warn(f"{path}: its images lay in {places[0]}, and are now in {places[1]}", stacklevel=3)
            # Written by the trainer, which keeps others off it.
            return dataclasses.replace(old, dataset={**dataset, "file_lengths": old.dataset["file_lengths"]})
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: is a file, expected a folder for the run; give another --run_dir")
        new._write()
        return new

    def _write(self) -> None:
        description = {
            "space": self.space.to_config(),
            "dataset": self.dataset,
            "recipe": self.recipe.to_config(),
            "initial": self.initial,
            "replicas": self.replicas,
            "teacher": self.teacher,
        }
        FORMAT.save(self.path / "run.json", description)

    @contextlib.contextmanager
    def alone(self, *, writing: bool) -> Iterator[None]:
        """Held by the one process that writes into the run; another one would write into the same logs and checkpoints.

        Where its images have moved, that is written first.

        Args:
            writing: whether anything else will be written; what is finished is only read, and needs no lock.

        Raises:
            InputError: another process trains it.
        """
        moved = RunDirectory.open(self.path).dataset != self.dataset
        if not (moved or writing):
            yield
            return
        held = f"{self.path}: another process trains it; wait for its end, or give another folder"
        with locked(self.path / ".training.lock", held):
            if moved:
                self._write()
            yield

    def check_trained_by(self, replicas: int, initial: dict[str, str], teacher: dict[str, str]) -> None:
        """Raises `InputError` where a trainer has other devices, another beginning or another teacher than the run."""
        if replicas != self.replicas:
            raise InputError(
                f"{self.path}: a run of {self.replicas} devices, here are {replicas}; resume it on as many, or give "
                f"another --run_dir"
            )
        if initial != self.initial:
            raise InputError(f"{self.path}: a run that began with another supernet; give the one that it began with")
        if teacher != self.teacher:
            raise InputError(f"{self.path}: a run with another teacher; give the one that it began with")

    @staticmethod
    def open(path: str | os.PathLike) -> "RunDirectory":
        """Opens an existing run.

        Raises:
            InputError: there is none, or its description cannot be read.
        """
        path = pathlib.Path(path)
        if not (path / "run.json").is_file():
            raise InputError(f"{path}: not a run directory (no run.json); give the --run_dir of a tools.train run")
        fields = FORMAT.load(path / "run.json")
        with FORMAT.reading(path / "run.json"):
            space, recipe = spaces.from_config(fields["space"]), Recipe.from_config(fields["recipe"])
            initial, teacher = fields.get("initial", {}), fields.get("teacher", {})
            replicas = fields.get("replicas", 1)
            check_whole("replicas", replicas, 1)
            dataset = with_validation(fields["dataset"], "dataset")
            _check_dataset(dataset, initial)
            if not isinstance(teacher, dict):
                raise InputError(f"teacher is {brief(repr(teacher))}, expected an object")
            return RunDirectory(path, space, dataset, recipe, initial, replicas, teacher)

    def checkpoint(self, stage: str, step: int) -> pathlib.Path:
        """Where the state before a step of a stage is kept."""
        return self.path / "checkpoints" / f"{stage}-{step:09d}.npz"

    def checkpoints(self, stage: str = "*") -> list[pathlib.Path]:
        """The states that are kept, those of one stage or all, oldest step first."""
        return sorted((self.path / "checkpoints").glob(f"{stage}-*.npz"))

    def stage_weights(self, stage: str) -> pathlib.Path:
        """The weights at the end of a stage."""
        return self.path / "stages" / f"{stage}.npz"

    def finished_stages(self) -> list[str]:
        """Names of the stages whose weights are here, in the order in which they are trained."""
        # Not the recipe's order: configurations are sorted by name.
        planned = stages_of(self.space, self.recipe, trained=bool(self.initial))
        return [stage.name for stage in planned if self.stage_weights(stage.name).is_file()]

    def load_dataset(
        self,
        dataset: str | None = None,
        data_dir: str | None = None,
        validation: float | None = None,
        *,
        other_classes: bool = False,
    ) -> ImageDataset:
        """The run's images, or others of the same classes.

        Args:
            dataset: as for `data.load`; the run's unless given.
            data_dir: the folder they are in; the run's unless given.
            validation: how many training images are held out; as in the run where the images are the run's, else as
                `data.load` does, unless given.
            other_classes: whether they may be of other classes, too.
        """
        others = dataset is not None or data_dir is not None or validation is not None
        name = self.dataset["dataset"] if dataset is None else dataset
        if data_dir is None and name == self.dataset["dataset"]:
            data_dir = None if name == "digits" or os.path.isabs(name) else self.dataset.get("data_dir")
        elif dataset is None and (name == "digits" or os.path.isabs(name)):
            # The run's set has another place, or none, and a folder is given.
            name = "folder"
        arguments = {
            "seed": self.dataset.get("seed", 0),
            "known": self.dataset,
            "lost": [] if others else lost_images(self.path),
        }
        images = load(name, data_dir, validation, **arguments)
        if list(images.class_names) != list(self.dataset["class_names"]):
            if other_classes:
                return images
            if self.recipe.labels == "teacher":
                raise InputError(
                    f"{self.path}: its labels were its teacher's; give --data_dir with folders of the classes "
                    f"{_few(self.dataset['class_names'])}, or pack it with tools.pack_supernet"
                )
            raise InputError(
                f"{data_dir or images.name}: has the classes {_few(images.class_names)}, the run was "
                f"trained on {_few(self.dataset['class_names'])}; give the data the run was trained on"
            )
        if images.digest != self.dataset["digest"]:
            # Drawn from other images, the validation split may hold what was trained on.
            problem = f"{data_dir or images.name}: training and validation images are not those of the run"
            if not others:
                raise InputError(f"{problem}; restore the folder, or give --data_dir to use it as other images")
            warnings.warn(f"{problem}; its validation split may hold images that were trained on", stacklevel=2)
        return images

    def load_supernet(self, stage: str | None = None) -> Supernet:
        """The supernet after a stage, the last finished one unless named."""
        finished = self.finished_stages()
        if not finished or (stage is not None and stage not in finished):
            what = f"no weights of stage {stage!r}" if stage else "no finished stage"
            raise InputError(
                f"{self.path}: {what} (finished: {', '.join(finished) or 'none'}); run tools.train to its end"
            )
        unfinished = [name for name in self.recipe.stages if name not in finished]
        if unfinished and stage is None:
            warnings.warn(
                f"{self.path}: stages {', '.join(unfinished)} are not finished; what they add is untrained",
                stacklevel=2,
            )
        net = networks.build(self.space)
        load_checkpoint(self.stage_weights(stage or finished[-1]), net)
        return net

    def log(self, name: str, line: dict[str, Any]) -> None:
        """Appends to `<name>.jsonl`."""
        append_json_line(self.path / f"{name}.jsonl", line)

    def read_log(self, name: str) -> list[dict[str, Any]]:
        """The lines of `<name>.jsonl`, none where there is no such file."""
        path = self.path / f"{name}.jsonl"
        return read_json_lines(path, "log of a run") if path.exists() else []

    def cut_log(self, name: str, lines: int) -> None:
        """Drops what was logged after the checkpoint that a run resumes from."""
        path = self.path / f"{name}.jsonl"
        if path.exists():
            kept = whole_lines(path.read_text(encoding="utf-8"))[:lines]
            write_text(path, "".join(f"{line}\n" for line in kept))


def lost_images(path: str | os.PathLike) -> list[str]:
    """The images that a run in a folder found to be damaged, by their paths from the data set's folder."""
    log = pathlib.Path(path) / _LOST
    return [str(line.get("image")) for line in read_json_lines(log) if isinstance(line, dict)] if log.is_file() else []


def file_lengths(path: str | os.PathLike, dataset: ImageDataset) -> str:
    """The data set's `content_digest`; "" of a run that met damaged images, which may have new lengths."""
    return "" if lost_images(path) else dataset.content_digest


def remembering(path: str | os.PathLike, dataset: ImageDataset) -> ImageDataset:
    """The data set, whose images are noted in the run's folder when they are found to be damaged.

    They can then be removed, and the run goes on with the same batches.
    """

    def note(image: str) -> None:
        append_json_line(pathlib.Path(path) / _LOST, {"image": image})

    splits = {name: dataclasses.replace(split, noted=note) for name, split in dataset.splits.items()}
    return dataclasses.replace(dataset, splits=splits)


def _same_images(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether these are the very images, wherever they lie: of the same names, classes and, of files, lengths.

    Lengths are unknown now where the run met damaged images.
    """
    lengths = before.get("file_lengths"), now.get("file_lengths")
    if not (lengths[0] and lengths[1] in ("", lengths[0])):
        return False
    return before.get("digest") == now.get("digest") and None not in (_place(before), _place(now))


def _place(dataset: dict[str, Any]) -> str | None:
    """The folder of a set, whichever way it was given; the digits are in none."""
    if dataset["dataset"] == "digits":
        return None
    return dataset["dataset"] if os.path.isabs(dataset["dataset"]) else dataset.get("data_dir")


def _is_folder(dataset: dict[str, Any]) -> bool:
    return os.path.isabs(dataset["dataset"]) or dataset["dataset"].lower().replace("_", "") in FOLDER_NAMES


def _comparable(*datasets: dict[str, Any]) -> list[dict[str, Any]]:
    """Descriptions without what one of them does not know, runs of before or a file that is gone, and without the place
    of images that are the same."""
    left_out = {"file_lengths"} if not all(dataset.get("file_lengths") for dataset in datasets) else set()
    if all(dataset["dataset"] == "digits" for dataset in datasets):
        left_out.add("data_dir")
    elif _same_images(*datasets):
        # A set of TensorFlow Datasets is told from others by its name alone.
        left_out |= {"dataset", "data_dir"} if all(map(_is_folder, datasets)) else {"data_dir"}
    return [{name: value for name, value in dataset.items() if name not in left_out} for dataset in datasets]


def _check_dataset(dataset: Any, initial: Any) -> None:
    names = dataset["class_names"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"class_names are {brief(repr(names))}, expected a list of names")
    for name in ("dataset", "digest"):
        if not isinstance(dataset[name], str):
            raise InputError(f"{name} is {brief(repr(dataset[name]))}, expected a text")
    unknown = sorted(
        set(dataset) - {"dataset", "data_dir", "validation", "seed", "class_names", "digest", "file_lengths"}
    )
    if unknown:
        raise InputError(f"dataset has the field {brief(repr(unknown[0]))}, which is unknown")
    data_dir, validation = dataset.get("data_dir"), dataset.get("validation")
    if not isinstance(data_dir, (str, type(None))) or not (validation is None or is_number(validation)):
        raise InputError(
            f"data_dir is {brief(repr(data_dir))} and validation {brief(repr(validation))}, expected a path, a number"
        )
    if not isinstance(initial, dict):
        raise InputError(f"initial is {brief(repr(initial))}, expected an object")


def _difference(before: Any, now: Any) -> str:
    """The first field in which two descriptions differ."""
    before, now = (value if isinstance(value, dict) else value.to_config() for value in (before, now))
    for key in [*before, *now]:
        if before.get(key) != now.get(key):
            if isinstance(before.get(key), dict) and isinstance(now.get(key), dict):
                return f"{key}.{_difference(before[key], now[key])}"
            return f"{key}: {_few(before.get(key))} there, {_few(now.get(key))} here"
    return "type"


def _few(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
