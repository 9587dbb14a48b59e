"""Damaged checkpoints, predictors, tables and descriptions: each is read, or refused in words.

What a disk does to bytes (`mutant`), and what only a careful hand does: whole files with senseless values inside.
`python -m tests.tools.test_damaged_files 1 100` goes on with other seeds, from the first to before the last.
"""

import functools
import json
import pathlib
import sys
import tempfile
import warnings

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_tf.data import PUBLISHED, Augmentation, Preprocessing
from ofa_tf.networks import PackedSupernet
from ofa_tf.predictors import AccuracyPredictor, BlockLatency, LatencyRegression, LatencyTable
from ofa_tf.predictors.latency_correction import LatencyCorrection
from ofa_tf.predictors.latency_regression import read_latency_pairs
from ofa_tf.predictors.pairs import PairsFile
from ofa_tf.search import Candidate, ParetoFront
from ofa_tf.spaces.population import distinct_blocks
from ofa_tf.training import RunDirectory
from ofa_tf.training.checkpoint import load_checkpoint, save_checkpoint
from ofa_tf.training.recipe import Recipe, StageRecipe
from tests.micro import micro_net
from tests.mutations import json_mutant, mutant, npz_mutant
from tests.records import assert_read_or_refused, damaged
from tools.opening import read_arch

MUTANTS = 20


class Files:
    """One whole file of every kind, and what reads it.

    Args:
        folder: where they are made.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.net = micro_net()
        self.space = self.net.space
        self.optimizer = keras.optimizers.SGD(0.1, 0.9)
        self.optimizer.build(self.net.trainable_variables)
        rng = np.random.default_rng(0)
        self.archs = list(dict.fromkeys(self.space.sample(rng) for _ in range(40)))
        self._write(rng)
        self.readers = {
            "front.json": ParetoFront.load,
            "checkpoint.npz": lambda path: load_checkpoint(path, self.net, self.optimizer),
            "supernet.npz": self._read_supernet,
            "accuracy.npz": self._read_accuracy,
            "regression.npz": lambda path: LatencyRegression.load(path).predict(self.space, self.archs[:2]),
            "table.json": lambda path: LatencyTable.load(path).predict(self.space, self.archs[:2]),
            "arch.json": lambda path: read_arch(self.space, str(path)),
            "run.json": lambda path: RunDirectory.open(path.parent).finished_stages(),
            "pairs.jsonl": lambda path: PairsFile(path).accuracies(),
            "latencies.jsonl": lambda path: read_latency_pairs(path, self.space),
        }

    def _write(self, rng: np.random.Generator) -> None:
        folder, space, archs = self.folder, self.space, self.archs
        save_checkpoint(folder / "checkpoint.npz", self.net, {"stage": "full", "step": 3}, self.optimizer)
        facts = {"preprocessing": PUBLISHED.to_config(), "augmentation": Augmentation().to_config()}
        names = tuple("abcdefghij")
        PackedSupernet(self.net, class_names=names, dataset={"seed": 1}, **facts).save(folder / "supernet.npz")
        accuracies = rng.uniform(0.2, 0.7, len(archs))
        AccuracyPredictor.fit(space, archs, accuracies, epochs=1, hidden=(8, 8)).save(folder / "accuracy.npz")
        LatencyRegression.fit(space, archs, 1 + accuracies, device="x").save(folder / "regression.npz")
        blocks = {block.key: BlockLatency(0.1, 0.2, 0.1, 5) for block in distinct_blocks(space)}
        correction = LatencyCorrection(1.1, 0.1, 8, 3.0, 2.0)
        LatencyTable("host", "int8", 1, "fused", blocks=blocks, correction=correction).save(folder / "table.json")
        (folder / "arch.json").write_text(json.dumps({"arch": archs[0].to_dict()}))
        dataset = {"dataset": "folder", "data_dir": "photos", "class_names": list(names), "digest": "abc"}
        RunDirectory.create(folder, space, dataset, Recipe({"full": StageRecipe(2), "kernel": StageRecipe(3)}))
        found = [Candidate(arch, top1, {"macs": 1 + top1}) for arch, top1 in zip(archs, accuracies, strict=True)]
        ParetoFront.of(found, "macs").save(folder / "front.json")
        pairs = PairsFile(folder / "pairs.jsonl", space)
        for arch, accuracy in zip(archs, accuracies, strict=True):
            pairs.add(arch, accuracy, images=100, split="validation")
        lines = [json.dumps({"arch": arch.to_dict(), "latency_ms": 1.5}) for arch in archs]
        (folder / "latencies.jsonl").write_text("".join(f"{line}\n" for line in lines))

    def _read_accuracy(self, path: pathlib.Path) -> None:
        predictor = AccuracyPredictor.load(path)
        # Limits of what it is known to be right for may be other ones than before, and warn then.
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            predictor.predict(self.space, self.archs[:2])

    @staticmethod
    def _read_supernet(path: pathlib.Path) -> None:
        packed = PackedSupernet.load(path)
        Preprocessing.from_config(dict(packed.preprocessing))
        Augmentation.from_config(dict(packed.augmentation))

    def read_mutants(self, name: str, seeds: range) -> int:
        """Reads one mutant per seed; how many were refused. Anything but a refusal or a success is raised."""
        whole, refused = (self.folder / name).read_bytes(), 0
        path = self.folder / "mutants" / name
        path.parent.mkdir(exist_ok=True)
        for seed in seeds:
            self._write_mutant(name, whole, np.random.default_rng(seed), path)
            try:
                refused += assert_read_or_refused(self.readers[name], path, path.read_bytes())
            except Exception as error:
                raise AssertionError(f"{name}, seed {seed}: {error!r}") from error
        return refused

    @staticmethod
    def _write_mutant(name: str, whole: bytes, rng: np.random.Generator, path: pathlib.Path) -> None:
        if rng.integers(3) == 0:
            path.write_bytes(mutant(whole, rng))
        elif name.endswith(".npz"):
            path.write_bytes(whole)
            with np.load(path) as archive:
                arrays = dict(archive)
            np.savez(path, **npz_mutant(arrays, rng))
        elif name.endswith(".json"):
            path.write_text(json.dumps(json_mutant(json.loads(whole), rng)))
        else:
            lines = json_mutant([json.loads(line) for line in whole.splitlines()], rng)
            path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


@functools.cache
def _files() -> Files:
    return Files(pathlib.Path(tempfile.mkdtemp()))


NAMES = (
    "front.json", "checkpoint.npz", "supernet.npz", "accuracy.npz", "regression.npz", "table.json", "arch.json",
    "run.json", "pairs.jsonl", "latencies.jsonl",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.timeout(100)
def test_damaged_files_are_read_or_refused(name):
    """20 mutants of each kind: no other exception, no warning of a library, no hang; most are refused."""
    assert _files().read_mutants(name, range(MUTANTS)) > MUTANTS // 3


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("arch.json", "latencies.jsonl")])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_files_with_a_header_are_read_or_refused(name, data):
    """Any bytes, the beginning of a file, other values in its header."""
    files = _files()
    path = files.folder / "damaged" / name
    path.parent.mkdir(exist_ok=True)
    assert_read_or_refused(files.readers[name], path, data.draw(damaged(files.folder / name)))


if __name__ == "__main__":
    for kind in NAMES:
        print(kind, _files().read_mutants(kind, range(*map(int, sys.argv[1:]))))
