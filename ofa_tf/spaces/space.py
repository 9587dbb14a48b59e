"""`Space`: what every family of architectures has in common.

A family says which *genes* (choices) its architectures have and which *positions* (places for blocks), and how the
block at a position follows from the few genes it depends on. Everything else is written here once, for all families:
checking, sampling, the list of blocks, their tensor form and costs. `population.py` has the form in which a search
evaluates whole populations.
"""

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ofa_tf.common import InputError, brief
from ofa_tf.common.config import check_whole, check_whole_numbers, is_number
from ofa_tf.spaces import costs
from ofa_tf.spaces.arch import FIELDS, Arch
from ofa_tf.spaces.block import Block

# Columns of `Space.to_array`, one row per position.
ACTIVE, IN, MID, OUT, SE, KERNEL = range(6)
TENSOR_COLUMNS = 6

# An image smaller than the total stride leaves nothing to convolve; a larger one than this is a typing error.
MIN_RESOLUTION, MAX_RESOLUTION = 8, 1024

# Likewise: what is beyond these was never meant, and would not end.
MAX_WIDTH, MAX_DEPTH, MAX_RATIO, MAX_CLASSES = 1 << 16, 64, 64, 1_000_000


@dataclasses.dataclass(frozen=True)
class Gene:
    """One choice of an architecture: `Arch.<field>[index]`, one of `choices` (ascending)."""

    field: str
    index: int
    choices: tuple


def within(choices: Sequence, subset: Sequence) -> tuple:
    """The choices that are in the subset; where none is, the one that is nearest to any of it."""
    common = tuple(choice for choice in choices if choice in subset)
    return common or (min(choices, key=lambda choice: min(abs(choice - value) for value in subset)),)


