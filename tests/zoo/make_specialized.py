"""Makes `ofa_tf/zoo/specialized.json` from the published configurations.

python -m tests.zoo.make_specialized ofa_specialized ofa_tf/zoo/specialized.json
"""

import pathlib
import re
import sys
from typing import Any

from ofa_tf.common import write_json
from ofa_tf.interop import read_net_config

_NAME = re.compile(
    r"(?P<device>[^_-]+(?:-G8)?)(?:_(?:lat|gpu(?P<batch>\d+))-(?P<ms>\d+)ms|-\d+M)_top1-(?P<top1>[\d.]+)_finetune-(?P<n>\d+)"
)


def described(folder: pathlib.Path) -> dict[str, Any]:
    """One published network as the shipped file has it."""
    name = _NAME.fullmatch(folder.name)
    space, arch = read_net_config(folder / "net.config")
    return {
        "name": folder.name,
        "device": name["device"],
        "batch_size": int(name["batch"] or 1),
        # Three were found for a number of MACs ("flops") and measured nowhere.
        "latency_ms": name["ms"] and float(name["ms"]),
        "top1": round(float(name["top1"]) / 100, 4),
        "finetune_epochs": int(name["n"]),
        "space": space.name,
        "arch": arch.to_dict(),
    }


def make(folder: pathlib.Path) -> dict[str, Any]:
    """The whole file."""
    return {
        "source": "net.config and run.config of the authors' specialized networks; figures from the folders' names",
        "networks": [described(path) for path in sorted(folder.iterdir()) if path.is_dir()],
    }


if __name__ == "__main__":
    write_json(sys.argv[2], make(pathlib.Path(sys.argv[1])))
