"""What flags of several binaries name: an architecture, and the network that a training learns from."""

import dataclasses
import pathlib
import warnings

from ofa_tf import interop, zoo
from ofa_tf.common import InputError, brief, read_json
from ofa_tf.common.config import check_one_of
from ofa_tf.common.form import FORMS, PRECISIONS
from ofa_tf.spaces import Arch, Space, native_arch
from ofa_tf.specialize import read_initial
from ofa_tf.training import KerasTeacher, SupernetTeacher
from ofa_tf.training.teacher import Teacher


def read_teacher(text: str, inputs: str | None, resolution: int | None = None) -> Teacher:
    """What `--teacher` names: a `.keras` file, or what `--init_from` takes too."""
    if pathlib.Path(text).suffix == ".keras":
        if resolution is not None:
            raise InputError("--teacher_resolution: a .keras file has an input of its own size; leave it out")
        return KerasTeacher.load(text, inputs)
    if inputs is not None:
        raise InputError(f"--teacher_inputs={inputs}: only for a .keras file, a supernet says itself; leave it out")
    return SupernetTeacher(read_initial(text), resolution)


# What an `--arch` flag names besides a file.
ARCH_WORDS = ("largest", "smallest", "native")


def read_arch(space: Space, text: str, resolution: int | None = None) -> Arch:
    """The architecture that an `--arch` flag names: "largest", "smallest", "native" or a JSON file.

    "native" is the published network that the space was made around.

    A file may be what `Arch.to_json` writes, or hold such an object under "arch", as results of search and evaluation
    do, or be the `net.config` of a network that the authors found. One that names another space is warned about.
    """
    if text == "largest":
        arch = space.largest()
    elif text == "smallest":
        arch = space.smallest()
    elif text == "native":
        arch = native_arch(space)
        if arch is None:
            raise InputError(f"--arch=native: space {space.name} is around no published network; give another")
    elif interop.is_net_config(found := read_json(text, "architecture")):
        _, arch = interop.read_net_config(text, space, resolution)
    else:
        arch = Arch.load(text)
        try:
            arch = space.canonical(arch)
        except InputError as error:
            raise InputError(f"{text}: {error}") from error
        # Spaces of other widths have architectures of the same shape.
        searched = found.get("space") if isinstance(found, dict) else None
        if searched not in (None, space.name):
            warnings.warn(
                f"{text}: its architecture is of space {brief(searched, 80)}, taken as one of {space.name}; what the "
                f"file predicts is of another network: search again with this supernet's predictor",
                stacklevel=2,
            )
    if resolution is not None:
        arch = dataclasses.replace(arch, r=resolution)
    return space.canonical(arch)


def read_specialized(text: str) -> zoo.SpecializedNet:
    """What `--specialized` names: a published network, or the `net.config` of one."""
    if not pathlib.Path(text).is_file():
        return zoo.specialized(text)
    space, arch = interop.read_net_config(text)
    # Nobody says how fast and how good it is with these weights.
    return zoo.SpecializedNet(pathlib.Path(text).parent.name, "", 1, None, float("nan"), 0, space, arch)


def written_as(text: str, precision: str | None, form: str | None) -> tuple[str, str | None]:
    """Precision and form of a file: as flags give them, else as the result of a search that `--arch` names, else int8.

    Args:
        text: what `--arch` says.
        precision: of a flag, None where it was not given.
        form: likewise.
    """
    found = {} if text in ARCH_WORDS else read_json(text, "architecture")
    known = {"precision": PRECISIONS, "form": FORMS}
    chosen = {name: found.get(name) for name in known} if isinstance(found, dict) else {}
    for name, value in chosen.items():
        if value is not None:
            check_one_of(f"{text}: {name}", value, known[name])
    if precision not in (None, chosen.get("precision")):
        # Another precision's form would be a poor one.
        chosen = {}
    return precision or chosen.get("precision") or "int8", form or chosen.get("form")
