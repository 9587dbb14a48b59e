"""What other methods say that N networks cost to design."""

import dataclasses

_OFA = "Cai et al., Once for All, 2020, its comparison with others"


@dataclasses.dataclass(frozen=True)
class PublishedCost:
    """A method's cost in GPU hours, as published; for ImageNet.

    Args:
        name: the method.
        once_gpu_hours: spent once.
        search_gpu_hours: for each target.
        training_gpu_hours: for each target.
        source: where the figures stand.
    """

    name: str
    once_gpu_hours: float
    search_gpu_hours: float
    training_gpu_hours: float
    source: str

    def gpu_hours(self, targets: int) -> float:
        """GPU hours for N targets."""
        return self.once_gpu_hours + targets * (self.search_gpu_hours + self.training_gpu_hours)


PUBLISHED_NOTE = (
    "the 48,000 of NASNet-A were published for one network and are multiplied here; the abstract's first version "
    "counts about 1,400 GPU hours for Once-for-All in all, from which its 14, 16 and 1,142 times fewer than "
    "ProxylessNAS, FBNet and MnasNet for 40 targets follow"
)
PUBLISHED_COSTS = (
    PublishedCost("NASNet-A", 0, 48_000, 0, _OFA),
    PublishedCost("MnasNet", 0, 40_000, 0, _OFA),
    PublishedCost("FBNet-C", 0, 216, 360, _OFA),
    PublishedCost("ProxylessNAS", 0, 200, 300, _OFA),
    PublishedCost("Once-for-All, nets fine-tuned for 75 h", 1_200, 0, 75, _OFA),
    PublishedCost("Once-for-All, nets fine-tuned for 25 h", 1_200, 0, 25, _OFA),
    PublishedCost("Once-for-All", 1_200, 0, 0, _OFA),
)
