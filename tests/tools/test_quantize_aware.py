"""tools.quantize_aware, from a supernet that ships to a checked file."""

import json

import pytest

from tests.tools.test_binaries import check_mistake, run


@pytest.mark.slow
def test_from_a_supernet_to_a_file(tmp_path):
    """Each epoch and the check are lines of JSON; the state that is kept meanwhile is gone at the end."""
    output = tmp_path / "model.tflite"
    lines = run(
        "tools.quantize_aware", "--supernet=ofa_imagenette_mbv3", "--arch=smallest", "--resolution=96", "--epochs=2",
        "--batch_size=10", "--max_drop=0.2", f"--output={output}",
    ).splitlines()  # fmt: skip
    *epochs, report = map(json.loads, lines)
    assert [found["epoch"] for found in epochs] == [1, 2]
    assert report["path"] == str(output)
    assert (report["precision"], report["form"], report["partitions"]) == ("int8", "folded-rows", 1)
    assert [path.suffix for path in tmp_path.glob("*.npz")] == []
    assert output.read_bytes()[4:8] == b"TFL3"


def test_a_fine_tuned_file_needs_its_ending_too(tmp_path):
    """Before any training, as tools.quantize_aware and tools.export_tflite have it."""
    output = tmp_path / "net.keras"
    ours = ("tools.finetune", "--supernet=ofa_imagenette_mbv3", "--arch=smallest", f"--output={output}")
    check_mistake(
        *ours, f"--tflite={tmp_path / 'net'}", says="net: expected a name that ends with .tflite", leaves=output
    )


def test_mistakes(tmp_path):
    output = tmp_path / "model.tflite"
    ours = ("tools.quantize_aware", "--supernet=ofa_imagenette_mbv3", f"--output={output}")
    check_mistake(*ours, says="--arch", leaves=output)
    unnamed = ("--arch=smallest", f"--output={tmp_path / 'net-0.35'}")
    check_mistake(*ours, *unnamed, says="net-0.35: expected a name that ends with .tflite", leaves=output)
    (tmp_path / "folder.tflite").mkdir()
    folder = ("--arch=smallest", f"--output={tmp_path / 'folder.tflite'}")
    check_mistake(*ours, *folder, says="is a folder, expected the path of a file to write", leaves=output)
    check_mistake(*ours, "--arch=smallest", "--max_drop=2", says="--max_drop=2", leaves=output)
    check_mistake(*ours, "--arch=smallest", "--form=fused", says="form", leaves=output)
    check_mistake(*ours, "--arch=smallest", "--batch_size=5000", says="batch_size=5000", leaves=output)
