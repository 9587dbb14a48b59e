"""Files from elsewhere: whatever the interpreter does on them, this process lives, and says one line."""

import pathlib

import numpy as np
import pytest

from ofa_tf import deploy
from ofa_tf.common import InputError
from ofa_tf.deploy import ForeignFile, open_foreign, open_foreign_files
from ofa_tf.devices.block_models import model_bytes
from tests.micro import micro_space
from tests.mutations import mutant, tflite_mutant


@pytest.fixture(scope="module", name="models")
def _models() -> dict[str, bytes]:
    space = micro_space()
    return {precision: model_bytes(space.blocks(space.largest()), precision) for precision in ("float32", "int8")}


def opened(folder: pathlib.Path, contents: list[bytes], **options) -> list[ForeignFile | InputError]:
    paths = [folder / f"{place}.tflite" for place in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return open_foreign_files(paths, **options)


def test_whole_files_are_described(models, tmp_path):
    """Protects that the child finds what this process would: shapes, types, operations, partitions, a time."""
    for found, data in zip(opened(tmp_path, list(models.values()), min_runs=3), models.values(), strict=True):
        runner = deploy.Runner(data)
        assert (found.input_shape, found.input_type) == (runner.input_shape, runner.input_type)
        assert (found.output_shape, found.output_type) == ((1, 10), runner.output_type)
        assert (found.model_bytes, found.partitions) == (len(data), runner.partitions)
        assert sorted(runner.operations) == sorted(
            name for name, count in found.operations.items() for _ in range(count)
        )
        assert found.timing.count == 3
        assert found.timing.median_ms > 0


@pytest.mark.parametrize(("make", "seed"), [(mutant, 0), (tflite_mutant, 2)])
def test_damaged_files_run_or_say_why_not(models, tmp_path, make, seed):
    """200 mutants, as disks make them and as no disk could: each is described, or refused in one line that names it."""
    rng = np.random.default_rng(seed)
    contents = [make(data, rng) for _ in range(50) for data in models.values()]
    results = opened(tmp_path, contents, limit_seconds=20)
    for place, found in enumerate(results):
        if isinstance(found, InputError):
            assert str(found).startswith(f"{tmp_path / str(place)}.tflite: ")
            assert str(found).isprintable()
            assert "Traceback" not in str(found)
    assert sum(isinstance(found, InputError) for found in results) > 50
    if make is tflite_mutant:
        assert any("the interpreter crashed on it (SIG" in str(found) for found in results)


def test_what_does_not_end_is_ended(models, tmp_path):
    (found,) = opened(tmp_path, [models["float32"]], limit_seconds=1e-4)
    assert "s without an end" in str(found)


def test_memory_is_limited(models, tmp_path):
    """Protects the machine from a file of some bytes that wants all of it."""
    (found,) = opened(tmp_path, [models["float32"]], limit_bytes=1 << 20)
    assert isinstance(found, InputError)
    (found,) = opened(tmp_path, [models["float32"]])
    assert isinstance(found, ForeignFile)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"missing\.tflite: cannot be read \(No such file"):
        open_foreign(tmp_path / "missing.tflite")
    with pytest.raises(InputError, match="threads is 0"):
        open_foreign(tmp_path / "missing.tflite", threads=0)
