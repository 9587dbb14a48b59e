"""`PairsFile`: measured (architecture, accuracy) pairs in a file that can be extended and resumed."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ofa_tf.common import InputError, RecordFormat, append_json_line, read_json_lines
from ofa_tf.common.config import check_numbers, check_whole
from ofa_tf.common.splits import split_name
from ofa_tf.spaces import Arch, Space, from_config


@dataclasses.dataclass(frozen=True)
class Pair:
    """One measurement.

    Args:
        arch: the architecture.
        top1: its top-1 accuracy, 0..1.
        images: the number of images it was measured on.
        split: the named split they are from.
        extra: whatever else was recorded.
    """

    arch: Arch
    top1: float
    images: int
    split: str
    extra: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def key(self) -> tuple[Arch, str, int]:
        """What a file never holds twice."""
        return self.arch, self.split, self.images


FORMAT = RecordFormat("ofa_tf accuracy pairs", "give the path of one, or of a new file")


class PairsFile:
    """A JSON Lines file of pairs: a header (format, version, space), then one line per pair.

    Lines are only ever appended. A last line that a killed writer left unfinished is removed when the next pair is
    written; any other damage is an error.

    Args:
        path: the file; it is made by the first `add` unless it is there.
        space: the space of the architectures. None reads it from the file.
        **provenance: written to the header of a new file, for example `checkpoint=` with its path and hash.

    Raises:
        InputError: the file is damaged, of a newer format, or of another space; or it is missing and `space` is None.

    Example:
        pairs = PairsFile("run/accuracy_pairs.jsonl", space)
        for arch in archs:
            if not pairs.holds(arch, images=2000, split="validation"):
                pairs.add(arch, evaluate(arch), images=2000, split="validation")
    """

    def __init__(self, path: str | os.PathLike, space: Space | None = None, **provenance: Any):
        self.path = pathlib.Path(path)
        self._pairs: dict[tuple, Pair] = {}
        lines = read_json_lines(path, "accuracy pairs file") if self.path.exists() or space is None else []
        if not lines and space is None:
            raise InputError(f"{path}: holds no accuracy pairs; collect some first")
        self._started = bool(lines)
        if not lines:
            self._check_unfinished_header()
        if lines:
            self.provenance, self.space = self._read_header(lines[0], space)
            for number, line in enumerate(lines[1:], start=2):
                pair = self._read_pair(number, line)
                if pair.key in self._pairs:
                    raise InputError(f"{path}: line {number} repeats an earlier pair; delete the line")
                self._pairs[pair.key] = pair
        else:
            self.provenance, self.space = provenance, space

    def _check_unfinished_header(self) -> None:
        """What `add` would cut off must be what a killed writer left, and not another file."""
        if not self.path.exists():
            return
        start = json.dumps({"format": FORMAT.name})[:-1]
        with self.path.open(encoding="utf-8", errors="replace") as file:
            found = file.read(len(start))
        if not start.startswith(found):
            raise InputError(f"{self.path}: is not an {FORMAT.name!r} file; {FORMAT.remedy}")

    def _read_header(self, header: Any, space: Space | None) -> tuple[dict[str, Any], Space]:
        where = f"{self.path}: line 1"
        fields = FORMAT.checked(header, where)
        with FORMAT.reading(where):
            stored = from_config(fields.get("space"))
        if space is not None and not stored.same_weights(space):
            raise InputError(
                f"{self.path}: holds pairs of space {stored.name} ({stored.num_classes} classes), expected "
                f"{space.name} ({space.num_classes} classes); give another file"
            )
        provenance = fields.get("provenance")
        return provenance if isinstance(provenance, dict) else {}, space or stored

    def _read_pair(self, number: int, line: Any) -> Pair:
        try:
            if not isinstance(line, dict):
                raise InputError(f"found {type(line).__name__}, expected an object")
            fields = dict(line)
            given = [fields.pop(name, None) for name in ("arch", "top1", "images", "split")]
            return self._pair(Arch.from_json(given[0] if given[0] is not None else {}), *given[1:], fields)
        except InputError as error:
            raise InputError(f"{self.path}: line {number}: {error}; delete the line") from error

    def _pair(self, arch: Arch, top1: Any, images: Any, split: Any, extra: dict[str, Any]) -> Pair:
        check_numbers("top1", top1, 1, 0, 1)
        check_whole("images", images, 1)
        if not isinstance(split, str) or not split:
            raise InputError(f"split is {split!r}, expected the name of a split")
        return Pair(self.space.canonical(arch), float(top1), images, split_name(split), extra)

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._pairs.values())

    def holds(self, arch: Arch, *, images: int, split: str) -> bool:
        """Whether this measurement is there already."""
        return (self.space.canonical(arch), split_name(split), images) in self._pairs

    def add(self, arch: Arch, top1: float, *, images: int, split: str, **extra: Any) -> bool:
        """Appends one pair and pushes it to the disk.

        Args:
            arch: the architecture.
            top1: its top-1 accuracy, 0..1.
            images: the number of images it was measured on.
            split: the named split they are from.
            **extra: JSON-ready values to record with it (top5, loss, seconds).

        Returns:
            False, and writes nothing, where the file holds the pair already.
        """
        images = images.item() if isinstance(images, np.integer) else images
        pair = self._pair(arch, top1.item() if isinstance(top1, np.generic) else top1, images, split, extra)
        if pair.key in self._pairs:
            return False
        if not self._started:
            header = FORMAT.fields({"space": self.space.to_config(), "provenance": self.provenance})
            append_json_line(self.path, header)
            self._started = True
        line = {"arch": pair.arch.to_dict(), "top1": pair.top1, "images": pair.images, "split": pair.split, **extra}
        append_json_line(self.path, line)
        self._pairs[pair.key] = pair
        return True

    def accuracies(self, split: str | None = None) -> tuple[list[Arch], np.ndarray]:
        """The training data of an accuracy predictor: each architecture once, measured on the most images.

        Args:
            split: the split to take; may be left out where the file has only one.

        Returns:
            N architectures and float64 (N,) top-1 accuracies, in the order of the file.

        Raises:
            InputError: there is no pair of that split, or there are several splits and none was named.
        """
        best = self._best(split)
        return [pair.arch for pair in best], np.array([pair.top1 for pair in best])

    def ordered_accuracies(self, split: str | None = None) -> tuple[list[Arch], np.ndarray]:
        """What `accuracies` gives, but those that few images cannot tell apart ascend with the multiply-accumulates.

        Fitted to equal accuracies, a predictor orders networks by noise, and the cheapest is as good as any. Each
        moves by less than half an image, so that accuracies which differ by one keep their order, and stays in 0..1.

        Args:
            split: as in `accuracies`.

        Example:
            predictor = AccuracyPredictor.fit(pairs.space, *pairs.ordered_accuracies())
        """
        best = self._best(split)
        macs = [self.space.count_macs(pair.arch) for pair in best]
        ranks = (np.argsort(np.argsort(macs, kind="stable"), kind="stable") + 0.5) / len(macs)
        moved = [pair.top1 + 0.5 * (rank - pair.top1) / pair.images for pair, rank in zip(best, ranks, strict=True)]
        return [pair.arch for pair in best], np.array(moved)

    def _best(self, split: str | None) -> list[Pair]:
        split, splits = split and split_name(split), sorted({pair.split for pair in self})
        if split is None and len(splits) > 1:
            raise InputError(f"{self.path}: holds the splits {', '.join(splits)}; name the one to use")
        best: dict[Arch, Pair] = {}
        for pair in self:
            if split in (None, pair.split) and (pair.arch not in best or best[pair.arch].images < pair.images):
                best[pair.arch] = pair
        if not best:
            found = f"only {', '.join(splits)}" if splits else "none at all"
            raise InputError(f"{self.path}: holds no pair of split {split!r}, {found}; collect some first")
        return list(best.values())
