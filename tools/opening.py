"""What the binaries open before they work: a run, its images, its supernet and an evaluator."""

import dataclasses

from ofa_tf.common import read_json
from ofa_tf.data import ImageDataset
from ofa_tf.evaluation import Evaluator
from ofa_tf.networks import Supernet
from ofa_tf.spaces import Arch, Space
from ofa_tf.training import RunDirectory


@dataclasses.dataclass(frozen=True)
class OpenedRun:
    """A finished run, ready to evaluate and to export from.

    Args:
        run: the run directory.
        dataset: its images.
        net: its supernet.
        evaluator: of the supernet on the images.
    """

    run: RunDirectory
    dataset: ImageDataset
    net: Supernet
    evaluator: Evaluator


def open_run(
    run_dir: str, *, stage: str | None = None, dataset: str | None = None, data_dir: str | None = None
) -> OpenedRun:
    """Opens a run; `stage`, `dataset` and `data_dir` are the flags of that name, None for the run's own."""
    run = RunDirectory.open(run_dir)
    net = run.load_supernet(stage)
    images = run.load_dataset(dataset, data_dir)
    return OpenedRun(run, images, net, evaluator_for(net, run, images))


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
        found = read_json(text, "architecture")
        arch = Arch.from_json(found["arch"] if isinstance(found, dict) and "arch" in found else found)
    if resolution is not None:
        arch = dataclasses.replace(arch, r=resolution)
    return space.canonical(arch)