@dataclasses.dataclass(frozen=True)
class Position:
    """A place where a block can stand.

    Args:
        name: unique in the space; the name of the supernet's layer.
        make: called as `make(input_size, *values)` with the values of `genes`; returns the block.
        input_stride: the image's side is divided by this (rounding up) at the block's input.
        genes: the genes that the block depends on, besides the resolution.
        depth: the gene that decides whether the block runs, None where it always does.
        depth_index: the block runs where the depth is greater than this.
    """

    name: str
    make: Callable[..., Block]
    input_stride: int
    genes: tuple[Gene, ...] = ()
    depth: Gene | None = None
    depth_index: int = 0

    @property
    def optional(self) -> bool:
        """Whether some architecture of the space skips the block."""
        return self.depth is not None and min(self.depth.choices) <= self.depth_index

    def input_size(self, resolution: int) -> int:
        """Side of the block's input, in pixels, for an image of side `resolution`."""
        return -(-resolution // self.input_stride)


@dataclasses.dataclass(frozen=True)
class Space(abc.ABC):
    """A family of architectures with its choices; immutable, hashable, and readable from JSON.

    Args:
        name: as in `spaces.names()`, or any other name.
        num_classes: outputs of the classifier.
        resolutions: image sides, in pixels, ascending, from which training, sampling and search draw. An architecture
            may have another resolution: the networks are convolutional.

    Example:
        space = spaces.get("ofa_mbv3_d234_e346_k357_w1.0")
        arch = space.arch(ks=3, e=4, d=2, r=160)
        space.count_macs(arch), len(space.blocks(arch))
    """

    name: str
    num_classes: int
    resolutions: tuple[int, ...]

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name.isprintable():
            raise InputError(f"space description: name is {brief(repr(self.name))}, expected a name")
        check_whole(f"space {self.name}: num_classes", self.num_classes, 2, MAX_CLASSES)
        sizes = self.resolutions
        check_whole_numbers(f"space {self.name}: resolutions", sizes, MIN_RESOLUTION, MAX_RESOLUTION)
        if not isinstance(sizes, tuple) or not sizes or list(sizes) != sorted(set(sizes)):
            raise InputError(
                f"space {self.name}: resolutions are {brief(sizes)}, expected ascending image sides "
                f"from {MIN_RESOLUTION} to {MAX_RESOLUTION} pixels"
            )

    # What a family says.

    @functools.cached_property
    @abc.abstractmethod
    def genes(self) -> tuple[Gene, ...]:
        """All choices but the resolution, field after field."""

    @functools.cached_property
    @abc.abstractmethod
    def positions(self) -> tuple[Position, ...]:
        """All places for blocks, from the image to the classifier."""

    # Choices.

    @functools.cached_property
    def fields(self) -> dict[str, tuple[Gene, ...]]:
        """The genes of each field of `Arch` that this space has, the resolution apart."""
        return {
            field: genes for field in FIELDS if (genes := tuple(gene for gene in self.genes if gene.field == field))
        }

    def choices(self, field: str) -> tuple:
        """Every value that a field ("ks", "e", "d", "w", "r") can take where it is elastic, ascending."""
        if field == "r":
            return self.resolutions
        genes = self.fields.get(field, ())
        # ProxylessNAS's last stage has one depth; it is no choice of the space.
        elastic = [gene for gene in genes if len(gene.choices) > 1] or genes
        return tuple(sorted({choice for gene in elastic for choice in gene.choices}))

    def arch(self, *, ks=None, e=None, d=None, w=None, r: int | None = None) -> Arch:
        """One architecture, checked and canonical.

        Args:
            ks: kernel size, or one per block (skipped blocks included; 0 is accepted for those).
            e: expand ratio, or one per block, likewise.
            d: depth, or one per stage.
            w: width index, or one per stage, only where the space has elastic width multipliers.
            r: image side in pixels; the largest of the space unless given.

        Returns:
            The `Arch`, in which skipped blocks carry 0. A field left out takes its largest values.

        Raises:
            InputError: a value or a count does not fit the space.
        """
        given = {"ks": ks, "e": e, "d": d, "w": w}
        values = {field: self._field_values(field, value) for field, value in given.items()}
        running = self._running(values["d"])
        for field in ("ks", "e"):
            genes = self.fields.get(field, ())
            values[field] = tuple(
                0 if not running.get((field, gene.index), True) else self._checked(gene, value)
                for gene, value in zip(genes, values[field], strict=True)
            )
        return Arch(**values, r=self._checked_resolution(r))

    def canonical(self, arch: Arch) -> Arch:
        """The architecture as this space writes it; raises `InputError` where it does not fit."""
        for field, genes in self.fields.items():
            if not getattr(arch, field):
                raise InputError(f"architecture: {field} is missing, space {self.name} expects {len(genes)} entries")
        return self.arch(**{field: getattr(arch, field) or None for field in ("ks", "e", "d", "w")}, r=arch.r)

    def _field_values(self, field: str, value: Any) -> tuple:
        genes = self.fields.get(field, ())
        value = value.item() if isinstance(value, np.generic) else value
        if not (value is None or is_number(value) or isinstance(value, (list, tuple, np.ndarray))):
            raise InputError(f"architecture: {field} is {value!r}, expected a number or a list of numbers")
        if not genes:
            if value is None or (not is_number(value) and len(value) == 0):
                return ()
            raise InputError(
                f"architecture: {field}={value!r} given, but space {self.name} has no elastic {field}; leave it out"
            )
        if value is None:
            return tuple(gene.choices[-1] for gene in genes)
        if is_number(value):
            # A scalar means "everywhere"; a gene with a single choice (ProxylessNAS's last stage) keeps it.
            return tuple(
                gene.choices[0] if len(gene.choices) == 1 else self._checked(gene, value) if field in "dw" else value
                for gene in genes
            )
        value = tuple(item.item() if isinstance(item, np.generic) else item for item in value)
        if len(value) != len(genes):
            raise InputError(
                f"architecture: {field} has {len(value)} entries, space {self.name} expects {len(genes)} "
                f"(every block counts, skipped ones too)"
            )
        if field in "dw":
            return tuple(self._checked(gene, item) for gene, item in zip(genes, value, strict=True))
        return value

    def _checked(self, gene: Gene, value: Any):
        if is_number(value):
            for choice in gene.choices:
                if choice == value:
                    return choice
        allowed = ", ".join(map(str, gene.choices))
        raise InputError(f"architecture: {gene.field}[{gene.index}] is {value!r}, space {self.name} allows {allowed}")

    def _checked_resolution(self, r: Any) -> int:
        if r is None:
            return self.resolutions[-1]
        is_number_like = is_number(r) or isinstance(r, np.integer)
        if is_number_like and int(r) == r and MIN_RESOLUTION <= r <= MAX_RESOLUTION:
            return int(r)
        raise InputError(
            f"architecture: resolution r is {r!r}, expected a whole number of pixels "
            f"from {MIN_RESOLUTION} to {MAX_RESOLUTION}"
        )

    @functools.cached_property
    def _owners(self) -> dict[tuple[str, int], Position]:
        """The position whose skipping makes a kernel-size or expand-ratio gene meaningless."""
        return {(g.field, g.index): p for p in self.positions for g in p.genes if g.field in ("ks", "e")}

    def _running(self, depths: tuple[int, ...]) -> dict[tuple[str, int], bool]:
        return {
            key: position.depth is None or depths[position.depth.index] > position.depth_index
            for key, position in self._owners.items()
        }

    def largest(self) -> Arch:
        """The architecture with every choice at its largest."""
        return self.arch()

    def smallest(self) -> Arch:
        """The architecture with every choice at its smallest, resolution included."""
        return self.corner(min, r=self.resolutions[:1])

    def corner(self, pick: Callable[[Sequence], Any], **subsets: Sequence) -> Arch:
        """The architecture whose every choice is picked from what is allowed.

        Args:
            pick: for example `min` or `max`.
            **subsets: as in `sample`; the resolution is the space's largest unless given.

        Example:
            space.corner(min, d=(3, 4))
        """
        values = {field: [pick(choices) for choices in allowed] for field, allowed in self._allowed(subsets).items()}
        return self.arch(**values, r=pick(subsets.get("r") or self.resolutions[-1:]))

    def sample(self, rng: np.random.Generator, **subsets: Sequence) -> Arch:
        """Draws every choice uniformly and independently.

        Args:
            rng: the source of randomness.
            **subsets: for a field (`ks`, `e`, `d`, `w`, `r`), the values to draw from instead of all of its choices. A
                gene that has only one choice keeps it, one that has none of the values takes its nearest: with depths
                (1, 2) in one stage and (2, 3, 4) in another, `d=(4,)` means 2 and 4.

        Example:
            space.sample(np.random.default_rng(0), d=(3, 4), r=(224,))
        """
        values = {
            field: [choices[rng.integers(len(choices))] for choices in allowed]
            for field, allowed in self._allowed(subsets).items()
        }
        sizes = subsets.get("r") or self.resolutions
        return self.arch(**values, r=int(sizes[rng.integers(len(sizes))]))

    def _allowed(self, subsets: dict[str, Sequence]) -> dict[str, list[Sequence]]:
        """For each field, the choices of each of its genes that are in the field's subset."""
        unknown = set(subsets) - set(FIELDS)
        if unknown:
            raise InputError(f"unknown field {sorted(unknown)[0]!r}, expected one of {', '.join(FIELDS)}")
        allowed = {}
        for field, genes in self.fields.items():
            subset = subsets.get(field)
            if subset is not None and not set(subset) & {choice for gene in genes for choice in gene.choices}:
                known = ", ".join(map(str, self.choices(field)))
                raise InputError(f"{field}={tuple(subset)} leaves no choice, space {self.name} has {known}")
            allowed[field] = []
            for gene in genes:
                choices = gene.choices
                if subset is not None and len(choices) > 1:
                    choices = within(choices, subset)
                allowed[field].append(choices)
        return allowed

    @functools.cached_property
    def num_architectures(self) -> int:
        """How many different architectures there are, resolutions not counted (a whole number of any size)."""
        total = math.prod(
            len(g.choices) for p in self.positions if p.depth is None for g in p.genes if g.field in ("ks", "e")
        )
        for gene in self.fields.get("d", ()):
            owned = [p for p in self.positions if p.depth == gene]
            total *= sum(
                math.prod(
                    len(g.choices) for p in owned if depth > p.depth_index for g in p.genes if g.field in ("ks", "e")
                )
                for depth in gene.choices
            )
        return total * math.prod(len(gene.choices) for gene in self.fields.get("w", ()))

    # Concrete networks.

    def blocks(self, arch: Arch) -> list[Block]:
        """The blocks that run, from the image to the classifier."""
        return [block for block in self._all_blocks(self.canonical(arch)) if block is not None]

    def _all_blocks(self, arch: Arch) -> list[Block | None]:
        blocks = []
        for position in self.positions:
            if position.depth is not None and arch.d[position.depth.index] <= position.depth_index:
                blocks.append(None)
                continue
            values = [getattr(arch, gene.field)[gene.index] for gene in position.genes]
            blocks.append(position.make(position.input_size(arch.r), *values))
        return blocks

    def to_array(self, arch: Arch) -> np.ndarray:
        """The integers that steer the elastic layers.

        Returns:
            int32 array (positions, 6) with the columns ACTIVE, IN, MID, OUT, SE (channel counts) and KERNEL (index into
            the position's ascending kernel sizes). Rows of skipped blocks are zero.
        """
        rows = np.zeros((len(self.positions), TENSOR_COLUMNS), np.int32)
        for row, position, block in zip(rows, self.positions, self._all_blocks(self.canonical(arch)), strict=True):
            if block is not None:
                kernel_sizes = self.kernel_sizes(position)
                kernel_index = kernel_sizes.index(block.kernel_size)
                row[:] = (1, block.in_channels, block.mid_channels, block.out_channels, block.se_channels, kernel_index)
        return rows

    def kernel_sizes(self, position: Position) -> tuple[int, ...]:
        """The kernel sizes that the block at a position can have, ascending."""
        for gene in position.genes:
            if gene.field == "ks":
                return gene.choices
        largest = [gene.choices[-1] for gene in position.genes]
        return (position.make(position.input_size(self.resolutions[-1]), *largest).kernel_size,)

    def count_macs(self, arch: Arch) -> int:
        """Multiply-accumulates for one image at the architecture's resolution."""
        return sum(costs.macs(block) for block in self.blocks(arch))

    def count_params(self, arch: Arch) -> int:
        """Parameters of the extracted network."""
        return sum(costs.params(block) for block in self.blocks(arch))

    def summary(self, arch: Arch) -> str:
        """The network as a table of its blocks, for people, as Keras's `model.summary()` gives one."""
        return costs.summary(self.blocks(arch))

    @functools.cached_property
    def supernet_params(self) -> int:
        """Trainable parameters of the supernet, kernel-transform matrices included."""
        transforms = sum(costs.transform_params(self.kernel_sizes(position)) for position in self.positions)
        return self.count_params(self.largest()) + transforms

    # Variants and JSON.

    def replace(self, **changes: Any) -> "Space":
        """The same space with some fields changed, for example `space.replace(num_classes=10)`."""
        return dataclasses.replace(self, **changes)

    def restricted(self, **choices: Sequence) -> "Space":
        """The space of some of the choices, with weights of its own.

        Args:
            choices: for some of the fields of `choices`, the values that are left, in every block or stage; where none
                of them is a choice, the nearest is left, as in `sample`.

        Raises:
            InputError: a value is none of the space's, or the family has no such field to restrict.

        Example:
            alone = spaces.get("ofa_cifar_s").restricted(ks=(3,), e=(6,), d=(2,))
        """
        for field, values in choices.items():
            known = self.choices(field)
            if not values or not set(values) <= set(known):
                raise InputError(f"space {self.name}: {field} is restricted to {list(values)}, it has {list(known)}")
        return self._with_choices({field: tuple(sorted(values)) for field, values in choices.items()})

    def _with_choices(self, choices: dict[str, tuple]) -> "Space":
        resolutions = choices.pop("r", self.resolutions)
        if choices:
            raise InputError(f"space {self.name}: {', '.join(choices)} cannot be restricted in this family; only r can")
        return self.replace(resolutions=resolutions)

    def same_weights(self, other: "Space") -> bool:
        """Whether supernet weights of the other space fit this one: everything equal but name and resolutions."""
        return type(self) is type(other) and self.replace(name=other.name, resolutions=other.resolutions) == other

    def to_config(self) -> dict[str, Any]:
        """The space as JSON-ready data, read back by `spaces.from_config`."""
        return {"family": self.family, **dataclasses.asdict(self)}
