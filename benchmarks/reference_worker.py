"""The PyTorch sides of `benchmarks.reference_speed`: training steps of the authors' own supernet (PyPI `ofa`).

Run by the interpreter of an environment that has torch and ofa; imports nothing of this project. Reads a line of JSON
per step from standard input (`ks`, `e`, `d`), answers with its seconds, and at the end with its peak memory. With
`channels_last` as fourth argument, weights and images are laid out so that oneDNN need not reorder them.
"""

import json
import resource
import sys
import time
import types

# Needed by the package's data room alone, which a step does not enter.
for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.datasets"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]
sys.modules["torchvision"].datasets = sys.modules["torchvision.datasets"]
sys.modules["torchvision.transforms"].functional = sys.modules["torchvision.transforms.functional"]
sys.modules["torchvision.transforms"].RandomResizedCrop = object

import torch  # noqa: E402
from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3  # noqa: E402
from ofa.utils import build_optimizer, cross_entropy_with_label_smoothing  # noqa: E402


def main(batch: int, resolution: int, threads: int, memory_format: str) -> None:
    """Answers until the input ends."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net = OFAMobileNetV3(
        dropout_rate=0.0, width_mult=1.0, ks_list=[3, 5, 7], expand_ratio_list=[3, 4, 6], depth_list=[2, 3, 4]
    )
    net.train()
    layout = getattr(torch, memory_format)
    net.to(memory_format=layout)
    keys = ["bn", "bias"]
    parameters = [net.get_parameters(keys, mode="exclude"), net.get_parameters(keys, mode="include")]
    optimizer = build_optimizer(parameters, "sgd", {"momentum": 0.9, "nesterov": True}, 1e-3, 3e-5, "#".join(keys))
    images = torch.randn(batch, 3, resolution, resolution).to(memory_format=layout)
    labels = torch.randint(0, 1000, (batch,))
    for line in sys.stdin:
        arch = json.loads(line)
        began = time.perf_counter()
        net.zero_grad()
        net.set_active_subnet(ks=arch["ks"], e=arch["e"], d=arch["d"])
        loss = cross_entropy_with_label_smoothing(net(images), labels, 0.1)
        loss.backward()
        optimizer.step()
        loss.item()
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)
    print(json.dumps({"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), sys.argv[4])
