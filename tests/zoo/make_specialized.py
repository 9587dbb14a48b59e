"""Makes `ofa_tf/zoo/specialized.json` from the published configurations.

python -m tests.zoo.make_specialized ofa_specialized ofa_tf/zoo/specialized.json
"""

import json
import pathlib
import re
import sys
from typing import Any

from ofa_tf import spaces
from ofa_tf.common import write_json
from ofa_tf.spaces import Space

_NAME = re.compile(
    r"(?P<device>[^_-]+(?:-G8)?)(?:_(?:lat|gpu(?P<batch>\d+))-(?P<ms>\d+)ms|-\d+M)_top1-(?P<top1>[\d.]+)_finetune-(?P<n>\d+)"
)
# By class and channels of the first convolution.
_SPACES = {
    ("MobileNetV3", 16): "ofa_mbv3_d234_e346_k357_w1.0",
    ("MobileNetV3", 24): "ofa_mbv3_d234_e346_k357_w1.2",
    ("ProxylessNASNets", 40): "ofa_proxyless_d234_e346_k357_w1.3",
}


def described(folder: pathlib.Path) -> dict[str, Any]:
    """One published network as the shipped file has it."""
    name = _NAME.fullmatch(folder.name)
    config = json.loads((folder / "net.config").read_text(encoding="utf-8"))
    run = json.loads((folder / "run.config").read_text(encoding="utf-8"))
    space_name = _SPACES[config["name"], config["first_conv"]["out_channels"]]
    arch = _arch(spaces.get(space_name), config["blocks"][1:], run["image_size"])
    return {
        "name": folder.name,
        "device": name["device"],
        "batch_size": int(name["batch"] or 1),
        # Three were found for a number of MACs ("flops") and measured nowhere.
        "latency_ms": name["ms"] and float(name["ms"]),
        "top1": round(float(name["top1"]) / 100, 4),
        "finetune_epochs": int(name["n"]),
        "space": space_name,
        "arch": arch.to_dict(),
    }


def _arch(space: Space, blocks: list[dict[str, Any]], resolution: int):
    """From the running blocks, stage by stage, to fields that count the skipped ones too."""
    convolutions = [block.get("mobile_inverted_conv") or block["conv"] for block in blocks]
    widths = [stage.width for stage in space.stages]
    stages: list[list[dict[str, Any]]] = []
    for convolution in convolutions:
        # In these spaces no two neighbouring stages have the same width.
        if not stages or convolution["out_channels"] != stages[-1][-1]["out_channels"]:
            stages.append([])
        stages[-1].append(convolution)
    assert [stage[0]["out_channels"] for stage in stages] == widths
    ks, e = [], []
    for stage, published in zip(space.stages, stages, strict=True):
        skipped = [0] * (stage.depths[-1] - len(published))
        ks += [convolution["kernel_size"] for convolution in published] + skipped
        e += [convolution["expand_ratio"] for convolution in published] + skipped
    return space.arch(ks=ks, e=e, d=[len(stage) for stage in stages], r=resolution)


def make(folder: pathlib.Path) -> dict[str, Any]:
    """The whole file."""
    return {
        "source": "net.config and run.config of the authors' specialized networks; figures from the folders' names",
        "networks": [described(path) for path in sorted(folder.iterdir()) if path.is_dir()],
    }


if __name__ == "__main__":
    write_json(sys.argv[2], make(pathlib.Path(sys.argv[1])))
