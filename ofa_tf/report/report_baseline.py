"""`ReportBaseline`: a network of somebody else's, to see one's own against."""

import dataclasses

_MOBILENETS = "TensorFlow's MobileNet page (tensorflow/models, research/slim/nets/mobilenet)"
_OFA_TUTORIAL = "tutorial of the published Once-for-All code, on a Samsung Note10"


@dataclasses.dataclass(frozen=True)
class ReportBaseline:
    """A network that is no sub-network of the space.

    Args:
        name: for example "MobileNetV3-Large".
        cost: in the unit of the front's kind of cost, in milliseconds where that is "latency_ms".
        top1: its accuracy, 0..1; None where it was only timed.
        source: where the figures come from: a publication, or the bench that measured it.
        images: what its accuracy was measured on, where that is not what the front's networks were measured on; such a
            baseline is listed, and only its cost is drawn.

    Example:
        ReportBaseline("MobileNetV3-Large", 22.0, 0.752, "measured by mobile_bench on this machine")
    """

    name: str
    cost: float
    top1: float | None = None
    source: str = ""
    images: str = ""

    @property
    def comparable(self) -> bool:
        """Whether its accuracy may stand in the front's plot."""
        return self.top1 is not None and not self.images


def _published(source: str, *rows: tuple[str, float, float]) -> tuple[ReportBaseline, ...]:
    return tuple(ReportBaseline(name, cost, top1, source) for name, cost, top1 in rows)


# ImageNet top-1 by the device that the cost was measured on, in milliseconds; "macs" is the same on all of them.
PUBLISHED_BASELINES = {
    "note10": _published(
        _OFA_TUTORIAL,
        ("MobileNetV3-Large, width 0.75", 15.3, 0.733),
        ("MobileNetV3-Large", 22.0, 0.752),
        ("MobileNetV3-Large, width 1.25", 31.0, 0.766),
        ("ProxylessNAS", 26.0, 0.746),
        ("ProxylessNAS, larger", 45.0, 0.767),
    ),
    "macs": _published(
        "tutorial of the published Once-for-All code",
        ("MobileNetV3-Large", 219e6, 0.752),
        ("MobileNetV3-Large, width 1.25", 343e6, 0.766),
        ("EfficientNet-B0", 390e6, 0.763),
        ("EfficientNet-B1", 700e6, 0.788),
    ),
    "pixel1": _published(
        f"{_MOBILENETS}: TFLite, float",
        ("MobileNetV3-Large", 51.0, 0.752),
        ("MobileNetV3-Small", 15.8, 0.675),
    ),
}
