"""What the binaries open before they compute networks: a supernet, its images, an evaluator, an architecture."""

import dataclasses
import pathlib
import warnings

from ofa_tf import zoo
from ofa_tf.common import InputError, read_json
from ofa_tf.data import PUBLISHED, Augmentation, ImageDataset, Preprocessing, load
from ofa_tf.evaluation import Evaluator
from ofa_tf.networks import PackedSupernet, Supernet
from ofa_tf.spaces import Arch, Space
from ofa_tf.specialize import Opened
from ofa_tf.training import KerasTeacher, RunDirectory, SupernetTeacher
from ofa_tf.training.teacher import Teacher


def open_source(
    run_dir: str | None = None,
    supernet: str | None = None,
    stage: str | None = None,
    dataset: str | None = None,
    data_dir: str | None = None,
) -> Opened:
    """Opens what the flags of `source_flags.define` name."""
    if (run_dir is None) == (supernet is None):
        raise InputError("--run_dir and --supernet: give one of them, the run or the supernet to work on")
    if run_dir is not None:
        return open_run(run_dir, stage, dataset, data_dir)
    if stage is not None:
        raise InputError("--stage: only a run has stages; leave it out, or give --run_dir instead of --supernet")
    packed = read_supernet(supernet)
    name = pathlib.Path(supernet).stem
    if supernet in zoo.photos_names() and dataset is None and data_dir is None:
        return opened_with(packed, load("folder", zoo.photos(supernet)), name)
    return open_packed(packed, dataset, data_dir, name)


def evaluator_of(**source: str | None) -> Evaluator:
    """The evaluator of what `open_source` opens, for a process of its own."""
    return open_source(**source).evaluator


def read_supernet(text: str) -> PackedSupernet:
    """What `--supernet` names: one that ships, or a file; what is neither is answered with the names that ship."""
    if text in zoo.supernet_names() or not pathlib.Path(text).exists():
        return zoo.packed_supernet(text)
    return PackedSupernet.load(text)


def read_initial(text: str) -> PackedSupernet:
    """What `--init_from` and `--teacher` name: a supernet that ships, a run directory, or a file."""
    if text in zoo.supernet_names() or not pathlib.Path(text).is_dir():
        return read_supernet(text)
    run = RunDirectory.open(text)
    return PackedSupernet(
        run.load_supernet(),
        preprocessing=run.recipe.preprocessing.to_config(),
        class_names=tuple(run.dataset["class_names"]),
    )


def read_teacher(text: str, inputs: str | None) -> Teacher:
    """What `--teacher` names: a `.keras` file, or what `--init_from` takes too."""
    if pathlib.Path(text).suffix == ".keras":
        return KerasTeacher.load(text, inputs)
    if inputs is not None:
        raise InputError(f"--teacher_inputs={inputs}: only for a .keras file, a supernet says itself; leave it out")
    return SupernetTeacher(read_initial(text))


def open_run(run_dir: str, stage: str | None = None, dataset: str | None = None, data_dir: str | None = None) -> Opened:
    """Opens a run; `stage`, `dataset` and `data_dir` are the flags of that name, None for the run's own."""
    run = RunDirectory.open(run_dir)
    return of_run(run, run.load_supernet(stage), run.load_dataset(dataset, data_dir))


def of_run(run: RunDirectory, net: Supernet, images: ImageDataset) -> Opened:
    """A run's supernet and images that are open already."""
    return Opened(run, images, net, evaluator_for(net, run, images), {"supernet": run.path.name})


def open_packed(
    packed: PackedSupernet, dataset: str | None = None, data_dir: str | None = None, name: str = "supernet"
) -> Opened:
    """Opens a supernet outside a run, with images of its classes; the name is for what is made of it."""
    known = packed.dataset
    images = load(dataset or "folder", data_dir, validation=known.get("validation"), seed=known.get("seed", 0))
    space = packed.net.space
    if images.num_classes != space.num_classes or packed.class_names not in ((), images.class_names):
        raise InputError(
            f"{data_dir or images.name}: has {images.num_classes} classes ({', '.join(images.class_names[:3])}, ...), "
            f"the supernet was trained on {space.num_classes} ({', '.join(packed.class_names[:3]) or 'names unknown'}, "
            f"...); give images of these classes"
        )
    if known and images.digest != known.get("digest"):
        warnings.warn(
            f"{data_dir or images.name}: not the images that the supernet was trained on; those may be among its "
            f"validation images",
            stacklevel=2,
        )
    return opened_with(packed, images, name)


def opened_with(packed: PackedSupernet, images: ImageDataset, name: str) -> Opened:
    """A packed supernet with images that are known to be of its classes."""
    evaluator = Evaluator(
        packed.net,
        images,
        preprocessing=Preprocessing.from_config(dict(packed.preprocessing)) if packed.preprocessing else PUBLISHED,
        augmentation=Augmentation.from_config(dict(packed.augmentation)),
    )
    known = {key: value for key, value in packed.provenance.items() if isinstance(value, (str, int, float))}
    return Opened(None, images, packed.net, evaluator, {"supernet": name, **known})


def evaluator_for(net: Supernet, run: RunDirectory, dataset: ImageDataset) -> Evaluator:
    """An evaluator with the run's preprocessing, augmentation and number of calibration images."""
    recipe = run.recipe
    return Evaluator(
        net,
        dataset,
        preprocessing=recipe.preprocessing,
        augmentation=recipe.augmentation,
        calibration_images=recipe.calibration_images,
        batch_size=min(200, recipe.calibration_images),
    )


def read_arch(space: Space, text: str, resolution: int | None = None) -> Arch:
    """The architecture that an `--arch` flag names: "largest", "smallest", or a JSON file.

    A file may be what `Arch.to_json` writes, or hold such an object under "arch", as results of search and evaluation
    do.
    """
    if text == "largest":
        arch = space.largest()
    elif text == "smallest":
        arch = space.smallest()
    else:
        arch = Arch.load(text)
        try:
            arch = space.canonical(arch)
        except InputError as error:
            raise InputError(f"{text}: {error}") from error
    if resolution is not None:
        arch = dataclasses.replace(arch, r=resolution)
    return space.canonical(arch)


def written_as(text: str, precision: str | None, form: str | None) -> tuple[str, str | None]:
    """Precision and form of a file: as flags give them, else as the result of a search that `--arch` names, else int8.

    Args:
        text: what `--arch` says.
        precision: of a flag, None where it was not given.
        form: likewise.
    """
    found = {} if text in ("largest", "smallest") else read_json(text, "architecture")
    chosen = {name: found.get(name) for name in ("precision", "form")} if isinstance(found, dict) else {}
    if precision not in (None, chosen.get("precision")):
        # Another precision's form would be a poor one.
        chosen = {}
    return precision or chosen.get("precision") or "int8", form or chosen.get("form")
