"""The authors' descriptions of a specialized network, `net.config`, read as an architecture of a space."""

import json
import os
import pathlib
from typing import Any

from ofa_tf import spaces
from ofa_tf.common import InputError, brief, read_json
from ofa_tf.spaces import Arch, Space

# The spaces that they were published of: by class and channels of the first convolution.
_SPACES = {
    ("MobileNetV3", 16): "ofa_mbv3_d234_e346_k357_w1.0",
    ("MobileNetV3", 24): "ofa_mbv3_d234_e346_k357_w1.2",
    ("ProxylessNASNets", 40): "ofa_proxyless_d234_e346_k357_w1.3",
}


def is_net_config(value: Any) -> bool:
    """Whether JSON is such a description, and not an architecture of ours.

    Args:
        value: what a JSON file holds.
    """
    return isinstance(value, dict) and isinstance(value.get("blocks"), list) and "name" in value


def read_net_config(
    path: str | os.PathLike, space: Space | None = None, resolution: int | None = None
) -> tuple[Space, Arch]:
    """Reads a description as an architecture: which kernel sizes, expand ratios and depths its blocks have.

    Args:
        path: the file `net.config`.
        space: whose architecture it is to be, for a supernet of one's own with stages of other widths; the published
            space that the file is of unless given.
        resolution: the image side in pixels; that of `run.config` beside the file unless given.

    Returns:
        The space, with its own number of classes, and the architecture.

    Raises:
        InputError: the file is no such description, is of no published space, or does not fit the space.

    Source: docs/importing.md, "Networks that others describe".

    Example:
        space, arch = read_net_config("flops@595M_top1@80.0_finetune@75/net.config")
    """
    config = read_json(path, "net.config")
    try:
        known = (config["name"], config["first_conv"]["out_channels"])
        convolutions = [block.get("mobile_inverted_conv") or block["conv"] for block in config["blocks"][1:]]
        stages: list[list[dict[str, Any]]] = []
        for convolution in convolutions:
            # In these spaces no two neighbouring stages have the same width.
            if not stages or convolution["out_channels"] != stages[-1][-1]["out_channels"]:
                stages.append([])
            stages[-1].append(convolution)
        ks = [[convolution["kernel_size"] for convolution in stage] for stage in stages]
        e = [[convolution["expand_ratio"] for convolution in stage] for stage in stages]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: found no blocks of MobileNetV3 or ProxylessNAS ({type(error).__name__}: {error}), expected a "
            f"net.config of the authors; give another file"
        ) from error
    is_published = space is None
    if is_published:
        if known not in list(_SPACES):
            raise InputError(
                f"{path}: {known[0]} with {known[1]} channels in the first convolution, expected one of the published "
                f"spaces, {', '.join(_SPACES.values())}; give a supernet of your own and --arch"
            )
        space = spaces.get(_SPACES[known])
    depths = [stage.depths[-1] for stage in getattr(space, "stages", ())]
    if len(depths) != len(stages) or any(len(found) > most for found, most in zip(stages, depths, strict=True)):
        found = ", ".join(str(len(stage)) for stage in stages)
        raise InputError(
            f"{path}: has stages of {found} blocks, space {space.name} has at most {', '.join(map(str, depths))}; give "
            f"a net.config of this family"
        )
    skipped = [[0] * (most - len(stage)) for most, stage in zip(depths, stages, strict=True)]
    resolution = resolution or _image_size(pathlib.Path(path))
    try:
        arch = space.arch(
            ks=[it for run, rest in zip(ks, skipped, strict=True) for it in run + rest],
            e=[it for run, rest in zip(e, skipped, strict=True) for it in run + rest],
            d=[len(stage) for stage in stages],
            r=resolution,
        )
    except InputError as error:
        raise InputError(f"{path}, at {resolution} pixels: {error}") from error
    if is_published:
        _check_blocks(path, space, arch, convolutions)
    return space, arch


def _check_blocks(path: str | os.PathLike, space: Space, arch: Arch, convolutions: list[dict[str, Any]]) -> None:
    """Raises where a block is another one than the published space's: its weights would compute something else."""
    blocks = [block for block in space.blocks(arch) if block.kind == "mbconv"][-len(convolutions) :]
    for number, (block, found) in enumerate(zip(blocks, convolutions, strict=True), start=1):
        ours = {
            "in_channels": block.in_channels,
            "out_channels": block.out_channels,
            "mid_channels": block.mid_channels,
            "stride": block.stride,
            "act_func": block.activation,
            "use_se": block.se_channels > 0,
        }
        for field, expected in ours.items():
            # What a file leaves out is as usual.
            if found.get(field) is not None and found[field] != expected:
                raise InputError(
                    f"{path}: block {number} has {field} {brief(repr(found[field]))}, that of {space.name} "
                    f"{expected!r}; it is of no published space: give a supernet of your own and --arch"
                )


def _image_size(path: pathlib.Path) -> int:
    beside = path.with_name("run.config")
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))["image_size"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, int):
        raise InputError(f"{path}: says no image size, and no run.config beside it does; give --resolution")
    return found
