"""`SpecializedNet`: one published network, its figures, and how to begin with it."""

import dataclasses
import functools
from typing import TYPE_CHECKING

from ofa_tf.spaces import Arch, Block, Space

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class SpecializedNet:
    """A sub-network that the authors found for a device and fine-tuned.

    Args:
        name: as published.
        device: what it was found for.
        batch_size: images at once, to which the latency belongs (64 on the large GPUs).
        latency_ms: measured on the device, in milliseconds; None where it was found for its MACs (device "flops").
        top1: ImageNet top-1 after fine-tuning, 0..1.
        finetune_epochs: how long it was fine-tuned.
        space: the supernet's space.
        arch: the architecture.

    Example:
        net = zoo.specialized("note10_lat-22ms_top1-76.6_finetune-25")
        model = net.build()
        interop.load_specialized_checkpoint(model, net.blocks, interop.published_file(net.name))
    """

    name: str
    device: str
    batch_size: int
    latency_ms: float | None
    top1: float
    finetune_epochs: int
    space: Space
    arch: Arch

    @functools.cached_property
    def blocks(self) -> list[Block]:
        """The blocks that run."""
        return self.space.blocks(self.arch)

    @property
    def resolution(self) -> int:
        """Side of the input image, in pixels."""
        return self.arch.r

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return self.space.count_macs(self.arch)

    @property
    def params(self) -> int:
        """Parameters."""
        return self.space.count_params(self.arch)

    def build(self, num_classes: int | None = None) -> "keras.Model":
        """The plain Keras model with fresh weights, from normalized images to logits.

        Args:
            num_classes: outputs of the classifier, 1,000 as published unless given.
        """
        # Loads TensorFlow, which names and figures do without.
        import keras

        from ofa_tf.networks import build_plain

        space = self.space if num_classes is None else self.space.replace(num_classes=num_classes)
        return build_plain(space.blocks(self.arch), keras)
