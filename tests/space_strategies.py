"""Spaces and architectures for tests of whatever must work for every family."""

import dataclasses
import functools
from typing import ClassVar

import numpy as np
from hypothesis import strategies as st

from ofa_tf import spaces
from ofa_tf.spaces import Arch, Block, Gene, Position, Space


@dataclasses.dataclass(frozen=True)
class SharedWidthSpace(Space):
    """Unlike MobileNet: width genes shared by neighbouring blocks, a block without other genes that a depth gene
    skips, one kernel size only, and a depth gene with a single choice."""

    family: ClassVar[str] = "shared width"
    widths: tuple[int, ...] = (8, 16, 24)

    @functools.cached_property
    def genes(self) -> tuple[Gene, ...]:
        """All choices but the resolution."""
        return (
            *(Gene("ks", index, (3,)) for index in range(4)),
            *(Gene("e", index, (0.5, 1, 2)) for index in range(4)),
            Gene("d", 0, (0, 2)),
            Gene("d", 1, (1, 2)),
            Gene("d", 2, (2,)),
            *(Gene("w", index, (0, 1, 2)) for index in range(3)),
        )

    @functools.cached_property
    def positions(self) -> tuple[Position, ...]:
        """A stem whose residual block has no genes but the width, two stages of two blocks, a head."""
        ks, e, d, w = (self.fields[field] for field in ("ks", "e", "d", "w"))
        places = [
            Position("stem", self._stem, 1, (w[0],)),
            Position("stem_residual", functools.partial(self._block, "stem_residual"), 2, (w[0],), d[0], 0),
        ]
        for index in range(4):
            stage, place = divmod(index, 2)
            widths = (w[stage], w[stage + 1]) if place == 0 else (w[stage + 1],)
            make = functools.partial(self._bottleneck, f"block{index}")
            places.append(Position(f"block{index}", make, 2, (ks[index], e[index], *widths), d[stage + 1], place))
        return (*places, Position("head", self._head, 2, (w[2],)))

    def _stem(self, size: int, w: int) -> Block:
        return Block("stem", "stem", 3, self.widths[w], self.widths[w], size, kernel_size=3, stride=2)

    def _block(self, name: str, size: int, w: int) -> Block:
        width = self.widths[w]
        return Block(name, "mbconv", width, width, width, size, kernel_size=3, residual=True)

    def _bottleneck(self, name: str, size: int, ks: int, e: float, *w: int) -> Block:
        before, after = self.widths[w[0]], self.widths[w[-1]]
        return Block(name, "mbconv", before, int(after * e), after, size, kernel_size=ks, expand=True)

    def _head(self, size: int, w: int) -> Block:
        return Block("head", "head", self.widths[w], 64, self.num_classes, size)


SHARED_WIDTH = SharedWidthSpace("shared_width", 5, (32, 48, 64))
SMALL_MOBILENET = spaces.mobilenet_v3(
    0.5, num_classes=3, e=(2, 3.5), d=(1, 2), resolutions=(32, 48), base_widths=(8, 8, 16, 24), strides=(1, 2)
)
SMALL_EFFICIENTNET = spaces.efficientnet_v2(
    0.5, num_classes=3, e=(2, 3.5), d=(1, 2), resolutions=(32, 48), base_widths=(16, 16, 32, 48), strides=(1, 2, 1),
    fused_stages=2,
)  # fmt: skip
# Padded as TensorFlow does, gates as EfficientNet has them, and ratios of each block's own.
SMALL_NATIVE = spaces.native_space("MobileNetV3Small", num_classes=3, resolutions=(33, 64))[0].replace(
    name="small_native", ks=(3, 5, 7), gates="efficientnet"
)
SPACES = (
    spaces.get("ofa_tiny"),
    spaces.get("ofa_mbv3_d234_e346_k357_w1.0"),
    spaces.mobilenet_v3(0.35, num_classes=3, ks=(3,), e=(2, 3.5), d=(1, 3), resolutions=(33, 64)),
    SMALL_MOBILENET,
    SMALL_EFFICIENTNET,
    SMALL_NATIVE,
    SHARED_WIDTH,
)


@st.composite
def space_and_archs(draw, most: int = 6) -> tuple[Space, list[Arch]]:
    """A space with some of its architectures, the corners among them at times."""
    space = draw(st.sampled_from(SPACES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    archs = [space.sample(rng) for _ in range(draw(st.integers(1, most)))]
    if draw(st.booleans()):
        archs += [space.largest(), space.smallest()]
    return space, archs
